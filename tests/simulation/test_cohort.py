"""A data file's subjects are simulated each with its own doses, covariates and output times: equal to exact
solutions, and to one solve after the other."""

import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.cli import main
from pkpd.core.errors import DataError, InputError, SolverError
from pkpd.core.tables import read_table
from pkpd.dosing import Schedule
from pkpd.dosing.records import parse_records
from pkpd.model.check import read_model
from pkpd.simulation.cohort import intake, simulate_records
from pkpd.solver import kernel, solve

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
        "ID,TIME,AMT,II,ADDL\n1,0,100,24,1\n1,0,.,.,.\n1,0,50,.,.\n1,0,.,.,.\n"
        "1,24,.,.,.\n1,24,10,.,.\n1,24,.,.,.\n"
    )
    left = math.exp(-24 * CL / V)
    assert found.times[0].tolist() == [0, 0, 24, 24]
    # the additional dose is the first line's, which stands above all of 24 h
    second = 150 * left + 100
    assert found.outputs[0][:, 1] == pytest.approx([100, 150, second, second + 10], rel=1e-9)


def test_of_events_at_one_time_each_has_the_covariates_that_stand_above_it():
    text = "ID,TIME,AMT,DUR,CL\n1,0,100,0,2\n1,0,.,.,4\n1,0,100,0,4\n1,0,.,.,4\n1,5,.,.,4\n"
    found = simulated(text, interpolation="locf")
    assert found.outputs[0][:, 1] == pytest.approx([100, 200, 200 * math.exp(-5 * 4 / V)], rel=1e-9)


@pytest.mark.parametrize(
    ("rule", "clearances"),
    [("locf", [(10, 2.0), (10, 4.0), (10, 1.0)]), ("nocb", [(10, 4.0), (20, 1.0)])],
)
def test_a_covariate_that_changes_is_followed_exactly(rule, clearances):
    found = simulated("ID,TIME,AMT,cl\n1,0,100,2\n1,10,.,4\n1,20,.,1\n1,30,.,1\n", interpolation=rule)
    exponent = sum(hours * clearance / V for hours, clearance in clearances)
    assert found.outputs[0][-1, 1] == pytest.approx(100 * math.exp(-exponent), rel=1e-8)
    assert found.unused == ()


@pytest.mark.parametrize(("rule", "volumes"), [("locf", (20, 20, 40, 40)), ("nocb", (20, 40, 40, 50))])
def test_at_times_that_are_asked_for_a_covariate_is_that_of_the_line_of_the_time(rule, volumes):
    text = "ID,TIME,AMT,V\n1,0,100,20\n1,10,.,40\n1,20,.,50\n"
    (asked,) = simulated(text, interpolation=rule, times=[0, 5, 10, 15]).outputs
    (lines,) = simulated(text, interpolation=rule).outputs
    assert asked[:, 1] / asked[:, 0] == pytest.approx(volumes, rel=1e-12)
    assert lines[:, 1] / lines[:, 0] == pytest.approx([40, 50], rel=1e-12)


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
    text = "ID,TIME,AMT,DOSE_UNIT,ROUTE,BSA\n1,0,1,MIU/m2,sc,1.7\n1,48,.,.,.,1.7\n"
    text += f"2,0,1,MIU/m2,sc,{size}\n2,48,.,.,.,{size}\n"
    with pytest.raises(DataError) as error:
        simulate_records("il2_treg", parse_records(text, "trial.csv"))
    assert f"trial.csv:4:17 (BSA): BSA = {size} must be positive" in str(error.value)
    assert "trial.csv:5:" in str(error.value)


def test_covariates_that_run_linearly_from_line_to_line():
    """d log C = -CL(t)/V dt: the area under the lines; a subject whose covariate does not change is as it
    would be alone."""
    text = "ID,TIME,AMT,CL,V\na,0,100,2,20\na,5,.,3,20\na,9,.,1,20\nb,0,100,2,20\nb,9,.,2,20\n"
    found = simulated(text, interpolation="linear", rtol=1e-9)
    areas = np.array([12.5, 12.5 + 8.0])
    assert np.allclose(found.outputs[0][:, 0], 5.0 * np.exp(-areas / 20.0), rtol=1e-7)
    assert np.allclose(found.outputs[1][:, 0], 5.0 * np.exp(-18.0 / 20.0), rtol=1e-7)


