"""A data file's subjects are simulated each with its own doses, covariates and output times: equal to exact solutions, and to one solve after the other."""

import json
import math

import numpy as np
import pytest

from pkpd import kernel
from pkpd.cli import main
from pkpd.cohort import intake, simulate_records
from pkpd.dosing import Schedule
from pkpd.dosing.records import parse_records
from pkpd.errors import DataError, InputError, SolverError
from pkpd.solve import solve

IV = "one_compartment_iv"
CL, V = 2.8, 32.0
TIGHT = {"rtol": 1e-10}


def simulated(text, **options):
    return simulate_records(IV, parse_records(text, "trial.csv"), **(TIGHT | options))


def infused(times, start, duration, rate, cl=CL, v=V):
    """Amount of a one-compartment model with an infusion, exactly."""
    k = cl / v
    during = np.clip(np.asarray(times) - start, 0, duration)
    since = np.clip(np.asarray(times) - start - duration, 0, None)
    return rate / k * (1 - np.exp(-k * during)) * np.exp(-k * since)


def test_boluses_and_overlapping_infusions_are_the_exact_solution_at_each_subjects_own_times():
    found = simulated(
        "ID,TIME,AMT,DUR,II,ADDL\n"
        "1,0,100,0,12,1\n1,2,.,,,\n1,20,.,,,\n"
        "2,0,60,3,,\n2,1,40,8,,\n2,2,.,,,\n2,5,.,,,\n2,30,.,,,\n"
    )
    assert found.ids == ("1", "2")
    assert [times.tolist() for times in found.times] == [[2, 20], [2, 5, 30]]
    k = CL / V
    first = [100 * math.exp(-2 * k), 100 * math.exp(-20 * k) + 100 * math.exp(-8 * k)]
    second = infused([2, 5, 30], 0, 3, 20) + infused([2, 5, 30], 1, 8, 5)
    for outputs, central in zip(found.outputs, (first, second), strict=True):
        assert outputs[:, 0] == pytest.approx(np.asarray(central) / V, rel=1e-8)
        assert outputs[:, 1] == pytest.approx(np.asarray(central), rel=1e-8)


def test_an_observation_above_the_dose_is_a_trough_and_one_below_it_a_peak():
    found = simulated("ID,TIME,AMT\n1,0,.\n1,0,100\n1,24,.\n1,24,100\n1,24,.\n")
    trough = 100 * math.exp(-24 * CL / V)
    assert found.times[0].tolist() == [0, 24, 24]
    assert found.outputs[0][:, 1] == pytest.approx([0, trough, trough + 100], rel=1e-9, abs=1e-12)


def test_between_two_events_of_one_time_an_observation_sees_the_first():
    found = simulated(
        "ID,TIME,AMT,II,ADDL\n1,0,100,24,1\n1,0,.,.,.\n1,0,50,.,.\n1,0,.,.,.\n1,24,.,.,.\n1,24,10,.,.\n1,24,.,.,.\n"
    )
    left = math.exp(-24 * CL / V)
    assert found.times[0].tolist() == [0, 0, 24, 24]
    # the additional dose is the first line's, which stands above all of 24 h
    second = 150 * left + 100
    assert found.outputs[0][:, 1] == pytest.approx([100, 150, second, second + 10], rel=1e-9)


def test_of_events_at_one_time_each_has_the_covariates_that_stand_above_it():
    text = "ID,TIME,AMT,DUR,CL\n1,0,100,0,2\n1,0,.,.,4\n1,0,100,0,4\n1,0,.,.,4\n1,5,.,.,4\n"
    found = simulated(text, covariates="locf")
    assert found.outputs[0][:, 1] == pytest.approx([100, 200, 200 * math.exp(-5 * 4 / V)], rel=1e-9)


@pytest.mark.parametrize(
    ("rule", "clearances"),
    [("locf", [(10, 2.0), (10, 4.0), (10, 1.0)]), ("nocb", [(10, 4.0), (20, 1.0)])],
)
def test_a_covariate_that_changes_is_followed_exactly(rule, clearances):
    found = simulated("ID,TIME,AMT,cl\n1,0,100,2\n1,10,.,4\n1,20,.,1\n1,30,.,1\n", covariates=rule)
    exponent = sum(hours * clearance / V for hours, clearance in clearances)
    assert found.outputs[0][-1, 1] == pytest.approx(100 * math.exp(-exponent), rel=1e-8)
    assert found.unused == ()


