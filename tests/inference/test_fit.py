"""A fit recovers the truth within its stated uncertainty, with exact gradients; it survives what fails, and
says what the data do not identify."""

import importlib
import itertools
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy
from scipy.optimize import minimize_scalar

from pkpd.core.errors import ConvergenceError, DataError, LibraryError
from pkpd.core.files import to_json
from pkpd.core.library import root
from pkpd.dosing import Schedule
from pkpd.inference import (
    Check,
    FitOptions,
    FitResult,
    FitSpec,
    ModelSpec,
    NoiseSpec,
    Objective,
    Prior,
    StudyEffect,
    System,
    marginal,
)
from pkpd.inference.assess import subjects_errors
from pkpd.inference.objective import SAMPLING_SUBJECTS
from pkpd.inference.spec import Correlation
from pkpd.inference.summary.reading import parse_data, read_data
from pkpd.inference.summary.rows import Data
from pkpd.inference.summary.sampling import Sampling
from pkpd.model.check import Distribution, Parameter
from pkpd.simulation.profile import simulate
from pkpd.solver import solve
from pkpd.solver.executors import Processes, Threads

fitting = importlib.import_module("pkpd.inference")  # pkpd.fit itself is the function

# --- a solver in closed form: one compartment with absorption, and a direct response

NAMES = ("ka", "CL", "V", "E0", "Emax", "EC50")


def outputs(p, events, times):
    """(..., n_times, 2) of p (..., 6): concentration and response; complex p gives derivatives by complex
    step."""
    ka, CL, V, E0, Emax, EC50 = np.moveaxis(p[..., None], -2, 0)
    k = CL / V
    c = np.zeros((*p.shape[:-1], times.size), dtype=np.result_type(p))
    for start, amount, route in zip(events.time, events.amount, events.route, strict=True):
        past = np.where(times >= start, times - start, 0.0)
        on = times >= start
        if route == 0:
            c = c + on * amount / V * ka / (ka - k) * (np.exp(-k * past) - np.exp(-ka * past))
        else:
            c = c + on * amount / V * np.exp(-k * past)
    return np.stack([c, E0 * (1 + Emax * c / (EC50 + c))], axis=-1)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def pieces(events, start, stop):
    """A window between doses."""
    inner = [t for t in np.unique(events.time) if start < t < stop]
    return list(itertools.pairwise([start, *inner, stop]))


def integral(p, events, r, weight):
    """Of a function of times and values over a window."""
    total = 0.0
    for a, b in pieces(events, r.start, r.stop):
        t = 0.5 * (a + b) + 0.5 * (b - a) * NODES
        y = outputs(p, events, t)[:, ("conc", "resp").index(r.name)]
        total = total + 0.5 * (b - a) * (WEIGHTS * weight(t, y)).sum()
    return total


def highest(p, events, r):
    """When the output is highest within a window."""
    best, when = -math.inf, r.start
    for a, b in pieces(events, r.start, r.stop):
        for _ in range(6):
            t = np.linspace(a, b * (1 - 1e-13), 41)
            y = outputs(p, events, t)[:, ("conc", "resp").index(r.name)]
            i = int(y.argmax())
            if y[i] > best:
                best, when = y[i], t[i]
            a, b = t[max(i - 1, 0)], t[min(i + 1, 40)]
    step = 1e-3
    if (
        r.start + 2 * step < when < r.stop - 2 * step
    ):  # where the slope is nought, which is known better than where the height is greatest
        for _ in range(3):
            y = outputs(p, events, when + step * np.array([-1.0, 0.0, 1.0]))[
                :, ("conc", "resp").index(r.name)
            ]
            when -= 0.5 * step * (y[2] - y[0]) / (y[2] - 2 * y[1] + y[0])
    return when


def read(p, events, r, directions):
    """A reading of one subject: value, time, and their derivatives."""
    along = [p.astype(complex) for _ in directions]
    for moved, index in zip(along, directions, strict=True):
        moved[index] += 1e-30j
    if r.kind == "max":
        when, column = highest(p, events, r), ("conc", "resp").index(r.name)
        step = 1e-4
        t = when + step * np.array([-1.0, 0.0, 1.0])
        y = outputs(p, events, t)[:, column]
        slopes = [outputs(moved, events, t)[:, column].imag / 1e-30 for moved in along]
        inner = r.start + step < when < r.stop - step
        moves = [-(s[2] - s[0]) * step / 2 / (y[2] - 2 * y[1] + y[0]) if inner else 0.0 for s in slopes]
        return y[1], when, [s[1] for s in slopes], moves
    if r.kind == "area":
        weight = lambda t, y: y  # noqa: E731
    else:
        middle, long = 0.5 * (r.start + r.stop), r.stop - r.start
        weight = lambda t, y: -12 / long**3 * (t - middle) * np.log(y)  # noqa: E731
    value = integral(p, events, r, weight)
    return (
        value,
        math.nan,
        [integral(moved, events, r, weight).imag / 1e-30 for moved in along],
        [0.0] * len(directions),
    )


class Solver:
    """The signature of ``simulate.solve``, in closed form; fails where a clearance is above ``limit``."""

    def __init__(self, limit=math.inf):
        self.limit, self.calls, self.interrupt_at = limit, 0, None

    def __call__(
        self,
        kernel,
        parameters,
        events,
        times,
        *,
        options=None,
        directions=(),
        readings=(),
    ):
        self.calls += 1
        if self.interrupt_at is not None and self.calls >= self.interrupt_at:
            raise KeyboardInterrupt
        out = outputs(parameters, events, times)
        s = None
        if directions:
            s = np.empty((*out.shape, len(directions)))
            for d, index in enumerate(directions):
                moved = parameters.astype(complex)
                moved[:, index] += 1e-30j
                s[..., d] = outputs(moved, events, times).imag / 1e-30
        status = (parameters[:, 1] > self.limit).astype(int)
        found = [[read(p, events, r, directions) for r in readings] for p in parameters]
        arrays = [np.array([[one[k] for one in line] for line in found]) for k in range(4)]
        about = SimpleNamespace(
            values=arrays[0], times=arrays[1], sensitivities=arrays[2], time_sensitivities=arrays[3]
        )
        return SimpleNamespace(
            outputs=out,
            sensitivities=s,
            status=status,
            failure=lambda i: f"subject {i} stopped",
            readings=about,
            method_used=np.zeros(len(parameters), dtype=int),
        )


def parameter(name, value, unit, prior=None, between=None, lower=0.0, upper=math.inf):
    return Parameter(
        name,
        value,
        unit,
        "",
        "parameter",
        lower,
        upper,
        None if prior is None else Distribution(*prior),
        None if between is None else Distribution("lognormal", (between,)),
        "made up",
        "assumed",
    )


def system(**changes) -> System:
    parameters = {
        "ka": parameter("ka", 1.2, "1/h", ("lognormal", (1.2, 0.3))),
        "CL": parameter("CL", 4.0, "L/h", ("lognormal", (4.0, 0.7)), 0.3),
        "V": parameter("V", 30.0, "L", ("lognormal", (30.0, 0.4))),
        "E0": parameter("E0", 50.0, "1/uL", ("lognormal", (50.0, 0.5)), 0.25),
        "Emax": parameter("Emax", 2.0, "1", ("lognormal", (2.0, 0.8)), 0.2),
        "EC50": parameter("EC50", 1.0, "mg/L", ("lognormal", (1.0, 0.8))),
    } | changes
    return System(
        "direct",
        "direct response",
        tuple(parameters.values()),
        {"conc": "mg/L", "resp": "1/uL"},
        "h",
        (),
        ("sc", "iv"),
        {"sc": {"mg": 1.0}, "iv": {"mg": 1.0}},
        {"m2": -1, "kg": -1},
        None,
    )


HEADER = (
    "row,study,arm,n,schedule,set,output,measure,reducer,time,time_unit,"
    "statistic,value,unit,spread,spread_type,lower,upper,effect,use,"
    "source,provenance"
)


def line(
    name,
    study="A",
    arm="a",
    n=12,
    schedule="20 mg sc once",
    set="",
    output="resp",
    measure="value",
    reducer="at",
    time="2",
    time_unit="h",
    statistic="mean",
    value=50.0,
    unit="1/uL",
    spread="",
    spread_type="none",
    lower="",
    upper="",
    effect="",
    use="fit",
    source="made up",
    provenance="reported",
):
    values = dict(locals())
    return ",".join(str(values["name" if key == "row" else key]) for key in HEADER.split(","))