def test_a_subject_that_fails_is_named_and_the_others_stay():
    text = "ID,TIME,AMT,V\na,0,100,32\na,5,.,32\nb,0,100,0.1\nb,5,.,0.1\n"
    found = simulated(text, method="tsit5", rtol=1e-6)
    assert found.status.tolist() == [0, 0]
    everything = parse_records(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pkpd.simulation.cohort.solve", _failing(of=0.1))
        found = simulate_records(IV, everything)
        assert np.isfinite(found.outputs[0]).all() and np.isnan(found.outputs[1]).all()
        (sentence,) = found.failures
        assert sentence.startswith('subject "b" stopped at t = ')
        patch.setattr("pkpd.simulation.cohort.solve", _failing(of=None))
        with pytest.raises(SolverError, match=r'subject "a" stopped.*2 of 2'):
            simulate_records(IV, everything)


def _failing(of):
    """``solve`` with one step for those whose volume is ``of`` (all, if None)."""

    def steps(row):
        return 1 if of in (None, row[1]) else 100_000

    def solve_badly(kernel, values, timelines, **given):
        parts = [
            solve(
                kernel,
                row,
                [timeline],
                **(given | {"options": replace(given["options"], max_steps=steps(row))}),
            )
            for row, timeline in zip(values, timelines, strict=True)
        ]
        first = parts[0]
        first.__dict__["outputs"] = np.concatenate([part.outputs for part in parts])
        first.__dict__["status"] = np.concatenate([part.status for part in parts])
        first.__dict__["stopped"] = np.concatenate([part.stopped for part in parts])
        return first

    return solve_badly


# --- by the order of the lines: a reference that takes one thing after the other

SLOW = """
model   one compartment with everything in it
source  none: a test
time    h
parameter k = 0.2 [1/h]
parameter lag = 2 [h]
parameter b = 0.5 [mg/kg]
covariate WT = 70 [kg]
state central = b*WT [mg]
route iv -> central  lag = lag
d central = -k*central
output amount = central [mg]
output scaled = central*WT [mg*kg]
"""
RATE = 0.2


def one_after_the_other(lines, lag, rule):
    """Amounts and scaled amounts at the observations, exactly. lines : (time, kind, amount, duration, ii,
    addl, weight).

    Every dose acts at its time plus the lag, among things of one instant in the order of the lines that they
    come from; what a line says is so before the next line.
    """
    actions = []  # (time, line, part, what, values)
    for i, (time, kind, amount, duration, ii, addl, weight) in enumerate(lines):
        if rule == "locf" or i == 0:
            first = all(other[0] != time for other in lines[:i])
            actions.append((time, -1 if first else i, 0, "weight", weight))
        else:
            actions.append((lines[i - 1][0], i - 1, 9, "weight", weight))
        if kind == 0:
            actions.append((time, i, 1, "look", None))
        if kind in (3, 4, "ss"):
            actions.append((time, i, 1, "steady" if kind == "ss" else "reset", (amount, ii)))
        if kind in (1, 4, "ss"):
            stop = min((l[0] for l in lines[i + 1 :] if l[1] in (3, 4, "ss")), default=np.inf)
            for n in range(addl + 1):
                if n and time + n * ii >= stop:
                    break
                given = time + n * ii, i
                actions.append((given[0] + lag, i, 2, "begin", (given, amount, duration)))
                if duration:
                    actions.append((given[0] + lag + duration, i, 2, "end", (given, amount, duration)))
    now, y, rate, weight, cancelled, seen = lines[0][0], None, 0.0, 0.0, (-np.inf, 0), []
    for time, line, _, what, values in sorted(actions, key=lambda one: one[:3]):
        if y is not None and time > now:
            y = y * math.exp(-RATE * (time - now)) + rate / RATE * (1 - math.exp(-RATE * (time - now)))
        now = max(now, time)
        if what == "weight":
            weight = values
            y = 0.5 * weight if y is None else y  # the initial value, of the first line
        elif what == "look":
            seen.append((y, y * weight))
        elif what == "reset":
            y, rate, cancelled = 0.5 * weight, 0.0, (time, line)
        elif what == "steady":
            amount, ii = values
            y, rate, cancelled = (
                amount * math.exp(-RATE * (ii - lag)) / (1 - math.exp(-RATE * ii)),
                0.0,
                (time, line),
            )
        elif values[0] >= cancelled:
            y += 0.0 if values[2] or what == "end" else values[1]
            rate += (values[1] / values[2] if values[2] else 0.0) * (1 if what == "begin" else -1)
    return np.array(seen)


@st.composite
def crowded(draw):
    """Lines at few instants, so that lags, ends of infusions and additional doses meet other lines."""
    lines = []
    time = 10
    for _ in range(draw(st.integers(2, 9))):
        time += draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
        kind = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, "ss"]))
        amount = draw(st.integers(1, 9)) * 10 if kind in (1, 4, "ss") else 0
        duration = draw(st.sampled_from([0, 0, 1, 2])) if kind in (1, 4) else 0
        addl = draw(st.sampled_from([0, 0, 2])) if kind in (1, 4, "ss") else 0
        ii = draw(st.sampled_from([2, 3])) if addl or kind == "ss" else 0
        lines.append((time, kind, amount, duration, ii, addl, draw(st.sampled_from([70, 70, 80, 90]))))
    lines += [(time + 1, 0, 0, 0, 0, 0, 70)]
    # two lines without an event between them have one weight
    for i in range(1, len(lines)):
        if lines[i][0] == lines[i - 1][0] and lines[i][1] in (0, 2):
            lines[i] = (*lines[i][:-1], lines[i - 1][-1])
    return lines