def test_subjects_have_their_own_covariates_and_the_rest_of_the_model():
    found = simulated(
        "ID,TIME,AMT,V,SEX\n1,0,100,20,0\n1,5,.,20,0\n2,0,100,40,1\n2,5,.,40,1\n", parameters={"CL": 4.0}
    )
    assert [outputs[0, 0] for outputs in found.outputs] == pytest.approx(
        [100 / v * math.exp(-5 * 4.0 / v) for v in (20, 40)], rel=1e-8
    )
    assert found.unused == ("SEX",)


def test_a_file_says_what_a_schedule_says():
    """Subjects with one table of doses are solved together; that changes nothing."""
    lines = ["ID,TIME,AMT,DOSE_UNIT,ROUTE,II,ADDL,BSA"]
    sizes = np.linspace(1.5, 2.2, 20)
    for i, size in enumerate(sizes):
        lines += [f"{i},0,0.26,MIU/m2,sc,72,9,{size}", *(f"{i},{t},.,.,.,.,.,{size}" for t in (36, 480, 700))]
    k = kernel.load("il2_treg")
    found = simulate_records(k, parse_records("\n".join(lines)))
    events = Schedule.parse("0.26 MIU/m2 sc every 3 d x10").events(
        k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES
    )
    for size, outputs in zip(sizes, found.outputs, strict=True):
        values = k.VALUES.copy()
        values[k.PARAMETERS.index("BSA")] = size
        alone = solve(k, values, events, [36, 480, 700])
        assert outputs == pytest.approx(alone.outputs[0], rel=1e-9, abs=1e-12)
    frame = found.to_frame()
    assert list(frame.columns) == ["id", "time", *k.OUTPUTS]
    assert frame["id"].tolist() == [str(i) for i in range(20) for _ in range(3)]
    assert frame["time"].tolist() == [36, 480, 700] * 20
    assert len(set(frame["il2"])) > 20


def test_output_times_may_be_asked_for():
    text = "ID,TIME,AMT\n1,0,100\n2,0,50\n2,5,.\n"
    with pytest.raises(InputError, match=r'trial.csv:2: subject "1" has no observation.*--until'):
        simulated(text)
    found = simulated(text, times=[0, 1, 2])
    assert [times.tolist() for times in found.times] == [[0, 1, 2]] * 2
    assert found.outputs[0][:, 1] == pytest.approx(2 * found.outputs[1][:, 1])


def test_what_a_model_declares_is_known_to_records():
    k = kernel.load("il2_treg")
    known = intake(k)
    assert known.states == list(k.STATES)
    assert known.route_speeds == k.ROUTE_SPEEDS == ("",) * len(k.ROUTES)
    with pytest.raises(DataError, match="declares neither rate nor duration"):
        simulated("ID,TIME,AMT,RATE\n1,0,100,-2\n1,5,.,.\n")


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(InputError, match=r"CL stands in trial\.csv and among the parameters"):
        simulated("ID,TIME,AMT,CL\n1,0,100,2\n1,5,.,2\n", parameters={"CL": 3.0})


@pytest.mark.parametrize("size", ["-1.7", "0"])
def test_a_body_size_that_nobody_has_is_refused_in_its_line(size):
    text = f"ID,TIME,AMT,DOSE_UNIT,ROUTE,BSA\n1,0,1,MIU/m2,sc,1.7\n1,48,.,.,.,1.7\n2,0,1,MIU/m2,sc,{size}\n2,48,.,.,.,{size}\n"
    with pytest.raises(DataError) as error:
        simulate_records("il2_treg", parse_records(text, "trial.csv"))
    assert f"trial.csv:4:17 (BSA): BSA = {size} must be positive" in str(error.value)
    assert "trial.csv:5:" in str(error.value)


