"""Adverse events of simulated trials: shares are those of closed forms, tests those of enumeration, and what
is declared is drawn beside everything else without changing it."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

import pkpd as package
from pkpd.core.errors import DataError, InputError
from pkpd.treg import tolerability
from pkpd.trial.courses import CoursePlan, largest_daily
from pkpd.trial.design import parse_design, read_design
from pkpd.trial.linear import fisher

DESIGN = """\
model = "one_compartment_iv"
horizon = 100
[[arm]]
name = "placebo"
n = 50
schedule = "none"
[[arm]]
name = "low"
n = 50
schedule = "100 mg iv daily x3 every 20 d x4"
[[arm]]
name = "high"
n = 50
schedule = "150 mg iv twice daily x3 every 20 d x4"
"""
ADVERSE = """\
[[adverse]]
name = "headache"
unit = "g"
counts = [{ dose = 0, n = 40, events = 4 }, { dose = 0.1, n = 40, events = 12 }]
slope = { median = 3, log_sd = 1 }
provenance = "reported"
"""
ANALYSES = """\
[[analysis]]
name = "any"
kind = "adverse"
event = "headache"
[[analysis]]
name = "first"
kind = "adverse"
event = "headache"
courses = 1
"""


@pytest.fixture
def design(tmp_path):
    def read(text):
        file = tmp_path / "trial.toml"
        file.write_text(text, encoding="utf-8")
        return read_design(file)

    return read


def close(values, claim):
    """A mean over trials that is what is claimed, within 4 standard errors."""
    return pytest.approx(claim, abs=4 * values.std() / math.sqrt(len(values)))


def test_shares_are_those_of_one_hit_in_each_course(design):
    given = design(DESIGN + ADVERSE + ANALYSES)
    found = package.simulate_trial(given, 400, seed=1, vary=["between"]).numbers
    p0, k = given.adverse[0].posterior.mean
    for arm, dose in (("placebo", 0.0), ("low", 0.1), ("high", 0.3)):
        p = 1 - (1 - p0) * math.exp(-k * dose)
        first, every, one = (
            found[key, what, arm]
            for key, what in (("first", "share"), ("any", "share"), ("any", "per course"))
        )
        assert first.mean() == close(first, p)
        assert every.mean() == close(every, 1 - (1 - p) ** 4)
        assert one.mean() == close(one, p)
        assert first.var() * 50 == pytest.approx(p * (1 - p), rel=0.3)
        np.testing.assert_allclose(found["first", "patients", arm], first * 50)
    apart = found["first", "share", "high"] - found["first", "share", "placebo"]
    np.testing.assert_allclose(found["first", "difference", "high"], apart)


def test_with_uncertainty_each_trial_has_its_own_draw_of_the_posterior(design):
    given = design(DESIGN + ADVERSE + ANALYSES)
    shares = package.simulate_trial(given, 500, seed=2).numbers["first", "share", "low"]
    posterior = given.adverse[0].posterior
    p = 1 - (1 - posterior.p0) * np.exp(-np.exp(posterior.log_k) * 0.1)
    mean = posterior.weights @ p
    within = posterior.weights @ (p * (1 - p)) / 50
    assert shares.mean() == close(shares, mean)
    assert shares.var() == pytest.approx(posterior.weights @ (p - mean) ** 2 + within, rel=0.3)


def test_a_missed_course_has_the_background_and_after_death_or_drop_out_there_is_none(design):
    rest = "[missed]\ncourse_probability = 0.5\n[dropout]\nper_year = 3\n"
    given = design(DESIGN + ADVERSE + ANALYSES + rest)
    found = package.simulate_trial(given, 400, seed=3, vary=["between"]).numbers
    p0, k = given.adverse[0].posterior.mean
    p = 0.5 * (p0 + 1 - (1 - p0) * math.exp(-k * 0.3))
    assert found["any", "per course", "high"].mean() == close(found["any", "per course", "high"], p)
    here = [math.exp(-3 * day / 365.25) for day in (0, 20, 40, 60)]
    none = sum(
        (here[j] - (here[j + 1] if j < 3 else 0)) * (1 - p) ** (j + 1) for j in range(4)
    )  # who leaves between the courses j + 1 and j + 2 has had j + 1 of them
    assert found["any", "share", "high"].mean() == close(found["any", "share", "high"], 1 - none)


def test_an_adverse_event_changes_no_other_number_of_a_trial(design):
    visits = "[visits]\ndays = [0, 2]\n[measured.C]\nproportional = 0.1\n"
    visits += "[missed]\ncourse_probability = 0.3\n[dropout]\nper_year = 1\n"
    visits += '[[analysis]]\nname = "level"\nkind = "change"\noutput = "C"\nvisit = 2\n'
    other = ADVERSE.replace("headache", "nausea")
    without = package.simulate_trial(design(DESIGN + visits), 5, seed=4).numbers
    one = package.simulate_trial(design(DESIGN + visits + ADVERSE + ANALYSES), 5, seed=4).numbers
    two = package.simulate_trial(design(DESIGN + visits + other + ADVERSE + ANALYSES), 8, seed=4).numbers
    for key, values in without.items():
        np.testing.assert_array_equal(values, one[key])
    for key, values in one.items():
        np.testing.assert_array_equal(values, two[key][:5])


def test_the_largest_daily_dose_of_a_course_is_that_of_brute_force():
    kernel = package.load("one_compartment_iv")  # in hours
    for written in (
        "100 mg iv every 8 h x5",
        "60 mg iv twice daily x3 every 10 d x2",
        "5 mg iv every 30 h x4",
    ):
        doses = package.Schedule.parse(written).events_for(kernel)
        amounts = np.random.default_rng(1).random((3, len(doses)))
        found = largest_daily(doses, 24.0, amounts)
        course = np.concatenate([[0], np.cumsum(np.diff(doses.time) > 72)])
        for i, c in itertools.product(range(3), range(found.shape[1])):
            who = np.flatnonzero(course == c)
            sums = [
                sum(amounts[i, m] for m in who if doses.time[j] <= doses.time[m] < doses.time[j] + 24)
                for j in who
            ]
            assert found[i, c] == pytest.approx(max(sums))


def test_placebo_has_the_courses_of_the_first_arm_that_has_some(design):
    kernel = package.load("one_compartment_iv")
    texts = ("none", "100 mg iv daily x3 every 20 d x2", "100 mg iv daily x3 every 30 d x3")
    doses = tuple(package.Schedule.parse(text).shifted(7).events_for(kernel) for text in texts)
    plan = CoursePlan(doses, 24.0, 7.0)
    np.testing.assert_allclose(plan.days, [[0, 20, np.nan], [0, 20, np.nan], [0, 30, 60]])
    nobody = CoursePlan(doses[:1], 24.0, 0.0)
    assert nobody.most == 0
    assert nobody.days.shape == (1, 0)


def test_doses_per_body_size_are_those_of_each_patient(design, tmp_path):
    (tmp_path / "by_weight.model").write_text(
        "model drug by weight\ntime h\ncovariate WT = 70 [kg]\nparameter k = 0.1 [1/h]\nstate A [mg]\n"
        "route iv -> A\nd A = -k*A\noutput amount = A [mg]\n",
        encoding="utf-8",
    )
    text = DESIGN.replace('"one_compartment_iv"', '"by_weight.model"').replace("100 mg iv", "1 mg/kg iv")
    text += "[covariates]\nWT = { median = 70, log_sd = 0.5 }\n"
    given = design(text + ADVERSE + ANALYSES)
    shares = package.simulate_trial(given, 300, seed=5, vary=["between"]).numbers["first", "share", "low"]
    p0, k = given.adverse[0].posterior.mean
    z = np.linspace(-6, 6, 2001)
    p = stats.norm.pdf(z) @ (1 - (1 - p0) * np.exp(-k * 0.07 * np.exp(0.5 * z))) / stats.norm.pdf(z).sum()
    assert shares.mean() == close(shares, p)


@pytest.mark.parametrize(
    ("one", "other"), [((3, 9), (8, 4)), ((0, 12), (6, 6)), ((5, 5), (5, 5)), ((1, 7), (9, 2))]
)
def test_fishers_test_is_that_of_enumeration(one, other):
    n, m, had = sum(one), sum(other), one[0] + other[0]
    ways = {x: math.comb(n, x) * math.comb(m, had - x) for x in range(had + 1) if x <= n and had - x <= m}
    p = sum(way for way in ways.values() if way <= ways[one[0]]) / sum(ways.values())
    assert fisher(one, other) == pytest.approx(p)
    assert math.isnan(fisher((0, 0), other))


@pytest.mark.parametrize("name", ["imodals", "imodals_als", "mirocals", "mirocals_from_randomisation"])
def test_trials_of_the_library_have_the_published_counts_of_the_fit(name):
    (event,) = read_design(name).adverse
    assert [(one.dose, one.n, one.events) for one in event.counts] == [
        (one.dose, one.n, one.events) for one in tolerability.counts()
    ]
    assert event.prior == tolerability.PRIOR
    assert event.unit == tolerability.UNIT
    assert "type 1 diabetes" in event.note


def test_imodals_finds_adverse_events_commoner_on_drug():
    result = package.simulate_trial("imodals", 30, seed=1)
    row = next(row for row in result.rows() if row.published and row.quantity == "difference")
    assert row.inside
    assert row.agree > 0.9
    first = np.median(result.numbers["adverse events of the first cycle", "share", "1 MIU"])
    assert first == pytest.approx(tolerability.posterior().probability(1.0)[0], abs=0.12)


def test_counts_may_be_a_table_that_lies_beside_the_file_and_is_found_from_one_that_extends_it(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "counts.csv").write_text(
        "study,arm,daily_dose_g,n,events,source,doi,provenance\n"
        "S,a,0,40,4,s,,reported\nS,b,0.1,40,12,s,,reported\n"
    )
    counts = 'counts = "counts.csv"'
    text = DESIGN + ADVERSE.replace(next(line for line in ADVERSE.splitlines() if "counts" in line), counts)
    (tmp_path / "base" / "trial.toml").write_text(text, encoding="utf-8")
    (tmp_path / "other.toml").write_text(f'extends = "{tmp_path}/base"\n', encoding="utf-8")
    for file in (tmp_path / "base", tmp_path / "other.toml"):
        (event,) = read_design(file).adverse
        assert [(one.dose, one.events) for one in event.counts] == [(0.0, 4), (0.1, 12)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('unit = "g"', 'unit = "gram"', 'unit = "gram" is no unit of doses'),
        ('unit = "g"', "", 'unit = "..." is needed'),
        ("events = 12", "events = 41", "number 2: events must be a whole number between 0 and 40"),
        ("events = 12", "evnts = 12", 'unknown key "evnts"; did you mean "events"'),
        ("dose = 0.1, ", "", "number 2: dose = ... is needed"),
        ("dose = 0.1", "dose = -0.1", "dose = -0.1 must lie between 0 and 1e+12"),
        ("log_sd = 1", "sd = 1", 'unknown key "sd"'),
        ("slope = { median = 3, log_sd = 1 }", "slope = 3", "log_sd = ... } is needed"),
        ("slope = { median = 3, log_sd = 1 }", "", "slope = { median = ..., log_sd = ... } is needed"),
        ('provenance = "reported"', 'provenance = "rumour"', 'provenance = "rumour"'),
        ("slope", "background = [1, 0]\nslope", "background must be two"),
        ("slope", "backgroud = [0, 1]\nslope", 'did you mean "background"'),
        ('event = "headache"', 'event = "hedache"', 'did you mean "headache"'),
        ('event = "headache"', "", 'event = "..." is needed'),
        ("courses = 1", "courses = 0", "courses must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_key(old, new, words):
    text = DESIGN + ADVERSE + ANALYSES
    assert old in text
    with pytest.raises(DataError) as caught:
        parse_design(text.replace(old, new, 1))
    assert words in str(caught.value)
    assert "trial.toml" in str(caught.value)


def test_a_table_that_is_not_there_and_a_unit_that_doses_cannot_be_in_are_named(design):
    table = DESIGN + ADVERSE.replace("counts = [", 'counts = "none.csv"  # [')
    with pytest.raises(InputError, match=r"headache: counts: .*none\.csv"):
        design(table)
    with pytest.raises(DataError, match=r'unit = "MIU": doses of the arm low cannot be counted'):
        package.simulate_trial(design(DESIGN + ADVERSE.replace('unit = "g"', 'unit = "MIU"') + ANALYSES), 1)