def data(*lines) -> Data:
    return parse_data("\n".join([HEADER, *lines]), "data.csv")


def every_kind() -> Data:
    """One row or more of every kind, over four studies."""
    return data(
        line(
            "c_max",
            output="conc",
            reducer="max",
            time="0..12",
            value=0.4,
            unit="mg/L",
            spread=0.1,
            spread_type="SD",
        ),
        line(
            "c_auc",
            output="conc",
            reducer="auc",
            time="0..24",
            value=4,
            unit="mg/L*h",
            spread=30,
            spread_type="CV",
        ),
        line(
            "t_max",
            output="conc",
            reducer="tmax",
            time="0..12",
            value=100,
            unit="min",
            spread=30,
            spread_type="SE",
        ),
        line(
            "half",
            "IV",
            schedule="20 mg iv once",
            output="conc",
            reducer="half_life",
            time="2..10",
            value=5,
            unit="h",
            spread=1.5,
            spread_type="SD",
        ),
        line(
            "c0",
            "IV",
            schedule="20 mg iv once",
            output="conc",
            time="0",
            value=0.7,
            unit="mg/L",
            spread=0.1,
            spread_type="SE",
        ),
        line(
            "jump",
            "IV",
            schedule="20 mg iv once",
            measure="percent_change",
            time="0.5",
            value=60,
            unit="percent",
            spread=20,
            spread_type="SE",
        ),
        line("base", time="0", value=48, spread=14, spread_type="SD"),
        line("change", measure="change", time="3", value=20, spread=9, spread_type="SD"),
        line(
            "fold",
            measure="fold",
            time="3",
            value=1.4,
            unit="1",
            lower=1.2,
            upper=1.7,
            spread_type="CI95",
            statistic="ratio",
        ),
        line(
            "pct",
            "B",
            schedule="60 mg sc daily x3",
            measure="percent_change",
            reducer="max",
            time="48..60",
            value=90,
            unit="percent",
            statistic="median",
            lower=60,
            upper=130,
            spread_type="IQR",
        ),
        line(
            "typical",
            "B",
            schedule="none",
            time="0",
            statistic="geometric_mean",
            value=47,
            spread=28,
            spread_type="CV",
        ),
        line(
            "more",
            "B",
            schedule="60 mg sc daily x3",
            measure="fold",
            time="50",
            statistic="lower_bound",
            value=1.4,
            unit="1",
        ),
        line(
            "less",
            "B",
            schedule="60 mg sc daily x3",
            output="conc",
            reducer="max",
            time="0..12",
            statistic="upper_bound",
            value=1.1,
            unit="mg/L",
        ),
        line(
            "count",
            "B",
            schedule="60 mg sc daily x3",
            measure="fold",
            time="50",
            statistic="count",
            value=8,
            unit="patients",
            effect=1.6,
        ),
        line(
            "share",
            "B",
            schedule="60 mg sc daily x3",
            measure="fold",
            time="50",
            statistic="fraction",
            value=70,
            unit="percent",
            effect=1.5,
        ),
        line(
            "range",
            "B",
            output="conc",
            reducer="max",
            time="0..12",
            statistic="range",
            value=0.4,
            unit="mg/L",
            lower=0.25,
            upper=0.62,
        ),
        line(
            "dose",
            "D",
            schedule="25 mg sc once",
            measure="percent_change",
            reducer="max",
            time="0..12",
            statistic="dose_for_effect",
            value=25,
            unit="mg",
            lower=15,
            upper=38,
            spread_type="CI95",
            effect=60,
        ),
        line("bare", "D", time="4", value=60),
        line("set", "D", set="E0 = 80 1/uL", time="0", value=80, spread=5, spread_type="SE"),
    )


MODEL = ModelSpec(
    "direct",
    between={"CL": None, "E0": Prior("lognormal", 0.25, 0.5)},
    study_effects=(StudyEffect("E0", 0.2), StudyEffect("V", 0.3, ("IV",))),
    noise={"resp": NoiseSpec(0.05, 1.0, free=True), "conc": NoiseSpec(0.1)},
)
OPTIONS = FitOptions(subjects=16, starts=2, seed=3)


def objective(rows: Data, model=MODEL, solve=None, **given) -> Objective:
    s = given.pop("of", None) or system()
    ready = fitting.in_units(rows, s)
    return Objective(
        s,
        model,
        ready.rows,
        options=given.pop("options", OPTIONS),
        solve=solve or Solver(),
        threads=1,
        **given,
    )


@pytest.mark.parametrize("scored", [False, True])
def test_residuals_are_functions_of_the_smooth_numbers(scored):
    """Whose squares and gradients are those of an evaluation; those of a dose for an effect are means."""
    o = objective(every_kind())
    if scored:
        o = o.with_sampling(o.sampling_at(o.start))
    for seed in range(3):
        x = o.start + 0.1 * np.random.default_rng(seed).standard_normal(o.start.size)
        numbers, jacobian = o.smooth(x)
        squares, by_numbers = o.squares_of(numbers)
        found = o.evaluate(x, jacobian=True)
        assert numbers.size > found.residuals.size
        assert squares == pytest.approx(found.residuals @ found.residuals, rel=1e-9)
        np.testing.assert_allclose(
            by_numbers @ jacobian, 2 * found.residuals @ found.jacobian, rtol=1e-7, atol=1e-7
        )


def test_an_evaluation_scored_anew_is_that_of_a_simulation():
    plain = objective(every_kind())
    x = plain.start + 0.05
    scored = plain.with_sampling(plain.sampling_at(plain.start))
    known, before = plain.evaluate(x, jacobian=True), scored.simulations
    found = scored.anew(x, known)
    assert scored.simulations == before
    wanted = scored.evaluate(x, jacobian=True)
    assert not np.array_equal(found.residuals, known.residuals)
    np.testing.assert_array_equal(found.residuals, wanted.residuals)
    np.testing.assert_array_equal(found.jacobian, wanted.jacobian)
    np.testing.assert_array_equal(found.predicted_jacobian, wanted.predicted_jacobian)
    assert scored.anew(x, plain.evaluate(x)) is None


def test_trials_are_simulated_in_the_arms_of_rows_that_they_tell_of():
    runs = []

    def solve(kernel, subjects, events, times, **how):
        runs.append((len(subjects), events.amount.tolist()))
        return Solver()(kernel, subjects, events, times, **how)

    rows = every_kind().keep(lambda row: row.id in ("base", "change", "dose"))
    both = objective(rows, solve=solve)
    alone = both.restricted(lambda row: row.id != "dose")
    assert len(alone.plan.arms) < len(both.plan.arms)
    runs.clear()
    found = both.sampling_at(both.start)
    many = [run for run in runs if run[0] >= SAMPLING_SUBJECTS]
    runs.clear()
    of_alone = alone.sampling_at(both.start)
    wanted = [run for run in runs if run[0] >= SAMPLING_SUBJECTS]
    assert many == wanted and len(wanted) > 0
    assert found.kept(["base", "change"]).stated() == of_alone.stated()
    assert set(found.scores[found.ids.index("dose")]) == {None}


def test_the_jacobian_is_that_of_finite_differences():
    o = objective(every_kind())
    generator = np.random.default_rng(4)
    x = o.start + 0.1 * generator.standard_normal(o.start.size)
    exact = o.evaluate(x, jacobian=True)
    kinds = [c.kind for c in o.coordinates]
    assert {"parameter", "between-subject SD", "study effect", "proportional error", "additive error"} == set(
        kinds
    )
    for i in range(x.size):
        step = np.zeros_like(x)
        step[i] = 1e-6
        up, down = o.evaluate(x + step), o.evaluate(x - step)
        numeric = (up.residuals - down.residuals) / 2e-6
        np.testing.assert_allclose(
            exact.jacobian[:, i], numeric, rtol=2e-5, atol=2e-6, err_msg=o.coordinates[i].name
        )
        predicted = np.array(
            [(a.predicted - b.predicted) / 2e-6 for a, b in zip(up.terms, down.terms, strict=True)]
        )
        np.testing.assert_allclose(exact.predicted_jacobian[:, i], predicted, rtol=2e-5, atol=2e-5)


