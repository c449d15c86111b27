"""Subjects under a schedule with rules are given what the rules say, and their courses are those of these
doses: against an exact solution, against one subject dose by dose in plain Python, and to the last bit
    against schedules in which the doses are written out. A comparison counts what was really given."""

import csv
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solving import events, kernel, table

from pkpd.cli import main
from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.adaptive import HELD, RAISED, REDUCED, titrate
from pkpd.decision.comparison import Scene, compare
from pkpd.dosing import EventTable, Schedule
from pkpd.dosing.rules import AdaptiveSchedule
from pkpd.simulation.profile import population
from pkpd.solver import solve

IV, TREG = "one_compartment_iv", "il2_treg"


def people(k, n, seed=1):
    return population(k, n, seed)


# --- exact ---


@settings(max_examples=60)
@given(
    high=st.floats(2.0, 12.0),
    low=st.floats(0.5, 6.0),
    much=st.floats(6.0, 20.0),
    down=st.integers(5, 60),
    up=st.integers(5, 60),
    every=st.sampled_from([6, 8, 12]),
)
def test_one_compartment_follows_the_exact_course_whatever_the_rules(high, low, much, down, up, every):
    k, n_doses = kernel(IV), 14
    high, low, much = round(high, 3), round(low, 3), round(much, 3)
    text = (
        f"100 mg iv bolus every {every} h x{n_doses}; hold if C > {high + 2} mg/L; stop if C > "
        f"{much + 2} mg/L; "
        f"reduce by {down} % down to 20 mg if C > {high} mg/L; raise by {up} % up to 250 mg if C < {low} mg/L"
    )
    try:
        plan = AdaptiveSchedule.parse(text)
    except ScheduleError:  # a rule that could never act
        return
    p = people(k, 5)
    found = titrate(k, p, plan, np.arange(n_doses) * every)
    for row, (CL, V) in enumerate(p):
        now, factor, stopped, expected, course = 0.0, 1.0, False, [], []
        for dose in range(n_doses):
            held = False
            if dose and not stopped:
                if now > much + 2:
                    stopped = True
                elif now > high + 2:
                    held = True
                elif now > high:
                    factor = max(factor * (1 - down / 100), 0.2)
                elif now < low:
                    factor = min(factor * (1 + up / 100), 2.5)
            expected.append(0.0 if held or stopped else factor)
            now += 100.0 * expected[-1] / V
            course.append(now)
            now *= math.exp(-CL / V * every)
        np.testing.assert_allclose(found.given[row], expected, rtol=1e-12)
        np.testing.assert_allclose(found.outputs[row, :, 0], course, rtol=1e-4)  # rtol 1e-6, over 14 doses


# --- one subject, dose by dose ---


def by_hand(k, p, doses, looks, rules):
    """What one subject is given: a solve from the very beginning to every look, with the doses given so far
    and no others.

    doses : (time, amount, route, duration, covariate); rules : (action, output, sign, threshold, of baseline,
        factor, limit), those first that go first.
    """
    rest = solve(k, p, EventTable.empty(), [0.0]).outputs[0, 0]
    so_far, factors, acted = [], [], []
    factor, stopped, held = 1.0, False, False
    for time in sorted({dose[0] for dose in doses} | set(looks)):
        if time in looks:
            now = solve(k, p, table(k, *so_far), [time]).outputs[0, 0]
            acted.append(-1)
            held = False
            for number, (action, output, sign, threshold, of_baseline, by, limit) in enumerate(rules):
                i = k.OUTPUTS.index(output)
                level = threshold * rest[i] if of_baseline else threshold
                if stopped or not (now[i] > level if sign == ">" else now[i] < level):
                    continue
                acted[-1] = number
                if action == "stop":
                    stopped = True
                elif action == "hold":
                    held = True
                elif action == "reduce":
                    factor = max(factor * by, limit)
                else:
                    factor = min(factor * by, limit)
                break
        for at, amount, *where in doses:
            if at == time:
                factors.append(0.0 if stopped or held else factor)
                if factors[-1]:
                    so_far.append((at, amount * factors[-1], *where))
    return table(k, *so_far), factors, acted