@settings(max_examples=150, deadline=None)
@given(crowded(), st.sampled_from([0, 1, 2]), st.sampled_from(["locf", "nocb"]))
def test_what_meets_at_one_instant_happens_in_the_order_of_the_lines(lines, lag, rule):
    text = "ID,TIME,EVID,AMT,DUR,II,ADDL,SS,WT\n"
    for time, kind, amount, duration, ii, addl, weight in lines:
        evid, ss = (1, 1) if kind == "ss" else (kind, 0)
        text += f"1,{time},{evid},{amount},{duration},{ii},{addl},{ss},{weight}\n"
    found = simulate_records(
        crowd(), parse_records(text), interpolation=rule, parameters={"lag": float(lag)}, rtol=1e-9
    )
    assert found.outputs[0] == pytest.approx(one_after_the_other(lines, lag, rule), rel=1e-6, abs=1e-9)


@functools.cache
def crowd():
    return kernel.load(read_model(SLOW, "test.model"))


@pytest.mark.parametrize("event", ["1,2,50,1", "1,2,.,3", "1,2,50,4"])
def test_a_lagged_dose_that_arrives_with_an_observation_is_seen_whatever_stands_below(event):
    text = f"ID,TIME,AMT,EVID\n1,0,10,1\n1,2,.,0\n{event}\n1,2,.,0\n"
    found = simulate_records(crowd(), parse_records(text), parameters={"lag": 2.0, "b": 0.0}, rtol=1e-10)
    assert found.outputs[0][:, 0] == pytest.approx([10.0, 10.0 if ",1" in event[-2:] else 0.0], rel=1e-12)


# --- when a subject begins


def test_a_subject_begins_at_its_first_line_or_where_it_is_said():
    """Initial value 10, rate 0.1 1/h."""
    k = kernel.load(read_model(SLOW, "test.model"))
    values = {"k": 0.1, "b": 1.0 / 7.0}
    text = "ID,TIME,AMT\n1,10,.\n1,12,.\n2,0,.\n2,12,.\n3,-1,.\n3,4,.\n"

    def found(**options):
        profile = simulate_records(
            k, parse_records(text, "trial.csv"), parameters=values, rtol=1e-10, **options
        )
        return [outputs[:, 0] for outputs in profile.outputs]

    exact = [[10, 10 * math.exp(-0.2)], [10, 10 * math.exp(-1.2)], [10, 10 * math.exp(-0.5)]]
    assert np.array(found()) == pytest.approx(np.array(exact), rel=1e-8)
    exact = [10 * np.exp(-0.1 * (np.array(times) + 1)) for times in ((10, 12), (0, 12), (-1, 4))]
    assert np.array(found(start=-1.0)) == pytest.approx(np.array(exact), rel=1e-8)
    with pytest.raises(
        InputError, match=r'trial.csv:6: subject "3" has its first line at -1 h, before the start at 0'
    ):
        found(start=0.0)
    with pytest.raises(
        InputError, match=r'trial.csv:2: subject "1" begins at 10 h, and an output at 5 is asked for.*--start'
    ):
        found(times=[5.0, 20.0])
    assert found(times=[5.0, 20.0], start=-1.0)[0] == pytest.approx(10 * np.exp([-0.6, -2.1]), rel=1e-8)
    with pytest.raises(InputError, match="the start must be a finite number"):
        found(start=math.nan)