def test_residuals_without_and_with_jacobian_agree_and_repeat():
    o = objective(every_kind())
    plain, full = o.evaluate(o.start), o.evaluate(o.start, jacobian=True)
    np.testing.assert_array_equal(plain.residuals, full.residuals)
    np.testing.assert_array_equal(plain.residuals, objective(every_kind()).evaluate(o.start).residuals)


def test_an_evaluation_does_not_depend_on_those_before_it():
    # bit for bit: in any order, with or without Jacobian before, from any thread, and by a new objective
    rows = every_kind()
    o = objective(rows)
    generator = np.random.default_rng(9)
    points = [o.start + 0.2 * generator.standard_normal(o.start.size) for _ in range(4)]
    alone = [objective(rows).evaluate(x, jacobian=True) for x in points]
    for k in (2, 0, 3, 1, 1, 0, 2, 3):
        if k % 2:
            o.evaluate(points[k - 1])
        plain = o.evaluate(points[k])
        for again in (o.evaluate(points[k], jacobian=True), o.with_jacobian(points[k], plain)):
            np.testing.assert_array_equal(again.residuals, alone[k].residuals)
            np.testing.assert_array_equal(again.jacobian, alone[k].jacobian)
            np.testing.assert_array_equal(again.predicted_jacobian, alone[k].predicted_jacobian)
    shared = objective(rows)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: shared.evaluate(points[k % 4], jacobian=True), range(16)))
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found.residuals, alone[k % 4].residuals)
        np.testing.assert_array_equal(found.jacobian, alone[k % 4].jacobian)
    assert shared.bad == 0


def test_an_objective_of_a_compiled_model_has_no_memory(tmp_path):
    spec = fitting.read_fit(toy.write(tmp_path / "toy"))
    s = System.load(spec.main.model)
    rows = fitting.in_units(read_data(spec.data), s).rows

    def made():
        return Objective(s, spec.main, rows, options=spec.options)

    o, x = made(), made().start
    moved = x + 0.3
    first = o.evaluate(x, jacobian=True)
    o.evaluate(moved, jacobian=True)
    for other in (o.evaluate(x, jacobian=True), made().evaluate(x, jacobian=True)):
        np.testing.assert_array_equal(other.residuals, first.residuals)
        np.testing.assert_array_equal(other.jacobian, first.jacobian)
    late = made()
    late.evaluate(moved, jacobian=True)
    np.testing.assert_array_equal(late.evaluate(x, jacobian=True).jacobian, first.jacobian)


def test_solvers_that_are_bound_find_what_a_solve_finds(tmp_path, monkeypatch):
    monkeypatch.setattr("pkpd.inference.objective.is_quicker", lambda *_: False)  # forward, as a solve
    spec = fitting.read_fit(toy.write(tmp_path / "toy"))
    s = System.load(spec.main.model)
    rows = fitting.in_units(read_data(spec.data), s).rows
    looked = [0]

    def solving(*given, **named):
        looked[0] += 1
        return solve(*given, **named)

    bound = Objective(s, spec.main, rows, options=spec.options)
    other = Objective(s, spec.main, rows, options=spec.options, solve=solving)
    for of in (bound, bound.on_threads(2), pickle.loads(pickle.dumps(bound))):
        for step in (0.0, 0.3, -0.2, 0.0):
            x = bound.start + step
            found, expected = of.evaluate(x, jacobian=True), other.evaluate(x, jacobian=True)
            np.testing.assert_array_equal(found.residuals, expected.residuals)
            np.testing.assert_array_equal(found.jacobian, expected.jacobian)
    assert looked[0] > 0


def test_a_parameter_that_is_idle_at_the_start_only_is_not_left_out():
    # with Emax = 0 EC50 moves nothing there, but everywhere else
    rows = data(
        line("a", time="1", value=60, spread=2, spread_type="SE"),
        line("b", time="4", value=55, spread=2, spread_type="SE"),
    )
    s = system(Emax=parameter("Emax", 0.0, "1", ("uniform", (-5.0, 5.0)), lower=-math.inf))
    o = objective(rows, ModelSpec("direct", free={"Emax": None, "EC50": None}), of=s)
    assert o.start[0] == 0 and not o.evaluate(o.start, jacobian=True).jacobian[:, 1].any()
    assert np.all(o.evaluate(o.start + np.array([1.0, 0.0]), jacobian=True).jacobian[:, 1] != 0)


def test_what_moves_nothing_of_an_arm_is_not_differentiated():
    rows = data(
        line("b", schedule="none", time="0", value=50, spread=2, spread_type="SE"),
        line("a", value=60, spread=2, spread_type="SE"),
    )
    o = objective(rows)
    placebo, dosed = (o._directions[k] for k in (0, 1))
    assert placebo == (NAMES.index("E0"),) and dosed == tuple(range(6))


def test_a_direction_that_comes_to_life_far_from_the_start_is_found_at_the_optimum():
    class Threshold(Solver):
        """EC50 acts only where E0 is above 70, far from the start."""

        def __call__(self, kernel, parameters, events, times, *, directions=(), **given):
            found = super().__call__(kernel, parameters, events, times, directions=directions, **given)
            if directions and 5 in directions:
                low = parameters[:, 3] < 70
                found.sensitivities[low, ..., list(directions).index(5)] = 0
            return found

    rows = data(
        line("a", time="1", value=160, spread=2, spread_type="SE"),
        line("b", time="0", schedule="none", value=95, spread=2, spread_type="SE"),
    )
    s = system(E0=parameter("E0", 50.0, "1/uL", ("lognormal", (50.0, 0.1))))
    o = objective(rows, ModelSpec("direct", free={"E0": None, "EC50": None}), of=s, solve=Threshold())
    assert o.widened(o.start) is o
    far = o.start + np.array([0.8, 0.0])
    assert not o.evaluate(far, jacobian=True).jacobian[:, 1].any()
    wider = o.widened(far)
    assert wider.evaluate(far, jacobian=True).jacobian[0, 1] != 0
    np.testing.assert_array_equal(wider.evaluate(far).residuals, o.evaluate(far).residuals)


def test_the_baseline_is_taken_before_a_bolus_at_time_zero():
    # the response jumps with an IV bolus: relative to just after the dose the change would be about nothing
    o = objective(
        data(
            line(
                "r",
                schedule="20 mg iv once",
                measure="percent_change",
                time="0.01",
                value=60,
                unit="percent",
                spread=20,
                spread_type="SE",
            )
        )
    )
    assert o.evaluate(o.start).terms[0].predicted > 30


def test_time_counts_from_day_0_of_the_schedule_not_from_its_first_dose():
    rows = data(
        line("late", schedule="20 mg iv once from day 1", output="conc", time="26", value=0.5, unit="mg/L"),
        line("plain", schedule="20 mg iv once", output="conc", time="2", value=0.5, unit="mg/L"),
        line("before", schedule="20 mg iv once from day 1", time="23"),
        line(
            "change",
            schedule="20 mg iv once from day 1",
            measure="percent_change",
            time="1.05",
            time_unit="d",
            value=50,
            unit="percent",
        ),
        line(
            "peak",
            schedule="20 mg sc once from day 1",
            output="conc",
            reducer="tmax",
            time="0..48",
            value=2,
            unit="h",
            spread=1,
            spread_type="SD",
        ),
        line(
            "peak_after",
            schedule="20 mg sc once",
            output="conc",
            reducer="tmax",
            time="0..24",
            value=2,
            unit="h",
            spread=1,
            spread_type="SD",
        ),
    )
    o = objective(rows, ModelSpec("direct"), options=replace(OPTIONS, subjects=1))
    found = {row.id: term.predicted for row, term in zip(o.rows, o.evaluate(o.start).terms, strict=True)}
    assert found["late"] == pytest.approx(20 / 30 * math.exp(-4 / 30 * 2), rel=1e-12)
    assert found["plain"] == pytest.approx(found["late"], rel=1e-12)
    assert found["before"] == pytest.approx(
        50.0, rel=1e-12
    )  # day 0 is before the dose, and so is the baseline
    c = 20 / 30 * math.exp(-4 / 30 * 1.2)
    assert found["change"] == pytest.approx(100 * 2 * c / (1 + c), rel=1e-9)
    assert found["peak"] == pytest.approx(24 + found["peak_after"], abs=0.05)


def test_time_of_a_row_is_the_clock_of_simulate(tmp_path):
    schedule = "100 mg oral once from day 1"
    lines = [
        "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
        "statistic,value,unit,source,provenance"
    ]
    lines += [f"r{h},A,a,6,{schedule},C,value,at,{h},h,mean,1,mg/L,made up,reported" for h in (12, 25, 30)]
    s = System.load("one_compartment_oral")
    spec = replace(SPEC, main=ModelSpec("one_compartment_oral"), options=FitOptions(subjects=1, rtol=1e-9))
    o = Objective(s, spec.main, fitting.in_units(parse_data("\n".join(lines)), s).rows, options=spec.options)
    profile = simulate(s.kernel, Schedule.parse(schedule), times=[12.0, 25.0, 30.0], rtol=1e-9)["C"][0]
    np.testing.assert_allclose([term.predicted for term in o.evaluate(o.start).terms], profile, rtol=1e-6)
    assert profile[0] == 0 < profile[1]


# --- recovering a known truth

TRUTH = {"ka": 1.2, "CL": 5.5, "V": 30.0, "E0": 60.0, "Emax": 2.6, "EC50": 0.7}
SPREADS = {"CL": 0.35, "E0": 0.3, "Emax": 0.2}


def trial(seed: int, n: int = 30) -> Data:
    """Summaries of simulated trials: means and SDs of n patients with noise, at several doses and times."""
    generator = np.random.default_rng(seed)
    solve = Solver()
    lines = []
    for study, doses, shift in (("A", (0, 10, 40), 0.15), ("B", (20, 80), -0.1), ("C", (5, 160), 0.05)):
        for dose in doses:
            schedule = f"{dose} mg sc once" if dose else "none"
            o = objective(data(line("x", study, schedule=schedule)), solve=solve)
            p = np.tile([TRUTH[name] for name in NAMES], (n, 1))
            p[:, 3] *= math.exp(shift)
            for name, sd in SPREADS.items():
                p[:, NAMES.index(name)] *= np.exp(sd * generator.standard_normal(n))
            times = np.array([0.0, 1.0, 4.0, 12.0])
            out = solve(None, p, o._arm_events[0], times).outputs
            measured = out * (1 + 0.05 * generator.standard_normal(out.shape))
            for i, time in enumerate(times):
                for j, (name, unit) in enumerate((("conc", "mg/L"), ("resp", "1/uL"))):
                    y = measured[:, i, j]
                    if y.mean() > 0:
                        lines.append(
                            line(
                                f"{name}{study}{dose}t{time:g}",
                                study,
                                f"{dose} mg",
                                n,
                                schedule,
                                "",
                                name,
                                time=f"{time:g}",
                                value=y.mean(),
                                unit=unit,
                                spread=y.std(ddof=1),
                                spread_type="SD",
                            )
                        )
    return data(*lines)


SPEC = FitSpec(
    name="made_up",
    title="made-up trials",
    folder=Path("."),
    data=Path("data.csv"),
    main=ModelSpec(
        "direct",
        between={"CL": None, "E0": None},
        study_effects=(StudyEffect("E0", 0.2),),
        noise={"resp": NoiseSpec(0.05), "conc": NoiseSpec(0.05)},
    ),
    options=OPTIONS,
)


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fitting.run(SPEC, system(), trial(1), solve=Solver(), threads=1)


def test_a_relative_error_is_that_of_the_value_in_percent(result):
    """On the scale of logarithms an SD is relative already; elsewhere it is divided by the value."""
    for e in result.estimates:
        relative = {"log": e.x_sd, "logit": e.x_sd * (1 - e.value), "natural": e.x_sd / abs(e.value)}
        assert e.rse == pytest.approx(100 * relative[e.scale], rel=1e-9)


def test_a_fit_to_simulated_summaries_recovers_the_truth(result):
    assert result.converged and not result.interrupted
    found = {e.name: e for e in result.estimates}
    for name, truth in {**TRUTH, "SD CL": 0.35, "SD E0": 0.3}.items():
        estimate = found[name]
        assert abs(estimate.x - math.log(truth)) < 3.2 * estimate.x_sd, (name, estimate.value, truth)
    assert found["CL"].verdict.startswith("the data inform") and found["CL"].rse < 15
    assert 0.6 < result.ofv / (result.n_residuals - result.effective_parameters) < 1.6


@pytest.mark.long
def test_its_intervals_hold_the_truth_as_often_as_they_say():
    scores = []
    for seed in range(2, 8):  # test_coverage.py counts 250 fits, of a model in closed form
        found = fitting.run(
            replace(SPEC, options=replace(OPTIONS, starts=1)),
            system(),
            trial(seed),
            solve=Solver(),
            threads=1,
            leave_one_out=False,
        )
        scores += [
            (e.x - math.log(TRUTH[e.name])) / e.x_sd
            for e in found.estimates
            if e.name in ("CL", "V", "ka", "Emax", "EC50")
        ]
    scores = np.array(scores)  # 30 scores, within a fit correlated
    assert 0.6 < scores.std() < 1.5
    assert (np.abs(scores) < 1.96).mean() > 0.8


def test_starts_end_in_one_optimum_and_a_seed_repeats_the_result(result):
    ends = [start.last for start in result.starts]
    assert len(ends) == OPTIONS.starts and max(ends) - min(ends) < fitting.SAME_OPTIMUM
    again = fitting.run(SPEC, system(), trial(1), solve=Solver(), threads=2)
    assert again.ofv == result.ofv and again.estimates == result.estimates


@pytest.mark.parametrize("executor", [Threads(2), Processes(2)], ids=["threads", "processes"])
def test_who_does_the_starts_makes_no_difference(tmp_path, executor):
    folder = toy.write(tmp_path / "toy")
    one, other = (
        fitting.fit(folder, starts=4, rival=False, unverified=False, check=False, threads=threads)
        for threads in (None, executor)
    )
    assert len(one.starts) == 4
    assert other.starts == one.starts and other.estimates == one.estimates and other.ofv == one.ofv


def test_objective_values_add_up(result):
    o = objective(trial(1), SPEC.main)
    stated = result.provenance["sampling"]
    o = o.with_sampling(o.sampling_at(np.array(stated["at"])))
    assert o.sampling.stated() == stated
    assert np.array_equal(Sampling.of_stated(stated).correlation, o.sampling.correlation)
    x = np.array([e.x for e in result.estimates])
    evaluation = o.evaluate(x)
    prior, _ = o.prior(x)
    assert result.ofv == pytest.approx(float(evaluation.residuals @ evaluation.residuals), rel=1e-9)
    assert result.ofv_prior == pytest.approx(float(prior @ prior), rel=1e-6, abs=1e-9)
    constants = sum(t.constant for t in evaluation.terms) + o.log_det
    laplace = marginal.laplace(o, x, o.evaluate(x, jacobian=True))
    assert result.ofv + constants < laplace == pytest.approx(result.minus_2ll, abs=0.5)
    assert result.aic == pytest.approx(result.minus_2ll + 2 * result.effective_parameters)
    assert 0 < result.effective_parameters <= result.n_parameters
    assert result.ofv == pytest.approx(sum(r.contribution for r in result.rows if r.use == "fit"))
    covariance = np.array(result.covariance)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [e.x_sd for e in result.estimates])


def test_a_result_survives_json(result, tmp_path):
    result.write_json(tmp_path / "fit.json")
    back = FitResult.read_json(tmp_path / "fit.json")
    assert back.estimates == result.estimates and back.provenance == result.provenance
    assert back.values == result.values and back.summary() == result.summary()
    assert set(json.loads((tmp_path / "fit.json").read_text())) >= {
        "ofv",
        "estimates",
        "rows",
        "provenance",
        "identifiability",
    }
    (tmp_path / "bad.json").write_text('{"ofv": 1}')
    with pytest.raises(DataError, match="not the JSON of a fit"):
        FitResult.read_json(tmp_path / "bad.json")


def test_the_summary_names_what_matters(result):
    text = result.summary()
    for word in (
        "converged",
        "OFV",
        "-2LL",
        "AIC",
        "CL",
        "E0 in A",
        "the data inform",
        "concA10t1",
        "seed 3",
    ):
        assert word in text


# --- what the data do not say


def test_verdicts_tell_data_from_prior_and_what_cannot_be_told_apart():
    rows = data(
        line("c1", output="conc", time="1", value=0.3, unit="mg/L", spread=0.003, spread_type="SE"),
        line("b", schedule="none", time="0", value=50, spread=0.5, spread_type="SE"),
    )
    free = {"V": Prior("lognormal", 30, 2.0), "ka": Prior("lognormal", 1.2, 2.0), "E0": None, "EC50": None}
    found = fitting.run(
        replace(SPEC, main=ModelSpec("direct", free=free)), system(), rows, solve=Solver(), threads=1
    )
    verdict = {e.name: e.verdict for e in found.estimates}
    assert verdict["E0"] == "the data inform"
    assert verdict["EC50"] == "mostly the prior"
    assert "correlated with ka" in verdict["V"] and "correlated with V" in verdict["ka"]
    assert found.informed_directions == 2
    assert "EC50" in found.identifiability


def test_without_any_prior_a_parameter_that_touches_nothing_is_not_identified():
    rows = data(line("b", schedule="none", time="0", value=50, spread=0.5, spread_type="SE"))
    s = system(EC50=parameter("EC50", 1.0, "mg/L"))
    found = fitting.run(
        replace(SPEC, main=ModelSpec("direct", free={"E0": None, "EC50": None})),
        s,
        rows,
        solve=Solver(),
        threads=1,
    )
    verdict = {e.name: e for e in found.estimates}
    assert verdict["EC50"].verdict.startswith("not identified")
    # the mean over patients is 50, and so the typical patient is below it
    assert verdict["E0"].value == pytest.approx(50 * math.exp(-(0.25**2) / 2), rel=0.01)
    FitResult.to_dict(found)


def test_an_estimate_at_its_bound_says_so():
    rows = data(line("b", schedule="none", time="0", value=90, spread=0.5, spread_type="SE"))
    s = system(E0=parameter("E0", 50.0, "1/uL", ("lognormal", (50.0, 0.5)), upper=70.0))
    found = fitting.run(
        replace(SPEC, main=ModelSpec("direct", free={"E0": None})), s, rows, solve=Solver(), threads=1
    )
    assert found.estimates[0].at_bound and found.estimates[0].verdict.startswith("at its bound")
    assert found.estimates[0].value == pytest.approx(70.0)


def test_an_optimum_beyond_flat_bounds_is_found_on_them_and_the_others_go_on():
    # CL and V without priors, V kept below what the data say: the best CL is that of the bound, by SciPy in
    # closed form
    times = (0.5, 2.0, 6.0, 12.0)
    truth = [20 / 9 * math.exp(-3.0 / 9 * t) for t in times]
    rows = data(
        *(
            line(
                f"c{t:g}",
                n="",
                schedule="20 mg iv once",
                output="conc",
                time=f"{t:g}",
                value=repr(c),
                unit="mg/L",
                spread=repr(0.02 * c),
                spread_type="SE",
            )
            for t, c in zip(times, truth, strict=True)
        )
    )
    s = system(CL=parameter("CL", 4.0, "L/h"), V=parameter("V", 3.0, "L"))
    model = ModelSpec("direct", free={"CL": Prior("uniform", 0.1, 50), "V": Prior("uniform", 1, 6)})
    found = fitting.run(
        replace(SPEC, main=model, options=replace(OPTIONS, subjects=1, starts=3)),
        s,
        rows,
        solve=Solver(),
        threads=1,
    )

    def cost(CL):
        return sum(
            ((20 / 6 * math.exp(-CL / 6 * t) - c) / (0.02 * c)) ** 2
            for t, c in zip(times, truth, strict=True)
        )

    right = minimize_scalar(cost, bounds=(0.1, 50), method="bounded", options={"xatol": 1e-10})
    assert found.converged and found.values["V"] == pytest.approx(6.0, rel=1e-12)
    assert found.ofv == pytest.approx(right.fun, abs=OPTIONS.tolerance)
    assert found.values["CL"] == pytest.approx(right.x, rel=1e-3)
    assert {e.name: e.at_bound for e in found.estimates} == {"CL": False, "V": True}


def test_a_shift_without_a_prior_starts_at_zero_and_is_estimated_with_its_standard_error():
    rows = data(
        line("b", n="", schedule="none", time="0", value=50, spread=0.5, spread_type="SE"),
        line("a", n="", time="2", value=44, spread=1.0, spread_type="SE"),
    )
    s = system(Emax=parameter("Emax", 0.0, "1", lower=-math.inf))
    model = ModelSpec("direct", free={"E0": Prior("lognormal", 40, 1.0), "Emax": None})
    found = fitting.run(
        replace(SPEC, main=model, options=replace(OPTIONS, subjects=1)), s, rows, solve=Solver(), threads=1
    )
    c = float(
        outputs(
            np.array([1.2, 4.0, 30, 50, 0, 1.0]),
            SimpleNamespace(time=[0.0], amount=[20.0], route=[0]),
            np.array([2.0]),
        )[0, 0]
    )
    effect = c / (1.0 + c)
    e = {e.name: e for e in found.estimates}["Emax"]
    assert found.converged and e.value == pytest.approx((44 / 50 - 1) / effect, rel=2e-3)
    assert e.x_sd == pytest.approx(math.hypot(1.0, 0.5 * 44 / 50) / 50 / effect, rel=0.01)
    assert e.verdict == "the data inform" and found.condition_number < 1e3


def test_study_effects_that_touch_no_row_are_left_out(result):
    rows = data(
        line("b", time="0", value=50, spread=0.5, spread_type="SE"),
        line("c", "B", schedule="none", time="0", value=50, spread=0.5, spread_type="SE"),
    )
    model = ModelSpec(
        "direct", free={"E0": None}, study_effects=(StudyEffect("Emax", 0.2), StudyEffect("E0", 0.2))
    )
    found = fitting.run(replace(SPEC, main=model), system(), rows, solve=Solver(), threads=1)
    assert [e.name for e in found.estimates] == ["E0", "E0 in A", "E0 in B"]
    assert "Emax in A" in found.notes[0]


# --- failures -------------------------------------------------------------------------------------


def test_failed_simulations_are_counted_and_the_fit_goes_on(result):
    found = fitting.run(SPEC, system(), trial(1), solve=Solver(limit=16.0), threads=1)
    reference = {e.name: e.value for e in result.estimates}
    # some starts and steps go where subjects fail; the optimum does not
    assert found.converged
    assert found.values["CL"] == pytest.approx(reference["CL"], rel=0.02)
    assert found.bad_points == 0 or "stopped" in found.bad_reasons[0]
    tight = fitting.run(
        replace(SPEC, options=replace(OPTIONS, starts=4, seed=8)),
        system(),
        trial(1),
        solve=Solver(limit=8.8),
        threads=1,
    )
    assert tight.bad_points > 0 and tight.values["CL"] < 8.8
    assert "bad points" in tight.summary()


def test_a_model_that_never_runs_is_a_convergence_error():
    with pytest.raises(ConvergenceError, match="cannot be simulated at any start"):
        fitting.run(SPEC, system(), trial(1), solve=Solver(limit=0.0), threads=1)


def test_interrupted_fits_return_the_best_so_far(result):
    solver = Solver()
    solver.interrupt_at = 60
    found = fitting.run(SPEC, system(), trial(1), solve=solver, threads=1)
    assert found.interrupted and not found.converged
    assert "interrupted" in found.summary()
    assert found.ofv >= result.ofv
    early = Solver()
    early.interrupt_at = 10
    with pytest.raises(KeyboardInterrupt):
        fitting.run(SPEC, system(), trial(1), solve=early, threads=1)


# --- rival, left-out studies, refits


def flat() -> System:
    """A rival that knows no effect of the drug."""
    s = system(Emax=parameter("Emax", 1e-9, "1"))
    return replace(s, name="flat", title="no effect", output_units={"conc": "mg/L", "resp": "1/uL"})


def test_the_right_model_wins_against_a_rival_without_effect():
    spec = replace(
        SPEC,
        rival=ModelSpec(
            "flat", free={"E0": None}, study_effects=(StudyEffect("E0", 0.2),), noise=SPEC.main.noise
        ),
    )
    rows = trial(1).keep(lambda row: row.output == "resp")
    found = fitting.run(spec, system(), rows, rival=flat(), solve=Solver(), threads=1).comparison
    assert found is not None and found.main.aic < found.rival.aic - 10 and found.log_density_difference > 10
    assert found.verdict is fitting.Preference.MAIN
    assert "for direct" in found.words() and "for flat" not in found.words()
    assert {item.study for item in found.main.left_out} == {"A", "B", "C"}
    assert found.rival.parameters < found.main.parameters


