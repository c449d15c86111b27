"""Looks at trials that go on: what is known is what has happened by then, alpha is held, and trials stop as
often as theory says."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

import pkpd as package
from pkpd.core.errors import DataError
from pkpd.trial.boundaries import boundary, spent
from pkpd.trial.data import TrialData
from pkpd.trial.design import parse_design
from pkpd.trial.looks import EFFICACY, FUTILITY, HARM, TrialLooks, statistic_of, watch
from pkpd.trial.survival import log_rank

DESIGN = """\
model = "one_compartment_iv"
horizon = 100
[[arm]]
name = "placebo"
n = 60
schedule = "none"
[[arm]]
name = "drug"
n = 60
schedule = "100 mg iv once"
[visits]
days = [0, 10]
[measured.C]
proportional = 0.1
[event]
hazard = "death"
[recruitment]
days = 200
[[analysis]]
name = "deaths"
kind = "logrank"
[[analysis]]
name = "ratio"
kind = "cox"
[[analysis]]
name = "level"
kind = "change"
output = "C"
visit = 10
[monitoring]
analysis = "deaths"
planned = 60
efficacy = "obrien_fleming"
"""
LOOKS = """\
[[look]]
name = "early"
after = 0.3
futility = "hr > 1.5"
[[look]]
name = "late"
events = 40
futility = "conditional power < 0.1"
"""


def trial_data(generator, ratio=1.0, n=60, follow_up=100.0, mean=100.0, recruitment=200.0, gain=0.0):
    """Exponential deaths at a hazard ratio, staggered entries, and a normal value at days 0 and 10."""
    arm = np.tile([0, 1], n)
    death = generator.exponential(mean / np.where(arm == 1, ratio, 1.0))
    value = generator.standard_normal((2 * n, 2))
    value[:, 1] += gain * arm
    entry = (np.arange(2 * n) + generator.random(2 * n)) * recruitment / (2 * n)
    return TrialData(
        arms=("placebo", "drug"),
        arm=arm,
        covariates={},
        strata={},
        entry=entry,
        time=np.minimum(death, follow_up),
        event=death <= follow_up,
        visits=np.array([0.0, 10.0]),
        measured={"C": np.where(death[:, None] >= [0.0, 10.0], value, np.nan)},
        adverse={},
    )


def many(plan, trials, seed, **how):
    generator = np.random.default_rng(seed)
    return TrialLooks.of(plan, [watch(plan, trial_data(generator, **how), 0.0, 100.0) for _ in range(trials)])


def within(claim, trials):
    """A share of trials that is what is claimed, within 4 standard errors."""
    return pytest.approx(claim, abs=4 * math.sqrt(claim * (1 - claim) / trials))


def test_what_is_known_on_a_day_is_what_has_happened_by_then():
    data = trial_data(np.random.default_rng(1))
    for day, before in itertools.product((3.0, 80.0, 150.0, 400.0), (0.0, 30.0)):
        shifted = TrialData(**{**vars(data), "time": data.time + before})
        known = shifted.known_on(day, before)
        here = [i for i in range(data.arm.size) if data.entry[i] <= day]
        assert known.arm.size == len(here)
        for j, i in enumerate(here):
            since = day - data.entry[i]
            assert known.event[j] == (data.event[i] and data.time[i] <= since)
            assert known.time[j] == pytest.approx(min(data.time[i], since) + before)
            assert np.isfinite(known.measured["C"][j]).tolist() == [
                bool(np.isfinite(data.measured["C"][i, v]) and visit <= since)
                for v, visit in enumerate((0.0, 10.0))
            ]


@pytest.mark.parametrize(("analysis", "planned"), [("deaths", 60), ("ratio", 60), ("level", 110)])
@pytest.mark.parametrize("efficacy", ["obrien_fleming", "pocock"])
def test_without_effect_a_trial_with_looks_is_significant_in_5_of_100(analysis, planned, efficacy):
    text = DESIGN.replace('analysis = "deaths"\nplanned = 60\nefficacy = "obrien_fleming"', (
        f'analysis = "{analysis}"\nplanned = {planned}\nefficacy = "{efficacy}"\nbetter = "down"'
    )) + "".join(f'[[look]]\nname = "{share}"\nafter = {share}\n' for share in (0.3, 0.6))  # fmt: skip
    trials = 2000
    found = many(parse_design(text).monitoring, trials, 2)
    assert np.mean(found.decision > 0) == pytest.approx(0.05, abs=0.015)
    assert np.mean(found.decision == HARM) == pytest.approx(0.025, abs=0.012)
    taken = found.day[:, 0] > 0
    np.testing.assert_allclose(found.information[taken, 0], math.ceil(0.3 * planned) / planned)
    if efficacy == "pocock":  # the first look alone spends what it may
        assert np.mean(found.stopped == 0) == within(spent(efficacy, 0.05, 0.3), trials)


def test_an_effect_stops_trials_as_often_as_normal_increments_do():
    """Schoenfeld's drift: log hazard ratio times the root of a quarter of the events."""
    plan = parse_design(DESIGN + LOOKS.replace("futility", "# futility")).monitoring
    trials, ratio = 1500, 0.5
    found = many(plan, trials, 3, ratio=ratio)
    information = np.array([18.0, 40.0, found.end[:, 1].mean() * 60])
    shares = (0.3, 40 / 60, 1.0)
    alphas = tuple(spent("obrien_fleming", 0.05, share) for share in shares)
    limits = [boundary(tuple(information[:k]), alphas[:k]) for k in (1, 2, 3)]
    steps = np.diff(information, prepend=0.0)
    noise = np.random.default_rng(4).standard_normal((200_000, 3)) * np.sqrt(steps)
    walk = np.cumsum(-math.log(ratio) / 2 * steps + noise, axis=1) / np.sqrt(information)
    beyond = walk >= limits
    first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), 3)
    for k, row in enumerate(found.rows()):
        assert row["efficacy"] == pytest.approx(np.mean(first == k), abs=0.045), k
    assert found.summary()["power"] == pytest.approx(np.mean(first < 3), abs=0.04)
    np.testing.assert_allclose(np.unique(found.boundary[:, 0]), limits[0])
    np.testing.assert_allclose(np.nanmedian(found.boundary[:, 1]), limits[1])