CASES = {
    "cycles": (
        TREG,
        "2 MIU sc daily x5 every 28 d x2; stop if nk > 6 x baseline; hold if nk > 3 x baseline; "
        "reduce by 25 % if treg_pct > 1.4 x baseline",
        [(24.0 * (28 * cycle + day), 2.0, "sc", math.nan) for cycle in range(2) for day in range(5)],
        [24.0 * (28 * cycle + day) for cycle in range(2) for day in range(5)][1:],
        [
            ("stop", "nk", ">", 6.0, True, 0.0, 0.0),
            ("hold", "nk", ">", 3.0, True, 0.0, 0.0),
            ("reduce", "treg_pct", ">", 1.4, True, 0.75, 0.0),
        ],
    ),
    # per body surface; looks between doses, while some are on their way through the lag
    "lag": (
        TREG,
        "0.5 MIU/m2 sc every 6 h x16; hold if il2 > 4 IU/mL; reduce by 20 % down to 0.3 MIU/m2 if "
        "il2 > 2 IU/mL; look every 5 h",
        [(6.0 * i, 0.5, "sc", math.nan, "BSA") for i in range(16)],
        [5.0 * i for i in range(1, 19)],
        [
            ("hold", "il2", ">", 4.0, False, 0.0, 0.0),
            ("reduce", "il2", ">", 2.0, False, 0.8, 0.6),
        ],
    ),
    # infusions that overlap each other and the looks
    "infusions": (
        IV,
        "100 mg iv over 30 h daily x8; hold if C > 2.5 mg/L; raise by 30 % up to 200 mg if C < 2 mg/L",
        [(24.0 * i, 100.0, "iv", 30.0) for i in range(8)],
        [24.0 * i for i in range(1, 8)],
        [("hold", "C", ">", 2.5, False, 0.0, 0.0), ("raise", "C", "<", 2.0, False, 1.3, 2.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_many_subjects_at_once_are_each_the_subject_dose_by_dose(case):
    model, text, doses, looks, rules = CASES[case]
    k = kernel(model)
    p = people(k, 24)
    if model == TREG:
        p[:, k.PARAMETERS.index("tlag")] = 2.9
    plan = AdaptiveSchedule.parse(text)
    times = np.linspace(0.0, doses[-1][0] + 48.0, 60)
    found = titrate(k, p, plan, times)
    assert list(found.looks) == looks
    chosen = set()
    for row in range(0, 24, 3):
        own, factors, acted = by_hand(k, p[row], doses, looks, rules)
        np.testing.assert_allclose(found.given[row], factors, rtol=1e-12)
        written = [str(plan.rules[i]).split()[0] if i >= 0 else "" for i in found.acted[row]]
        assert written == [rules[i][0] if i >= 0 else "" for i in acted]
        expected = solve(k, p[row], own, times).outputs
        scale = np.abs(expected).max(axis=1, keepdims=True)
        assert np.nanmax(np.abs(found.outputs[row] - expected) / np.where(scale > 0, scale, 1.0)) < 1e-4
        chosen |= set(written)
    assert len(chosen) > 1  # the rules of a case matter, not always and not never


# --- to the last bit ---


@pytest.mark.parametrize(
    "schedule",
    ["1 MIU sc daily x5 every 28 d x2", "0.26 MIU/m2 sc every 3 d x5 and 1 MIU iv once from day 2"],
)
def test_rules_that_never_apply_change_nothing(schedule):
    k = kernel(TREG)
    p, times = people(k, 40), np.linspace(0.0, 900.0, 50)
    found = titrate(k, p, f"{schedule}; hold if nk > 1000 x baseline; stop if treg_pct > 99 %", times)
    np.testing.assert_array_equal(found.outputs, solve(k, p, events(k, schedule), times).outputs)
    assert np.all(found.given == 1.0) and np.all(found.acted == -1)


@pytest.mark.parametrize(
    ("rule", "factors"),
    [
        ("hold if nk > 0", [1, 0, 0, 0, 0]),
        ("stop if nk > 0", [1, 0, 0, 0, 0]),
        ("reduce by 50 % if nk > 0", [1, 0.5, 0.25, 0.125, 0.0625]),
        ("reduce by 50 % down to 0.5 MIU if nk > 0", [1, 0.5, 0.25, 0.25, 0.25]),
        ("raise by 50 % up to 4 MIU if nk > 0", [1, 1.5, 2, 2, 2]),
        ("reduce by 50 % if nk > 0; look every 2 d", [1, 1, 0.5, 0.5, 0.25]),
        ("stop if nk > 0; look every 60 h", [1, 1, 1, 0, 0]),
        ("hold if nk > 0; reduce by 50 % if treg_pct > 0", [1, 0, 0, 0, 0]),
        ("reduce by 50 % if nk > 0; reduce by 25 % if treg_pct > 0", [1, 0.5, 0.25, 0.125, 0.0625]),
    ],
)
def test_rules_that_always_apply_are_the_written_out_schedule(rule, factors):
    k = kernel(TREG)
    p, times = people(k, 16), np.linspace(0.0, 200.0, 30)
    found = titrate(k, p, f"2 MIU sc daily x5; {rule}", times)
    np.testing.assert_array_equal(found.given, np.tile(np.array(factors, dtype=float), (16, 1)))
    written = " and ".join(
        f"{2 * factor:g} MIU sc once from day {day}" for day, factor in enumerate(factors) if factor
    )
    expected = solve(k, p, events(k, written), times).outputs
    scale = np.abs(expected).max(axis=(0, 1))
    difference = np.abs(found.outputs - expected).max(axis=(0, 1)) / np.where(scale > 0, scale, 1)
    # a dose that is held is still an instant at which integration begins afresh; otherwise the table is the
    # same
    assert difference.max() < 2e-5 if 0 in factors else difference.max() == 0.0


def test_a_look_before_each_cycle_changes_the_whole_cycle():
    k = kernel(TREG)
    found = titrate(
        k,
        people(k, 16),
        "1 MIU sc daily x3 every 28 d x3; reduce by 50 % if nk > 0; look before each cycle",
        [0.0],
    )
    assert found.looks.tolist() == [672.0, 1344.0]
    np.testing.assert_array_equal(found.given, np.tile(np.repeat([1.0, 0.5, 0.25], 3), (16, 1)))


def test_what_is_given_at_an_instant_is_decided_once_and_seen_afterwards():
    k = kernel(IV)
    found = titrate(k, k.VALUES, "100 mg iv daily x3 and 10 mg iv daily x3; hold if C > 0", [0.0, 24.0, 48.0])
    assert found.given.tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    at_once = solve(k, k.VALUES, events(k, "110 mg iv once"), [0.0, 24.0, 48.0]).outputs
    np.testing.assert_allclose(found.outputs, at_once, rtol=1e-5)


# --- who stands beside a subject, and how many threads there are, changes nothing ---


def test_a_subject_is_the_same_on_any_number_of_threads_and_whoever_stands_beside_it():
    k = kernel(TREG)
    p, text = (
        people(k, 230),
        "1 MIU sc daily x6; hold if cd56bright > 1.5 x baseline; reduce by 20 % if treg_pct > 8 %",
    )
    times = [0.0, 60.0, 200.0]
    one, three = (titrate(k, p, text, times, rtol=1e-4, threads=threads) for threads in (1, 3))
    part = titrate(k, p[100:150], text, times, rtol=1e-4)
    for name in ("outputs", "given", "acted", "rest", "status"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
        np.testing.assert_array_equal(getattr(one, name)[100:150], getattr(part, name))
    assert 0.0 < np.mean(one.given == 0.0) < 1.0


def test_a_subject_that_fails_is_marked_and_leaves_the_others_alone():
    k = kernel(IV)
    p = people(k, 40)
    p[7, 0] = np.nan
    text = "100 mg iv every 8 h x6; hold if C > 4 mg/L"
    found, others = titrate(k, p, text, [50.0]), titrate(k, np.delete(p, 7, axis=0), text, [50.0])
    assert np.flatnonzero(found.status).tolist() == [7]
    assert np.isnan(found.outputs[7]).all() and np.isnan(found.given[7]).all()
    np.testing.assert_array_equal(np.delete(found.given, 7, axis=0), others.given)
    np.testing.assert_allclose(np.delete(found.outputs, 7, axis=0), others.outputs, rtol=1e-12)


# --- a response that decides how often there is a dose ---


def test_holding_above_a_target_finds_the_interval_of_each_subject():
    """As in DILfrequency a rise of Tregs by 30 % is to be held; there the interval was chosen between
    patients, here each subject finds its own."""
    k = kernel(TREG)
    plan = AdaptiveSchedule.parse("0.26 MIU/m2 sc daily x60; hold if treg_pct > 1.3 x baseline")
    p = people(k, 104)
    found = titrate(k, p, plan, 24.0 * np.arange(30.0, 60.0, 0.25), rtol=1e-4)
    fold = found.outputs[:, :, k.OUTPUTS.index("treg_pct")] / found.rest[:, [k.OUTPUTS.index("treg_pct")]]
    mean = fold.mean(axis=1)
    plain = titrate(k, p, "0.26 MIU/m2 sc daily x60; hold if nk > 1e6", [24.0 * 45], rtol=1e-4)
    untitrated = plain.outputs[:, 0, 0] / plain.rest[:, 0]
    assert np.ptp(np.quantile(mean, [0.05, 0.95])) < 0.2 * np.ptp(np.quantile(untitrated, [0.05, 0.95]))
    assert np.all((mean > 1.2) & (mean < 1.5))
    interval = 60.0 / np.count_nonzero(found.given, axis=1)
    assert 2.0 < np.median(interval) < 7.0 and np.ptp(interval) > 1.0


# --- bad input ---


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("1 MIU sc daily x5; hold if nk_cell > 2", 28, 'no output "nk_cell"'),
        ("1 MIU sc daily x5; hold if treg_pc > 2", 28, 'did you mean "treg_pct" or '),
        (
            "1 MIU sc daily x5; hold if nk > 2; hold if nk > 15 %",
            52,
            "nk is in 1/uL: % cannot be converted into 1/uL",
        ),
        ("1 MIU sc daily x5; hold if treg_pct > 15 mg/L", 42, "treg_pct is in percent"),
        ("1 MIU sc once; hold if nk > 2", 16, "there is one dose only"),
        ("1 MIU sc daily x5; hold if nk > 2; look before each cycle", 20, "the schedule is one cycle"),
        ("1 MIU sc daily x5; hold if nk > 2; look every 1 week", 20, "ends before the rules are looked at"),
        ("1 MIU sc daily x5; hold if nk > 2; look every 1 s", 20, "would be looked at 345,600 times"),
        ("1 MIU sc every 1 min x6000; hold if nk > 2; look every 1 d", 29, "at most 5,000 doses"),
        ("1 MIU po daily x5; hold if nk > 2", 1, 'no route "po"'),
    ],
)
def test_rules_that_do_not_fit_the_model_or_the_schedule_are_refused_with_their_place(text, column, said):
    with pytest.raises(ScheduleError) as error:
        titrate(kernel(TREG), kernel(TREG).VALUES, AdaptiveSchedule.parse(text, "plan"), [0.0])
    assert str(error.value).startswith(f"plan:1:{column}: ") and said in str(error.value)


def test_arrays_that_do_not_fit_are_refused():
    k, text = kernel(IV), "1 mg iv daily x3; hold if C > 1"
    for p, times in (
        (np.zeros((2, 5)), [0.0]),
        (np.zeros((0, 2)), [0.0]),
        (k.VALUES, []),
        (k.VALUES, [np.nan]),
    ):
        with pytest.raises(InputError):
            titrate(k, p, text, times)


# --- in a comparison ---

PLAIN = "1 MIU sc daily x5 every 28 d x2"
NEVER = f"{PLAIN}; hold if nk > 1000 x baseline"
RULED = (
    f"{PLAIN}; hold if cd56bright > 3 x baseline; raise by 50 % up to 2 MIU if treg_pct < 1.2 x "
    "baseline; reduce by 50 % if treg_pct > 12 %"
)


@pytest.fixture(scope="module")
def scene():
    return Scene.create(subjects=60, draws=10)


@pytest.fixture(scope="module")
def comparison(scene):
    return compare(scene.arms([PLAIN, NEVER, RULED, "none"]))


def values(arm, name):
    return next(found for endpoint, found in arm.endpoints.items() if endpoint.name == name)


def test_rules_that_never_act_are_a_tie_in_every_endpoint(comparison):
    for endpoint in comparison.endpoints:
        row = comparison.row(endpoint.name, 1)
        if row.pairs:
            assert row.difference in (0.0, math.inf) or math.isnan(row.difference), endpoint.name
            assert (row.better, row.same, row.worse) == (0, 1, 0) or math.isnan(row.better)


def test_burden_and_adverse_events_are_those_of_the_doses_really_given(scene, comparison):
    arm = comparison.arms[2]
    found = titrate(scene.population.kernel, scene.population.values, RULED, [24.0 * 56], rtol=1e-4).given
    assert {0.0, 1.0, 0.5, 1.5} <= set(np.unique(found))
    np.testing.assert_array_equal(values(arm, "injections"), np.count_nonzero(found, axis=1))
    np.testing.assert_allclose(values(arm, "total dose"), found.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(values(arm, "dose per 28 days"), found.sum(axis=1) / 2, rtol=1e-12)
    np.testing.assert_allclose(arm.endpoints[HELD], 100 * np.mean(found == 0, axis=1))
    np.testing.assert_allclose(arm.endpoints[REDUCED], 100 * np.mean((found > 0) & (found < 1), axis=1))
    np.testing.assert_allclose(arm.endpoints[RAISED], 100 * np.mean(found > 1, axis=1))
    risk, planned = values(arm, "adverse event"), values(comparison.arms[0], "adverse event")
    most = found.max(axis=1)
    assert np.all(risk[most > 1] > planned[most > 1]) and np.all(risk[most == 1] == planned[most == 1])
    assert HELD not in comparison.arms[0].endpoints
    assert comparison.row("doses held", 0).median == comparison.row("doses held", 3).median == 0.0


def test_a_comparison_says_the_rules_and_how_doses_are_counted(comparison, tmp_path):
    plan = AdaptiveSchedule.parse(RULED)
    assert comparison.arms[2].label == comparison.arms[2].text == str(plan)
    assert comparison.arms[2].schedule == Schedule.parse(PLAIN)
    assert any("without any error of measurement" in sentence for sentence in comparison.reading)
    # what the fit has not seen of doses that the rules made smaller or larger is said too, and nothing twice
    said = comparison.arms[2].warnings
    assert set(comparison.arms[0].warnings) == {
        text for text in said if not text.startswith("By the rules: ")
    }
    assert any(text.startswith("By the rules: 0.") and "below the doses" in text for text in said)
    assert sum("2 cycles: the fit saw Tregs" in text for text in said) == 1
    comparison.write_json(tmp_path / "c.json")
    arms = json.loads((tmp_path / "c.json").read_text())["arms"]
    assert [arm["rules"] for arm in arms] == [
        None,
        AdaptiveSchedule.parse(NEVER).to_dict(),
        plan.to_dict(),
        None,
    ]
    comparison.write_csv(tmp_path / "c.csv")
    lines = itertools.dropwhile(
        lambda line: line.startswith("#"), (tmp_path / "c.csv").read_text().splitlines()
    )
    assert {row["schedule"] for row in csv.DictReader(lines)} == {PLAIN, NEVER, str(plan), "none"}


# --- on the command line ---


@pytest.fixture
def pkpd(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        out, err = capfd.readouterr()
        return end.value.code or 0, out, err

    return run


def test_compare_takes_rules_beside_plain_schedules_and_in_files(pkpd, tmp_path):
    (tmp_path / "plans.txt").write_text(
        "held: 1 MIU sc daily x5; hold if nk > 1.5 x baseline; look every 2 d\n"
    )
    code, out, _ = pkpd("compare", "1 MIU sc daily x5", "plans.txt", "--subjects", "40", "-o", "report.html")
    assert code == 0
    assert "B  held: 1 MIU sc daily x5; hold if nk > 1.5 x baseline; look every 2 d" in out
    assert "doses held (%)" in out
    page = (tmp_path / "report.html").read_text()
    assert "hold if nk &gt; 1.5 x baseline; look every 2 d" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("compare", "1 MIU sc daily x5", "1 MIU sc daily x5; hold if nk > 2 wombats"),
            'schedule 2:1:35: this is no unit: unknown unit "wombats"',
        ),
        (
            ("compare", "1 MIU sc daily x5; hold if nkk > 2", "-o", "out.html"),
            'schedule 1:1:28: il2_treg has no output "nkk"',
        ),
        (
            ("simulate", TREG, "1 MIU sc daily x5; hold if nk > 2"),
            "are followed only where schedules are compared",
        ),
    ],
)
def test_wrong_rules_end_with_a_sentence_and_no_file(pkpd, tmp_path, arguments, said):
    code, out, err = pkpd(*arguments)
    assert (code, out) == (3, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []
