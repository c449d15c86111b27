"""A model without a state is a model: its outputs are functions of parameters, covariates and the time, and
everything that is asked of a solve is what their formulas say."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from small_models import COURSE
from solving import METHODS, kernel, relative, run

import pkpd
from pkpd.core.errors import DataError, InputError, ModelError, ScheduleError
from pkpd.dosing import EventTable
from pkpd.model.check import read_model
from pkpd.solver import Options, Timeline, solve

EMAX = """\
model      sigmoid Emax
time       d
parameter  E0 = 5 [percent]  placebo
parameter  Emax = 20 [percent]  largest effect
parameter  ED50 = 10 [mg]  dose of half of it
parameter  h = 1.5 [1]  steepness
covariate  D = 0 [mg]  daily dose
output     E = E0 + Emax*hill(D, ED50, h) [percent]  effect
"""
TIMES = np.array([0.0, 0.3, 1.0, 2.5, 4.0, 8.0, 20.0])
NOTHING = EventTable.empty()


def emax(D, E0=5.0, Emax=20.0, ED50=10.0, h=1.5):
    return E0 + Emax * D**h / (ED50**h + D**h)


def wave(t, A=20.0, k=0.8, t50=3.0):
    return A * t**3 / (t50**3 + t**3) * np.exp(-k * t)


def by_differences(f, names, values):
    """Central differences of a formula, good to some 1e-9 of its size."""
    found = []
    for name in names:
        step = 1e-5 * values[name]
        up, down = (f(**values | {name: values[name] + s}) for s in (step, -step))
        found.append((up - down) / (2 * step))
    return np.stack(found, axis=-1)


@pytest.mark.parametrize("lanes", [True, False], ids=["lanes", "singles"])
def test_a_dose_response_curve_is_its_formula_in_every_subject(lanes):
    k = kernel(EMAX)
    D = np.array([0.0, 1.0, 5.0, 10.0, 30.0, 100.0, 2.0, 3.0, 4.0, 1e4])
    p = np.tile(k.VALUES, (D.size, 1))
    p[:, k.PARAMETERS.index("D")] = D
    found = solve(k, p, NOTHING, [0.0, 7.0], options=Options(lanes=lanes)).check()
    assert found.outputs[..., 0] == pytest.approx(np.stack([emax(D)] * 2, axis=1), rel=1e-14)


def test_its_sensitivities_are_exact():
    k, names = kernel(EMAX), ["E0", "Emax", "ED50", "h"]
    for D in (0.0, 0.1, 10.0, 300.0):
        found = run(k, [1.0], parameters={"D": D}, directions=names).sensitivities[0, 0, 0]
        x = (D / 10.0) ** 1.5
        share = x / (1.0 + x)
        bell = 20.0 * share * (1.0 - share)
        by_h = bell * np.log(D / 10.0) if D > 0 else 0.0
        assert found == pytest.approx([1.0, share, -1.5 * bell / 10.0, by_h], rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_outputs_of_the_time_are_evaluated_at_the_times(method):
    found = run(COURSE, TIMES, method=method).outputs[0]
    expected = np.stack([20 * (1 - np.exp(-0.8 * TIMES)), wave(TIMES), 20.0 * (TIMES < 9.0)], axis=1)
    assert relative(found, expected) < 1e-13


def test_their_sensitivities_too_from_the_start_on():
    k, names = kernel(COURSE), ["A", "k", "t50"]
    found = run(k, TIMES, directions=names).sensitivities[0]
    values = {"A": 20.0, "k": 0.8, "t50": 3.0}
    assert found[:, 0, 0] == pytest.approx(1 - np.exp(-0.8 * TIMES), abs=1e-13)
    assert found[:, 0, 1] == pytest.approx(20 * TIMES * np.exp(-0.8 * TIMES), abs=1e-12)
    assert found[:, 1] == pytest.approx(by_differences(lambda **p: wave(TIMES, **p), names, values), abs=1e-8)


@pytest.mark.parametrize("lanes", [True, False], ids=["lanes", "singles"])
def test_what_is_read_off_a_course_follows_it_although_nothing_else_moves(lanes):
    """Steps could be as long as they please; the error of the integrals holds them."""
    k = kernel(COURSE)
    p = np.tile(k.VALUES, (9, 1))
    asked = [
        ("max", "wave"),
        ("area", "wave", 0, 24),
        ("area", "up", 1, 400),
        ("area", "gate"),
        ("decline", "wave", 10, 14),
    ]
    found = solve(
        k, p, NOTHING, [0.0, 500.0], options=Options(lanes=lanes, rtol=1e-6), readings=asked
    ).readings
    peak = minimize_scalar(lambda t: -wave(t), bounds=(1, 5), method="bounded", options={"xatol": 1e-9})
    expected = [
        -peak.fun,
        quad(wave, 0, 24, epsabs=1e-12)[0],
        20 * (399 - (np.exp(-0.8) - np.exp(-320)) / 0.8),
        180.0,
        np.log(wave(10.0) / wave(14.0)),
    ]
    assert found.times[:, 0] == pytest.approx(peak.x, rel=1e-5)
    for row in found.values[:, :4]:
        assert row == pytest.approx(expected[:4], rel=1e-5)


def test_areas_move_with_parameters_and_with_the_time_of_a_jump():
    found = run(COURSE, [0.0, 50.0], directions=["A", "stop"], readings=[("area", "gate"), ("max", "gate")])
    assert found.readings.sensitivities[0] == pytest.approx(np.array([[9.0, 20.0], [1.0, 0.0]]), rel=1e-10)


def test_crossings_are_where_the_formula_has_them():
    found = run(COURSE, [0.0, 30.0], roots=[("wave", 0.5)], directions=["A"])
    times = [brentq(lambda t: wave(t) - 0.5, *ends, xtol=1e-13) for ends in ((0.5, 2.4), (2.5, 9.0))]
    assert found.crossings.times[0, 0, :2] == pytest.approx(times, rel=1e-6)


def test_a_covariate_may_change_on_the_way_and_run_linearly():
    k = kernel(EMAX)
    steps = [(2.0, "D", 10.0), (4.0, "D", 40.0)]
    found = solve(k, k.VALUES, NOTHING, [1.0, 2.0, 3.0, 5.0], changes=steps).check()
    assert found.outputs[0, :, 0] == pytest.approx(emax(np.array([0.0, 10.0, 10.0, 40.0])), rel=1e-14)

    running = pkpd.load(read_model(EMAX, "test.model"), linear=["D"])
    line = [Timeline(NOTHING, [1.0, 4.0], knots={"D": ([0.0, 4.0], [0.0, 40.0])})]
    asked = [("area", "E", 0, 4)]
    found = solve(running, running.VALUES[None], line, options=Options(rtol=1e-8), readings=asked).check()
    assert found.outputs[0, :, 0] == pytest.approx(emax(np.array([10.0, 40.0])), rel=1e-9)
    assert found.readings.values[0, 0] == pytest.approx(quad(lambda t: emax(10.0 * t), 0, 4)[0], rel=1e-6)


def test_records_of_a_data_file_change_it(tmp_path):
    path = tmp_path / "trial.csv"
    path.write_text("ID,TIME,AMT,DV,D\n1,0,.,.,0\n1,1,.,.,5\n2,0,.,.,30\n")
    found = pkpd.simulate_records(read_model(EMAX, "test.model"), path, interpolation="locf").to_frame()
    assert found["E"].to_numpy() == pytest.approx(emax(np.array([0.0, 5.0, 30.0])), rel=1e-14)


def test_hidden_states_are_nobodys_business():
    k = kernel(COURSE)
    assert k.named_states == () and k.STATES[-1] == "t"
    given = solve(k, k.VALUES, NOTHING, [3.0, 5.0], initial=np.zeros((1, 0)), start=2.0).check()
    assert given.outputs[0, :, 1] == pytest.approx(wave(np.array([3.0, 5.0])), rel=1e-12)
    solve(k, k.VALUES, NOTHING, [1.0], options=Options(non_negative=True)).check()


RAMP = """\
model      a state that only runs
time       h
parameter  k = 1 [mg/h]  a
parameter  K = 1 [mg]  b
state      A [mg]
d A = k
output     q = A/(A + K) [1]
"""


def test_a_state_that_only_runs_does_not_stretch_steps_either():
    found = run(RAMP, [0.0, 100.0], readings=[("area", "q")], rtol=1e-7)
    assert found.readings.values[0, 0] == pytest.approx(100.0 - np.log(101.0), rel=1e-6)


def test_doses_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(ScheduleError, match='no route "oral": it has no route, and so takes no doses'):
        run(EMAX, [1.0], "10 mg oral once")
    path = tmp_path / "dosed.csv"
    path.write_text("ID,TIME,AMT,DV\n1,0,5,.\n1,1,.,2\n")
    with pytest.raises(DataError, match="this model has no route for a dose"):
        pkpd.simulate_records(read_model(EMAX, "test.model"), path)
    with pytest.raises(ModelError, match="a route leads to a state, and this model has none"):
        read_model(EMAX + "route oral -> D\n", "test.model")
    with pytest.raises(InputError):
        solve(kernel(EMAX), kernel(EMAX).VALUES, NOTHING, [1.0], keep_states=True, roots=[("depot", 1.0)])


LOGARITHM = """\
model      an output that is no number at time 0
time       h
parameter  a = 2 [1]  a
parameter  u = 1 [h]  b
output     x = a*log(t/u) [1]
"""


def test_an_output_that_is_no_number_at_the_start_is_looked_at_from_later_on():
    k = kernel(LOGARITHM)
    failed = solve(k, k.VALUES, NOTHING, [1.0])
    assert failed.status[0] != 0 and "not a finite number" in failed.failure(0)
    found = solve(k, k.VALUES, NOTHING, [1.0, np.e], start=1.0).check()
    assert found.outputs[0, :, 0] == pytest.approx([0.0, 2.0], abs=1e-14)