def test_what_is_expected_is_the_mean_over_trials_of_what_there_was_when_they_stopped():
    plan = parse_design(DESIGN + LOOKS).monitoring
    found, generator = many(plan, 100, 5, ratio=0.5), np.random.default_rng(5)
    patients, events = [], []
    for k in range(100):
        data, stage = trial_data(generator, ratio=0.5), found.stopped[k]
        day = found.day[k, stage]
        patients.append((data.entry <= day).sum())
        events.append((data.event & (data.entry + data.time <= day)).sum())
        assert np.isnan(found.day[k, stage + 1 :]).all()
        assert found.end[k, 6] == data.event.sum()
        if stage == 1:
            assert events[-1] == 40
    told = found.summary()
    assert (told["patients"], told["events"]) == pytest.approx((np.mean(patients), np.mean(events)))
    assert told["days"] < told["fixed days"] == pytest.approx(299.2, abs=1)
    assert told["fixed patients"] == 120
    assert abs(told["power"] - told["fixed power"]) < 0.05
    rows = found.rows()
    assert sum(row[why] for row in rows for why in ("efficacy", "harm", "futility", "undecided")) == 1
    assert rows[0]["reached"] == 1


def test_futility_stops_what_does_not_go_well_and_alpha_is_as_without_it():
    both = parse_design(DESIGN + LOOKS).monitoring
    none = parse_design(DESIGN + LOOKS.replace("futility", "# futility")).monitoring
    found, alone = many(both, 600, 6), many(none, 600, 6)
    stopped = found.decision == FUTILITY
    at_first = stopped & (found.stopped == 0)
    np.testing.assert_array_equal(at_first, found.estimate[:, 0] > 1.5)
    assert 0.5 < stopped.mean() < 0.95
    assert np.mean(found.decision == EFFICACY) <= np.mean(alone.decision == EFFICACY) <= 0.05
    goes_on = ~stopped
    np.testing.assert_array_equal(found.decision[goes_on], alone.decision[goes_on])
    assert found.summary()["days"] < alone.summary()["days"]


def test_the_end_spends_what_is_left_though_it_knows_no_more_than_the_last_look():
    """All changes are known on day 210, and fewer of them than planned."""
    text = DESIGN.replace('"deaths"\nplanned = 60', '"level"\nplanned = 150\nbetter = "up"')
    plan = parse_design(text + '[[look]]\nname = "day 215"\ndays = 215\n').monitoring
    trials = 2000
    found = many(plan, trials, 2)
    assert np.mean(found.stopped == 0) < 0.03
    assert np.mean(found.decision > 0) == within(0.05, trials)
    went_on = found.stopped == 1
    np.testing.assert_array_equal(found.information[went_on, 1], found.information[went_on, 0])
    assert found.rows()[1]["boundary"] == pytest.approx(stats.norm.ppf(0.975), abs=0.01)