def test_the_clock_of_a_model_starts_with_the_subject():
    text = SLOW.replace("-k*central", "-k*central + 0*k*central*t*k").replace(
        "central*WT [mg*kg]", "t*WT [h*kg]"
    )
    k = kernel.load(read_model(text, "test.model"))
    found = simulate_records(k, parse_records("ID,TIME,AMT\n1,10,.\n1,12,.\n"), rtol=1e-9)
    assert found.outputs[0] == pytest.approx(np.array([[35, 700], [35 * math.exp(-0.4), 840]]), rel=1e-7)


# --- the command line

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


def test_what_is_written_has_the_ids_and_the_digits_of_what_was_read(pkpd, tmp_path):
    ids = ["20230000000000001", "20230000000000002", "01", "1", "1e5", "#5", "a, b", 'so "x"', "NA"]
    lines = (
        f'"{name.replace(chr(34), 2 * chr(34))}",0.1,100\n'
        f'"{name.replace(chr(34), 2 * chr(34))}",0.30000000000000004,.'
        for name in ids
    )
    (tmp_path / "ids.csv").write_text("\n".join(["ID,TIME,AMT", *lines]))
    code, _, _ = pkpd("ids.csv", "-o", "out.csv")
    table = read_table(tmp_path / "out.csv")
    assert code == 0 and [line.fields[0] for line in table.lines] == ids
    found = simulate_records(IV, tmp_path / "ids.csv")
    written = [[float(field) for field in line.fields[1:]] for line in table.lines]
    assert written == [[0.30000000000000004, *outputs[0]] for outputs in found.outputs]
    assert found.ids == tuple(ids)


def test_the_start_may_be_given(pkpd, tmp_path):
    (tmp_path / "late.csv").write_text("ID,TIME,AMT\n1,0.1,100\n1,0.7,.\n")
    code, _, _ = pkpd("late.csv", "--time-unit", "d", "--every", "6 h", "-o", "out.csv")
    assert code == 0
    times = [float(line.fields[1]) for line in read_table(tmp_path / "out.csv").lines]
    assert times == pytest.approx([2.4, 8.4, 14.4, 16.8])
    code, _, _ = pkpd(
        "late.csv", "--time-unit", "d", "--until", "5 h", "--every", "5", "--start=-1 d", "-o", "out.csv"
    )
    times = [float(line.fields[1]) for line in read_table(tmp_path / "out.csv").lines]
    assert code == 0 and times == pytest.approx([*range(-24, 5, 5), 5])
    code, _, err = pkpd("late.csv", "--time-unit", "d", "--times", "1, 5")
    assert code == 3 and 'late.csv:2: subject "1" begins at 2.4 h, and an output at 1 is asked for' in err


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
        (["100 mg iv once", "--start", "0"], "belong to a data file"),
        (
            ["Trial.CSV", "--covariates", "locf", "--start", "3"],
            'Trial.CSV:2: subject "1" has its first line at 0 h',
        ),
        (["Trial.CSV", "--covariates", "locf", "--times", "5", "--start", "6"], "has its first line at 0 h"),
        (["Trial.CSV", "--covariates", "locf", "--set", "CL=3"], "CL stands in Trial.CSV"),
    ],
)
def test_what_simulate_refuses_of_data_files(pkpd, arguments, words):
    code, out, err = pkpd(*arguments)
    assert (code, out) == (3, "")
    assert words in err and "Traceback" not in err


def test_subjects_of_a_file_are_shown_with_what_the_model_warns_of(tmp_path):
    path = tmp_path / "warned.model"
    path.write_text(f"extends {IV}\ncaution one trial\n")
    # a covariate that runs linearly makes another kernel of the model, which says the same
    records = parse_records("ID,TIME,AMT,CL\n1,0,100,2\n1,10,.,4\n", "trial.csv")
    found = simulate_records(path, records, interpolation="linear")
    assert found.cautions == ("one trial",)
    assert found.summary()["cautions"] == found.to_frame().attrs["cautions"] == ["one trial"]
    assert "one trial A model, not medical advice." in found._repr_html_()