def test_left_out_studies_are_predicted_with_the_density_of_their_marginal_distribution():
    # one parameter, normal data: the predictive density is known in closed form
    rows = data(
        *(
            line(f"r{s}", s, schedule="none", time="0", value=v, spread=2, spread_type="SE")
            for s, v in (("A", 48.0), ("B", 55.0), ("C", 51.0))
        )
    )
    s = system(E0=parameter("E0", 50.0, "1/uL", ("normal", (50.0, 10.0))))
    model = ModelSpec("direct", free={"E0": None})
    o = objective(rows, model, of=s, options=replace(OPTIONS, subjects=1))
    best = fitting.minimise(o, o.start)
    found = {item.study: item for item in fitting.leave_one_study_out(o, best)}
    values = {"A": 48.0, "B": 55.0, "C": 51.0}
    for study, value in values.items():
        others = [v for name, v in values.items() if name != study]
        precision = 1 / 100 + len(others) / 4
        mean, variance = (50 / 100 + sum(others) / 4) / precision, 1 / precision + 4
        expected = -0.5 * ((value - mean) ** 2 / variance + math.log(2 * math.pi * variance))
        assert found[study].log_density == pytest.approx(expected, abs=0.04)


def test_unverified_rows_can_be_left_out_and_what_changes_is_shown():
    wrong = line(
        "wrong",
        "A",
        "0",
        30,
        "none",
        time="0",
        value=90,
        spread=0.2,
        spread_type="SE",
        provenance="unverified",
    )
    rows = trial(1)
    rows = replace(rows, rows=rows.rows + data(wrong).rows)
    found = fitting.run(SPEC, system(), rows, solve=Solver(), threads=1)
    assert found.unverified is not None and found.unverified.left_out == ("wrong",)
    moved = [change.name for change in found.unverified.changes if abs(change.shift) > 1]
    assert moved and all(name in found.asides()["unverified"] for name in moved)
    assert found.unverified.verdict is fitting.Reliance.RELIES
    assert found.unverified.predicted[0].id == "wrong"
    without = fitting.run(SPEC, system(), rows, solve=Solver(), threads=1, leave_out_unverified=True)
    assert "wrong" not in [row.id for row in without.rows] and without.unverified is None
    assert without.ofv == pytest.approx(found.unverified.ofv, abs=0.05)
    assert without.provenance["unverified_left_out"] is True


def test_the_inner_check_predicts_rows_that_were_not_fitted():
    names = tuple(
        row.id for row in trial(1).rows if row.study == "A" and "40" in row.id and row.output == "resp"
    )
    found = fitting.run(
        replace(SPEC, check=Check(names, title="40 mg")), system(), trial(1), solve=Solver(), threads=1
    )
    assert found.check is not None and {row.id for row in found.check.predicted} == set(names)
    assert found.check.words().count("within") >= 3 and "40 mg" in found.summary()
    outside = any(row.as_expected() is False for row in found.check.predicted)
    assert found.check.verdict is (fitting.Foreseen.OUTSIDE if outside else fitting.Foreseen.WITHIN)


def test_a_result_that_was_saved_with_sentences_is_told_in_the_same_ones():
    file = Path(__file__).parents[1] / "reference" / "low_dose_il2_result.json"
    kept, found = json.loads(file.read_text(encoding="utf-8")), FitResult.read_json(file)
    told = {"rival": kept["comparison"], "unverified": kept["unverified"], "check": kept["check"]}
    assert found.asides() == {name: part["verdict"] for name, part in told.items()}
    assert found.comparison.verdict is fitting.Preference.NEITHER
    assert (found.unverified.verdict, found.check.verdict) == ("estimates move", "outside")


def test_check_rows_are_predicted_but_not_fitted(result):
    rows = trial(1)
    rows = replace(
        rows,
        rows=rows.rows
        + data(
            line("extra", "A", use="check", value=5.0, spread=0.1, spread_type="SE"),
            line("note", "A", use="context", value=5.0),
        ).rows,
    )
    found = fitting.run(SPEC, system(), rows, solve=Solver(), threads=1)
    assert found.ofv == pytest.approx(result.ofv, abs=0.02)
    assert [row.use for row in found.rows if row.id == "extra"] == ["check"]
    assert "note" not in [row.id for row in found.rows]


def test_a_compiled_model_of_the_library_is_fitted_from_its_folder(tmp_path):
    # the whole way once: folder, model text, compiled kernel, sensitivities, and the numbers of the model
    # come back
    (tmp_path / "fit.toml").write_text(
        """
        title = "one compartment"
        model = "one_compartment_oral"
        [options]
        starts = 2
        [free]
        ka = "lognormal(1, 0.7)"
        CL = "lognormal(4, 0.7)"
        V = "lognormal(25, 0.7)"
        [between]
        CL = "lognormal(0.4, 0.7)"
        [noise.C]
        proportional = 0.05
        """
    )
    k, ka, V = 2.8 / 32, 1.57, 32.0
    z = fitting.quasi_normals(64, 2, 5)
    lines = [HEADER]
    for hours in (0.5, 1, 2, 4, 8, 16, 24, 36):
        CL, absorption = 2.8 * np.exp(0.25 * z[:, 0]), ka * np.exp(0.64 * z[:, 1])
        k = CL / V
        c = 320 / V * absorption / (absorption - k) * (np.exp(-k * hours) - np.exp(-absorption * hours))
        c = c * (1 + 0.05 * np.random.default_rng(int(10 * hours)).standard_normal(64))
        lines.append(
            line(
                f"c{hours:g}",
                n=64,
                schedule="320 mg oral once",
                output="C",
                time=f"{60 * hours:g}",
                time_unit="min",
                value=1000 * c.mean(),
                unit="ug/L",
                spread=1000 * c.std(ddof=1),
                spread_type="SD",
            )
        )
    (tmp_path / "data.csv").write_text("\n".join(lines))
    seen = []
    found = fitting.fit(tmp_path, threads=2, progress=lambda what, share, remark: seen.append((what, share)))
    assert found.converged and found.bad_points == 0
    for name, truth in {"ka": 1.57, "CL": 2.8, "V": 32.0, "SD CL": 0.25}.items():
        estimate = next(e for e in found.estimates if e.name == name)
        assert abs(estimate.x - math.log(truth)) < 3.5 * estimate.x_sd + 0.02, name
    assert (
        found.provenance["versions"]["numpy"] == np.__version__ and len(found.provenance["data_sha256"]) == 64
    )
    assert seen[-1] == ("fit", 1.0) and all(0 <= share <= 1 for _, share in seen)


# --- the population -------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "dimensions"), [(16, 3), (24, 8), (16, 0), (1, 4), (4, 6)])
def test_quasi_random_subjects_are_balanced(count, dimensions):
    z = fitting.quasi_normals(count, dimensions, 7)
    assert z.shape == (count, dimensions)
    np.testing.assert_array_equal(z, fitting.quasi_normals(count, dimensions, 7))
    if count > dimensions + 1 and dimensions:
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(z.T @ z / count, np.eye(dimensions), atol=1e-9)
    if count == 1:
        assert not z.any()  # one subject is the typical one


def test_sixteen_subjects_give_the_moments_of_many():
    rows = every_kind().keep(lambda row: row.id in ("c_max", "c_auc", "change", "pct", "base"))
    few = objective(rows)
    many = objective(rows, options=replace(OPTIONS, subjects=2048))
    for a, b in zip(few.evaluate(few.start).terms, many.evaluate(many.start).terms, strict=True):
        assert a.predicted == pytest.approx(b.predicted, rel=0.02)


def medians(n: int) -> Data:
    """Rows at rest, where the response is log-normal: their truth is known in closed form."""
    se = 0.4 * 50 / math.sqrt(n)
    return data(
        line(
            "median",
            schedule="none",
            time="0",
            statistic="median",
            n=n,
            value=50,
            spread=se,
            spread_type="SE",
        ),
        line("mean", schedule="none", time="0", n=n, value=50 * math.exp(0.5), spread=se, spread_type="SE"),
    )