@pytest.mark.filterwarnings("error")
def test_a_look_that_spends_nothing_has_an_infinite_boundary():
    text = DESIGN.replace('efficacy = "obrien_fleming"\n', "")
    plan = parse_design(text + '[[look]]\nname = "a"\nafter = 0.3\nfutility = "hr > 1.5"\n').monitoring
    assert many(plan, 20, 2).rows()[0]["boundary"] == math.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["change", "ancova"])
def test_who_has_no_logarithm_brings_no_information(kind):
    text = DESIGN.replace('kind = "change"', f'kind = "{kind}"\nlog = true')
    text = text.replace('"deaths"\nplanned = 60', '"level"\nplanned = 60\nbetter = "up"')
    plan = parse_design(text + '[[look]]\nname = "day 100"\ndays = 100\n').monitoring
    data = trial_data(np.random.default_rng(9))
    counted = (data.measured["C"] > 0).all(axis=1) & (data.entry + 10 <= 100)
    seen = watch(plan, data, 0.0, 100.0).stages[0]
    assert seen.information * 60 == pytest.approx(counted.sum())
    assert math.isfinite(seen.statistic)


def test_looks_by_calendar_and_by_information_are_taken_in_the_order_of_time():
    looks = '[[look]]\nname = "at 40"\nevents = 40\n[[look]]\nname = "day 90"\ndays = 90\n'
    found = many(parse_design(DESIGN + looks).monitoring, 50, 7, ratio=0.8)
    assert (found.day[:, 1] == 90).all()
    assert (found.day[:, 0] > 90).all()
    assert found.rows()[1]["patients"] == pytest.approx(120 * 90 / 200, abs=1)
    never = LOOKS.replace("events = 40", "events = 59")
    found = many(parse_design(DESIGN + never).monitoring, 50, 7, ratio=0.3, mean=1000.0)
    assert found.rows()[1]["reached"] == 0
    assert (found.information[:, -1] < 0.6).any()


def test_the_statistic_has_the_p_value_of_its_analysis_and_the_sign_of_what_is_better():
    data = trial_data(np.random.default_rng(8), ratio=0.4, gain=1.0)
    plan = parse_design(DESIGN + LOOKS).monitoring
    statistic, ratio = statistic_of(plan, data)
    assert statistic > 0 and ratio < 1
    assert 2 * stats.norm.sf(statistic) == pytest.approx(log_rank(data.time, data.event, data.arm))
    for better, sign in (("up", 1), ("down", -1)):
        text = DESIGN.replace('"deaths"\nplanned = 60', f'"level"\nbetter = "{better}"')
        plan = parse_design(text + '[[look]]\nname = "a"\nafter = 0.5\n').monitoring
        assert plan.planned == 120
        statistic, gain = statistic_of(plan, data)
        assert statistic * sign > 0 and gain > 0
        change = data.measured["C"][:, 1] - data.measured["C"][:, 0]
        one, other = (change[(data.arm == k) & np.isfinite(change)] for k in (1, 0))
        assert 2 * stats.norm.sf(abs(statistic)) == pytest.approx(stats.ttest_ind(one, other).pvalue)


MODEL = """\
model      events at a constant rate
time       d
parameter  h0 = 0.01 [1/d]
parameter  beta = -0.7 [1/mg]
state      drug [mg]
route      iv -> drug
hazard     death = h0*exp(beta*drug) [1/d]
d drug     = 0*drug
output     amount = drug [mg]
"""


@pytest.fixture
def design(tmp_path):
    (tmp_path / "line.model").write_text(MODEL, encoding="utf-8")

    def read(more=""):
        text = DESIGN.replace("one_compartment_iv", "line.model").replace("measured.C", "measured.amount")
        text = text.replace('"C"', '"amount"').replace("100 mg iv", "1 mg iv")
        (tmp_path / "trial.toml").write_text(text + more, encoding="utf-8")
        return package.read_design(tmp_path / "trial.toml")

    return read