def test_covariates_that_run_linearly_from_line_to_line():
    """d log C = -CL(t)/V dt: the area under the lines; a subject whose covariate does not change is as it would be alone."""
    text = "ID,TIME,AMT,CL,V\na,0,100,2,20\na,5,.,3,20\na,9,.,1,20\nb,0,100,2,20\nb,9,.,2,20\n"
    found = simulated(text, covariates="linear", rtol=1e-9)
    areas = np.array([12.5, 12.5 + 8.0])
    assert np.allclose(found.outputs[0][:, 0], 5.0 * np.exp(-areas / 20.0), rtol=1e-7)
    assert np.allclose(found.outputs[1][:, 0], 5.0 * np.exp(-18.0 / 20.0), rtol=1e-7)


def test_a_subject_that_fails_is_named_and_the_others_stay():
    text = "ID,TIME,AMT,V\na,0,100,32\na,5,.,32\nb,0,100,0.1\nb,5,.,0.1\n"
    found = simulated(text, method="tsit5", rtol=1e-6)
    assert found.status.tolist() == [0, 0]
    everything = parse_records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pkpd.cohort.solve", _failing(of=0.1))
        found = simulate_records(IV, everything)
        assert np.isfinite(found.outputs[0]).all() and np.isnan(found.outputs[1]).all()
        (sentence,) = found.failures
        assert sentence.startswith('subject "b" stopped at t = ')
        patch.setattr("pkpd.cohort.solve", _failing(of=None))
        with pytest.raises(SolverError, match=r'subject "a" stopped.*2 of 2'):
            simulate_records(IV, everything)


def _failing(of):
    """``solve`` with one step for those whose volume is ``of`` (all, if None)."""

    def solve_badly(kernel, values, *arguments, **options):
        parts = [
            solve(kernel, row, *arguments, **options, max_steps=1 if of in (None, row[1]) else 100_000)
            for row in values
        ]
        first = parts[0]
        first.__dict__["outputs"] = np.concatenate([part.outputs for part in parts])
        first.__dict__["status"] = np.concatenate([part.status for part in parts])
        first.__dict__["stopped"] = np.concatenate([part.stopped for part in parts])
        return first

    return solve_badly


# --- the command line -------------------------------------------------------------------------------------------------

TRIAL = "ID,TIME,AMT,CL,SEX\n1,0,100,2,0\n1,24,.,2,0\n1,48,.,3,0\n2,0,50,2,1\n2,12,.,2,1\n"


@pytest.fixture
def pkpd(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Trial.CSV").write_text(TRIAL)
    (tmp_path / "trial.dat").write_text(TRIAL)

    def run(*arguments):
        try:
            main(["simulate", IV, *map(str, arguments)])
        except SystemExit as end:
            code = end.code or 0
        return code, *capfd.readouterr()

    return run


def test_simulate_takes_a_data_file(pkpd, tmp_path):
    code, out, err = pkpd("Trial.CSV", "--covariates", "locf", "-o", "out.csv")
    assert code == 0
    assert "SEX" in err and "2 subjects, 2 events, 3 output times in h" in out
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "id,time,C,central"
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "24.0"], ["1", "48.0"], ["2", "12.0"]]
    code, out, _ = pkpd("Trial.CSV", "--covariates", "locf", "--every", "1 d", "--time-unit", "d", "--json")
    facts = json.loads(out)
    assert (code, facts["times"], facts["unused_columns"]) == (0, 2 * 49, ["SEX"])
    assert facts["outputs"]["central"]["maximum"] == {"median": 75, "least": 50, "most": 100}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Trial.CSV"], "Trial.CSV:4: CL changes within a subject"),
        (
            ["trial.dat"],
            "trial.dat is a file, and not a schedule; a data file of subjects has the ending .csv",
        ),
        (["other.csv"], "other.csv: there is no such file"),
        (["Trial.CSV", "--covariates", "loch"], 'not "loch"'),
        (["Trial.CSV", "--time-unit", "month"], "month"),
        (["Trial.CSV", "--subjects", "5"], "leave out --subjects"),
        (["Trial.CSV", "--plot", "a.png"], "leave out --plot"),
        (["100 mg iv once", "--covariates", "locf"], "belong to a data file"),
        (["Trial.CSV", "--covariates", "locf", "--set", "CL=3"], "CL stands in Trial.CSV"),
    ],
)
def test_what_simulate_refuses_of_data_files(pkpd, arguments, words):
    code, out, err = pkpd(*arguments)
    assert (code, out) == (3, "")
    assert words in err and "Traceback" not in err