@pytest.mark.parametrize("subjects", [8, 16, 64])
def test_what_the_number_of_subjects_costs_is_measured_as_it_is(subjects):
    s = system(E0=parameter("E0", 50.0, "1/uL", ("lognormal", (50.0, 0.5)), 1.0))
    o = objective(medians(100), ModelSpec("direct"), of=s, options=replace(OPTIONS, subjects=subjects))
    best = SimpleNamespace(x=o.start, evaluation=o.evaluate(o.start))
    errors = subjects_errors(o, best)
    for row, truth in zip(o.rows, (50, 50 * math.exp(0.5)), strict=True):
        term = next(t for r, t in zip(o.rows, best.evaluation.terms, strict=True) if r.id == row.id)
        # the many leave an error of their own
        assert errors[row.id] == pytest.approx(abs(term.predicted - truth) / 2.0, rel=0.35, abs=0.03), row.id


def test_rows_that_the_number_of_subjects_costs_too_much_are_named():
    s = system(E0=parameter("E0", 50.0, "1/uL", ("lognormal", (50.0, 0.5)), 1.0))
    spec = replace(SPEC, main=ModelSpec("direct", free={"E0": None}), options=replace(OPTIONS, starts=1))
    few = fitting.run(spec, s, medians(1000), solve=Solver(), threads=1)
    assert (
        "16 subjects in each arm are few" in few.notes[-1]
        and "median" in few.notes[-1]
        and "--subjects" in few.notes[-1]
    )
    assert few.notes[-1] in few.summary()
    large = [row.id for row in few.rows if row.subjects_error > 0.1]
    assert large and all(name in few.notes[-1] for name in large)
    enough = fitting.run(
        replace(spec, options=replace(spec.options, subjects=1024)),
        s,
        medians(1000),
        solve=Solver(),
        threads=1,
    )
    assert "are few" not in enough.notes[-1] and max(row.subjects_error for row in enough.rows) < 0.1
    # the estimate is that of the population: between the two rows, which agree with each other at 50
    assert enough.values["E0"] == pytest.approx(50, rel=0.005)


def test_a_result_of_an_earlier_version_is_read(result, tmp_path):
    values = result.to_dict()
    for row in values["rows"]:
        del row["subjects_error"]
    (tmp_path / "old.json").write_text(to_json(values))
    back = FitResult.read_json(tmp_path / "old.json")
    assert math.isnan(back.rows[0].subjects_error) and back.estimates == result.estimates


# --- the folder -----------------------------------------------------------------------------------

TOML = """
title = "made up"
model = "direct"
[options]
subjects = 8
[free]
CL = true
V = "lognormal(30, 0.4)"
[between]
CL = "lognormal(0.3, 0.5)"
[study_effects]
E0 = 0.2
V = { sd = 0.3, studies = ["A"] }
[noise]
resp = { proportional = 0.1, free = true }
[errors]
default = 0.25
mean_only = ["base"]
[errors.rows]
base = 0.1
[report]
outputs = ["resp"]
notes = ["read me first"]
[rival]
model = "flat"
[check]
title = "t"
leave_out = ["base"]
"""


def folder(tmp_path: Path, text: str = TOML) -> Path:
    (tmp_path / "fit.toml").write_text(text)
    (tmp_path / "data.csv").write_text("\n".join([HEADER, line("base", value=48, time="0")]))
    return tmp_path


def test_the_tolerance_of_the_search_is_read_and_can_be_overridden(tmp_path):
    spec = fitting.read_fit(toy.write(tmp_path / "toy"))
    assert spec.options.tolerance == 1e-3
    toml = tmp_path / "toy" / "fit.toml"
    toml.write_text(toml.read_text().replace("[options]", "[options]\ntolerance = 0.01"))
    assert fitting.read_fit(tmp_path / "toy").options.tolerance == 0.01
    found = fitting.fit(tmp_path / "toy", tolerance=1e-6, rival=False, unverified=False, check=False)
    assert found.converged and found.provenance["ofv_tolerance"] == 1e-6


def test_a_fit_folder_is_read_as_written(tmp_path):
    spec = fitting.read_fit(folder(tmp_path))
    assert spec.main.free == {"CL": None, "V": Prior("lognormal", 30, 0.4)}
    assert spec.main.study_effects == (StudyEffect("E0", 0.2), StudyEffect("V", 0.3, ("A",)))
    assert spec.main.noise == {"resp": NoiseSpec(0.1, 0.0, True)}
    assert spec.options.subjects == 8 and spec.relative_error == 0.25 and spec.row_errors == {"base": 0.1}
    assert spec.rival is not None and spec.rival.model == "flat" and spec.check == Check(("base",), (), "t")
    assert spec.mean_only == ("base",) and spec.shown == ("resp",)
    assert spec.notes == ("read me first",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[free]", "[fre]", 'unknown key "fre"; did you mean "free"'),
        ("subjects = 8", "subjects = -8", "subjects must be a whole number"),
        ("subjects = 8", 'subjects = "8"', "subjects must be a whole number"),
        ("subjects = 8", "tolerance = 0", "tolerance = 0 must lie between 1e-09 and 10"),
        ("subjects = 8", 'tolerance = "fine"', "tolerance must be a number"),
        ('"lognormal(30, 0.4)"', '"lognormal(30)"', "is not a prior"),
        ('"lognormal(30, 0.4)"', '"lognormal(-30, 0.4)"', "must be positive"),
        ('"lognormal(30, 0.4)"', '"lognomal(30, 0.4)"', 'did you mean "lognormal"'),
        ('"lognormal(30, 0.4)"', '"lognormal(30, nan)"', "must be finite"),
        ("E0 = 0.2", "E0 = 0", "must lie between"),
        ('model = "direct"', "", 'model = "..." is needed'),
        ("default = 0.25", "default = nan", "must be a number"),
        ("proportional", "proportion", 'did you mean "proportional"'),
        ("free = true }", "correlation = 1 }", "correlation = 1 must lie between 0 and 0.99"),
        ("free = true }", 'correlation = 0.5, per = "28" }', "per must be a time with its unit"),
        ("free = true }", 'correlation = 0.5, per = "28 mg" }', "per must be a time with its unit"),
        ("free = true }", 'per = "28 d" }', "per needs correlation"),
        ('title = "made up"', 'title = "made up', "fit.toml"),
    ],
)
def test_what_is_wrong_in_a_fit_folder_is_named(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(").replace("...", r"\.\.\.")):
        fitting.read_fit(folder(tmp_path, TOML.replace(old, new, 1)))


def test_the_errors_of_visits_may_go_together(tmp_path):
    text = TOML.replace("free = true }", 'correlation = 0.5, per = "4 weeks" }', 1)
    noise = fitting.read_fit(folder(tmp_path, text)).main.noise["resp"]
    assert (noise.correlation, noise.per_d) == (0.5, 28.0)
    assert math.isinf(fitting.read_fit(folder(tmp_path)).main.noise["resp"].per_d)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('{rows = ["base"], value = 0.4}', "at least two rows"),
        ('{rows = ["base", "base"], value = 0.4}', "each once"),
        ('{rows = ["base", "late"], value = 1.0}', "without the ends"),
        ('{rows = ["base", "late"], value = -1.2}', "must lie between -1 and 1"),
        ('{rows = ["base", "late"]}', "value must be a number"),
        ('{rows = ["base", "late"], values = 0.4}', 'did you mean "value"'),
        ('"base", "late"', "must be a list such as"),
        ('{rows = ["a", "b"], value = 0.4}, {rows = ["b", "a"], value = 0.2}', "named together twice"),
        ('{rows = ["a", "b", "c"], value = -0.6}', "not positive definite"),
        (
            '{rows = ["a", "b"], value = 0.9}, {rows = ["b", "c"], value = 0.9}, '
            '{rows = ["a", "c"], value = 0.1}',
            "not positive definite",
        ),
    ],
)
def test_correlations_that_no_numbers_have_are_refused_with_file_and_line(tmp_path, entries, message):
    text = TOML.replace("[errors.rows]", f"correlations = [{entries}]\n[errors.rows]")
    with pytest.raises(DataError, match=rf"fit\.toml: \[errors\], line 19: correlations.*{message}"):
        fitting.read_fit(folder(tmp_path, text))