def test_looks_change_no_number_of_a_trial_and_are_the_same_however_many_there_are(design, tmp_path):
    with_looks, without = (package.simulate_trial(design(more), 20, seed=1) for more in (LOOKS, ""))
    assert without.looks is None
    for key, values in without.numbers.items():
        np.testing.assert_array_equal(values, with_looks.numbers[key])
    fewer = package.simulate_trial(design(LOOKS), 5, seed=1, threads=1, patients=[60])
    np.testing.assert_array_equal(fewer.looks.day, with_looks.looks.day[:5])
    with_looks.write_json(tmp_path / "trial.json")
    told = json.loads((tmp_path / "trial.json").read_text())["looks"]
    assert [row["look"] for row in told["stages"]] == ["early", "late", "the end"]
    assert told["summary"]["power"] == with_looks.looks.summary()["power"]


def test_patients_enter_one_after_the_other_until_recruitment_ends(design):
    from pkpd.trial.patients import recruiting
    from pkpd.trial.run import TrialRun

    given = design()
    source = recruiting(given, 3, seed=1, vary=(), posterior=None)
    data, _ = TrialRun(given, source, ((60, 60),)).simulated(0)
    larger, _ = TrialRun(given, source, ((60, 60), (90, 90))).simulated(0)
    assert (np.diff(data.entry) > 0).all()
    assert stats.kstest(data.entry, stats.uniform(0, 200).cdf).pvalue > 0.5
    np.testing.assert_array_equal(larger.entry[:120], data.entry)
    assert larger.entry.max() == pytest.approx(300, abs=2)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('analysis = "deaths"', 'analysis = "deths"', 'did you mean "deaths"'),
        ("planned = 60", "", "planned = ... is needed: how many events"),
        ("planned = 60", "planed = 60", 'did you mean "planned"'),
        ('"obrien_fleming"', '"obrien"', 'efficacy = "obrien"; did you mean "obrien_fleming"'),
        ('planned = 60', 'planned = 60\nbetter = "more"', 'better = "more"; it is "up" or "down"'),
        ('"deaths"\nplanned = 60', '"level"', 'better = "up" or "down" is needed'),
        ('"deaths"\nplanned = 60', '"level"\nbetter = "up"', 'futility = "hr > 1.5": "level" has no hazard'),
        ('kind = "logrank"', 'kind = "survival"', "looks are at one of logrank, cox, change, ancova"),
        ("after = 0.3", "", "say when by one of after"),
        ("after = 0.3", "after = 0.3\ndays = 3", "say when by one of after"),
        ("after = 0.3", "after = 1", "after = 1 must be a share of what is planned, below 1"),
        ("after = 0.3", "days = 300", "is not before the end of the trial, which is on day 300"),
        ("events = 40", "events = 60", "events = 60 must be fewer than planned = 60"),
        ('name = "late"', "", 'name = "..." is needed'),
        ('name = "late"', 'name = "the end"', '"the end" is what results call the end'),
        ('name = "late"', 'name = "early"', 'two of [[look]] are called "early"'),
        ('name = "late"', 'name = "late"\nefficacy = "pocock"', 'unknown key "efficacy"'),
        ("hr > 1.5", "hr is bad", 'must be such as "hr > 0.95" or "conditional power < 0.1"'),
        ("hr > 1.5", "hr < 0.7", "would stop what goes well: write >"),
        ("power < 0.1", "power > 0.1", '"conditional power < " a number below 1'),
        ("days = 200", "day = 200", "[recruitment]: unknown key"),
        ('[[arm]]\nname = "drug"', '[[arm]]\nname = "x"\nn = 1\nschedule = "none"\n[[arm]]\nname = "drug"',
         'must compare one arm with the control: give it arm = "x" or "drug"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_key(old, new, words):
    text = DESIGN + LOOKS
    assert old in text
    with pytest.raises(DataError) as caught:
        parse_design(text.replace(old, new, 1))
    assert words in str(caught.value)
    assert "trial.toml" in str(caught.value)


def test_looks_that_decide_nothing_or_have_no_table_are_refused():
    idle = DESIGN.replace('efficacy = "obrien_fleming"\n', "") + '[[look]]\nname = "a"\nafter = 0.5\n'
    with pytest.raises(DataError, match="the looks decide nothing"):
        parse_design(idle)
    alone = DESIGN.partition("[monitoring]")[0] + LOOKS
    with pytest.raises(DataError, match=r"a look needs a table \[monitoring\]"):
        parse_design(alone)
    assert parse_design(DESIGN).monitoring is None