def test_correlations_of_rows_that_the_data_do_not_have_are_named(tmp_path):
    text = TOML.replace(
        "[errors.rows]", 'correlations = [{rows = ["base", "bass"], value = 0.4}]\n[errors.rows]'
    )
    with pytest.raises(DataError, match=r'correlations: the data have no row "bass"; did you mean "base"'):
        fitting.fit(folder(tmp_path, text))


def test_declared_correlations_hold_beside_those_of_the_patients():
    wanted = ("base", "change", "dose", "fold")
    rows = every_kind().keep(lambda row: row.id in wanted)
    plain = objective(rows)
    declared = objective(rows, correlations=(Correlation(("dose", "fold"), 0.4),))
    x = plain.start
    one, other = plain.sampling_at(x), declared.sampling_at(x)
    sizes = [len(each) for each in one.scores]
    first = dict(zip(one.ids, np.cumsum([0, *sizes]), strict=False))
    i, j = first["dose"], first["fold"]
    assert one.correlation[i, j] == 0 and other.correlation[i, j] == pytest.approx(0.4)
    rest = np.ones_like(one.correlation, dtype=bool)
    rest[i, j] = rest[j, i] = False
    np.testing.assert_array_equal(one.correlation[rest], other.correlation[rest])
    # z' R^-1 z of the two alone
    pair = declared.with_sampling(other).restricted(lambda row: row.id in ("dose", "fold"))
    found = pair.evaluate(x)
    z = np.concatenate([term.residuals for term in found.terms])
    assert found.residuals @ found.residuals == pytest.approx(
        (z[0] ** 2 + z[1] ** 2 - 2 * 0.4 * z[0] * z[1]) / (1 - 0.4**2)
    )
    assert found.log_det == pytest.approx(math.log(1 - 0.4**2))


def test_declared_correlations_hold_where_no_trials_could_be_simulated():
    # as of a start at which some of many patients cannot be: the errors are those of the columns
    rows = every_kind().keep(lambda row: row.id in ("base", "dose", "fold"))
    declared = objective(rows, correlations=(Correlation(("dose", "fold"), 0.4),))
    plain, x = objective(rows), declared.start
    assert declared.sampling is None
    z, found = plain.evaluate(x), declared.evaluate(x, jacobian=True)
    first = dict(zip([r.id for r in plain.rows], [t.residuals for t in z.terms], strict=True))
    (a, *_), (b, *_) = first["dose"], first["fold"]
    rest = float(z.residuals @ z.residuals) - a**2 - b**2
    assert found.residuals @ found.residuals == pytest.approx(
        rest + (a**2 + b**2 - 2 * 0.4 * a * b) / (1 - 0.4**2)
    )
    assert found.log_det == pytest.approx(math.log(1 - 0.4**2))
    np.testing.assert_allclose(declared.coloured(found.residuals), z.residuals)
    exact = plain.with_jacobian(x, z).jacobian
    np.testing.assert_allclose(declared.coloured(found.jacobian), exact, atol=1e-12)
    single = declared.restricted(lambda row: row.id == "dose")
    assert single.log_det == 0 and single.evaluate(x).residuals == pytest.approx(first["dose"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('leave_out = ["base"]', 'leave_out = ["bass"]', 'no row "bass"; did you mean "base"'),
        ("base = 0.1", "bas = 0.1", 'no row "bas"'),
        ('studies = ["A"]', 'studies = ["AA"]', 'no study "AA"; did you mean "A"'),
    ],
)
def test_rows_and_studies_that_the_data_do_not_have_are_named(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message):
        fitting.fit(folder(tmp_path, TOML.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"free": {"CLL": None}}, 'no parameter "CLL"; did you mean "CL"'),
        ({"between": {"V": None}}, "no between-subject variability"),
        ({"noise": {"respp": NoiseSpec(0.1)}}, 'no output "respp"; did you mean "resp"'),
        ({"study_effects": (StudyEffect("E00", 0.1),)}, 'did you mean "E0"'),
    ],
)
def test_names_that_the_model_does_not_have_are_named(change, message):
    with pytest.raises(DataError, match=message):
        fitting.run(
            replace(SPEC, main=replace(SPEC.main, **change)), system(), trial(1), solve=Solver(), threads=1
        )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("[noise]\nCC = { proportional = 0.1 }", r"fit\.toml, \[noise\]: the model has no output .CC."),
        ("[rival.noise]\nCC = { proportional = 0.1 }", r"\[rival\], \[noise\]: the model has no output .CC."),
    ],
)
def test_what_the_model_lacks_is_told_with_the_file_that_asks_for_it(tmp_path, asked, message):
    path = toy.write(tmp_path / "toy") / "fit.toml"
    path.write_text(f"{path.read_text()}\n{asked}\n")
    with pytest.raises(DataError, match=message):
        fitting.fit(path.parent)


def test_a_model_that_is_not_there_is_told_with_the_file_that_names_it(tmp_path):
    path = toy.write(tmp_path / "toy") / "fit.toml"
    path.write_text(path.read_text().replace("one_compartment_oral", "one_compartment_orla", 1))
    with pytest.raises(LibraryError, match=r"fit\.toml: model: there is no model .*orla.; did you mean"):
        fitting.fit(path.parent)


def test_settings_about_a_row_that_is_not_fitted_are_refused(tmp_path):
    path = toy.write(tmp_path / "toy") / "fit.toml"
    path.write_text(path.read_text() + "\n[errors.rows]\nseen = 0.1\n")
    with pytest.raises(
        DataError, match=r'\[errors.rows\]: the row "seen" is context, which is shown and not'
    ):
        fitting.fit(path.parent)


def test_outputs_of_the_report_that_the_model_does_not_have_are_named(tmp_path):
    path = toy.write(tmp_path / "toy") / "fit.toml"
    path.write_text(path.read_text() + '\n[report]\noutputs = ["CC"]\n')
    with pytest.raises(DataError, match=r'\[report\] outputs: the model has no output "CC"'):
        fitting.fit(path.parent)


def test_rows_that_the_model_cannot_predict_are_named(result):
    rows = trial(1)
    rows = replace(rows, rows=rows.rows + data(line("odd", output="respp")).rows)
    found = fitting.run(SPEC, system(), rows, solve=Solver(), threads=1)
    assert 'did you mean "resp"' in found.not_predicted["odd"]
    with pytest.raises(DataError, match="no row can be fitted"):
        fitting.run(SPEC, system(), data(line("odd", output="respp")), solve=Solver(), threads=1)


def test_a_fit_extends_another_key_by_key(tmp_path):
    """Of the same data and model; what differs is all that the second file says."""
    base = fitting.read_fit(toy.write(tmp_path / "toy"))
    variant = tmp_path / "toy" / "variants" / "slow"
    variant.mkdir(parents=True)
    path = variant / "fit.toml"
    path.write_text('extends = "../.."\ntitle = "slow"\nrival = false\n[options]\nstarts = 7\n')
    spec = fitting.read_fit(variant)
    assert spec.data.samefile(base.data) and spec.main.model == base.main.model
    assert (spec.title, spec.options.starts, spec.rival) == ("slow", 7, None)
    assert spec.options == replace(base.options, starts=7)
    assert spec.main.free == base.main.free and spec.main.noise == base.main.noise
    freed = next(iter(base.main.free))
    path.write_text(f'extends = "../.."\n[free]\n{freed} = false\n')
    assert set(fitting.read_fit(variant).main.free) == set(base.main.free) - {freed}
    before = fitting.read_fit(variant).sha256
    (base.folder / "fit.toml").write_text((base.folder / "fit.toml").read_text() + "# a word\n")
    assert fitting.read_fit(variant).sha256 != before  # a result says that what it extends has changed
    (base.folder / "own.model").write_bytes((root() / "models" / "one_compartment_oral.model").read_bytes())
    text = toy.SPEC.replace('"one_compartment_oral"', '"own.model"').format(evaluations=3)
    (base.folder / "fit.toml").write_text(text)
    assert Path(fitting.read_fit(variant).main.model).samefile(base.folder / "own.model")
    for named, words in (("..", "there is no file"), (".", "extends this fit itself")):
        path.write_text(f'extends = "{named}"\n')
        with pytest.raises(DataError, match=words):
            fitting.read_fit(variant)
