"""Simulated trials of a model whose answers are known: exponential events with a hazard ratio that is set,
and a score that falls along a straight line. What a trial's statistics claim is counted over trials."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import pkpd as package
from pkpd.core.errors import InputError
from pkpd.trial.data import TrialData
from pkpd.trial.patients import allotted, stream
from pkpd.trial.run import TrialRun

MODEL = """\
model      events at a constant rate, and a score that falls along a line
time       d
covariate  x = 1 [1]
parameter  h0 = 0.002 [1/d]
parameter  beta = 0 [1/mg]  log hazard ratio per dose
parameter  b_x = 0 [1]  log hazard ratio of log x
parameter  base = 40 [1]  ~ lognormal(0.1)
parameter  loss = 0.02 [1/d]
parameter  spared = 0 [1/mg]  share of the loss that a dose spares
parameter  stay = 0 [1/d]
state      drug [mg]
state      score = base [1]
route      iv -> drug
hazard     death = h0*x^b_x*exp(beta*drug) [1/d]
d drug     = -stay*drug
d score    = -loss*(1 - spared*drug)
output     score_now = score [1]
"""

DESIGN = """\
model = "line.model"
horizon = 600
[[arm]]
name = "placebo"
n = 60
schedule = "none"
[[arm]]
name = "drug"
n = 60
schedule = "1 mg iv once"
[visits]
days = [0, 100, 200, 300]
[measured.score_now]
additive = 1
[event]
hazard = "death"
[[analysis]]
name = "log-rank"
kind = "logrank"
[[analysis]]
name = "cox"
kind = "cox"
[[analysis]]
name = "alive"
kind = "survival"
[[analysis]]
name = "deaths"
kind = "count"
[[analysis]]
name = "score"
kind = "ancova"
output = "score_now"
visit = 300
[[analysis]]
name = "change"
kind = "change"
output = "score_now"
visit = 300
[[analysis]]
name = "slope"
kind = "slope"
output = "score_now"
per = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trial")
    (path / "line.model").write_text(MODEL, encoding="utf-8")
    return path


@pytest.fixture
def design(folder):
    def read(more="", text=DESIGN, **parameters):
        values = "".join(f"{name} = {value}\n" for name, value in parameters.items())
        file = folder / "trial.toml"
        file.write_text(f"{more}\n{text}\n[parameters]\n{values}", encoding="utf-8")
        return package.read_design(file)

    return read


def share(values, claim):
    """Whether a share of simulated trials is one that is claimed, within 4 standard errors."""
    return pytest.approx(claim, abs=4 * math.sqrt(claim * (1 - claim) / len(values)))


def test_intervals_of_hazard_ratios_hold_the_truth_in_95_of_100_trials(design):
    found = package.simulate_trial(design(beta=math.log(0.5)), 1000, seed=1).numbers
    low, high = found["cox", "lower", "drug"], found["cox", "upper", "drug"]
    assert np.mean((low <= 0.5) & (high >= 0.5)) == pytest.approx(0.95, abs=0.02)
    assert np.median(found["cox", "hr", "drug"]) == pytest.approx(0.5, rel=0.03)


def test_power_is_that_of_schoenfeld_and_deaths_are_those_of_the_hazard(design):
    """Schoenfeld, Biometrika 1981;68:316: the power by the number of deaths that is expected."""
    ratio = 0.6
    result = package.simulate_trial(design(beta=math.log(ratio)), 1000, seed=2)
    dying = [60 * (1 - math.exp(-0.002 * 600 * hr)) for hr in (1, ratio)]
    for name, expected in zip(("placebo", "drug"), dying, strict=True):
        assert result.numbers["deaths", "events", name].mean() == pytest.approx(expected, rel=0.02)
    reach = abs(math.log(ratio)) * math.sqrt(sum(dying)) / 2
    power = np.mean(result.numbers["log-rank", "p", "drug"] < 0.05)
    assert power == pytest.approx(stats.norm.cdf(reach - 1.96), abs=0.05)
    assert result.numbers["alive", "fraction", "drug"].mean() == pytest.approx(1 - dying[1] / 60, rel=0.02)


@pytest.mark.long
def test_without_effect_every_test_is_significant_in_5_of_100(design):
    found = package.simulate_trial(design(), 2000, seed=3).numbers
    for analysis in ("log-rank", "cox", "score", "slope", "change"):
        assert np.mean(found[analysis, "p", "drug"] < 0.05) == pytest.approx(0.05, abs=0.015), analysis


def test_ancova_and_slopes_have_the_truth_and_its_power(design):
    """A loss of 0.02 a day of which 2 % are spared; an error of 1 at each visit, and patients who differ in
    their level alone. Without deaths, dropping baseline as a covariate would leave an error of variance 2."""
    text = DESIGN.replace("\nn = 60\n", "\nn = 30\n")
    given = design(text=text, spared=0.2, h0=1e-12)
    result = package.simulate_trial(given, 1500, seed=4)
    gain = 300 * 0.02 * 0.2
    assert result.numbers["score", "difference", "drug"].mean() == pytest.approx(gain, abs=0.03)
    assert result.numbers["slope", "ratio", "drug"].mean() == pytest.approx(0.8, abs=0.005)
    assert result.numbers["slope", "slope", "placebo"].mean() == pytest.approx(-0.02, rel=0.01)
    # of normal baselines the regression on what was measured leaves: var(y1 | y0), SD of levels 4
    between = 40**2 * (math.exp(0.01) - 1) * math.exp(0.01)
    error = 1 + between - between**2 / (between + 1)
    reach = gain / math.sqrt(error * 2 / 30)
    power = np.mean(result.numbers["score", "p", "drug"] < 0.05)
    assert power == pytest.approx(stats.nct.sf(stats.t.ppf(0.975, 57), 57, reach), abs=0.05)
    days = np.array([0.0, 100, 200, 300])
    reach = 0.02 * 0.2 / math.sqrt(2 / 30 / ((days - 150) ** 2).sum())
    power = np.mean(result.numbers["slope", "p", "drug"] < 0.05)
    assert power == pytest.approx(stats.nct.sf(stats.t.ppf(0.975, 58), 58, reach), abs=0.05)


def test_what_is_adjusted_for_is_found_and_an_interaction_too(design):
    more = DESIGN + (
        "[covariates]\nx = { median = 1, log_sd = 1 }\n"
        '[[analysis]]\nname = "adjusted"\nkind = "cox"\nadjusted_by = ["log x"]\ninteraction = "log x"\n'
    )
    given = design(text=more, b_x=0.7, beta=math.log(0.5))
    found = package.simulate_trial(given, 400, seed=5).numbers
    assert np.exp(np.log(found["adjusted", "hr", "drug"]).mean()) == pytest.approx(0.5, rel=0.05)
    assert np.log(found["adjusted", "interaction", "drug"]).mean() == pytest.approx(0, abs=0.05)
    assert np.mean(found["adjusted", "interaction p", "drug"] < 0.05) == pytest.approx(0.05, abs=0.04)
    # left out, what patients differ by draws the hazard ratio towards 1
    assert np.exp(np.log(found["cox", "hr", "drug"]).mean()) > 0.54


def test_a_trial_is_the_same_however_many_there_are_and_whatever_the_threads(design):
    given = design("", beta=-0.5)
    few = package.simulate_trial(given, 3, seed=6, threads=1)
    many = package.simulate_trial(given, 8, seed=6, threads=3)
    for key, values in few.numbers.items():
        np.testing.assert_array_equal(values, many.numbers[key][:3])
    other = package.simulate_trial(given, 3, seed=7)
    assert not np.array_equal(other.numbers["cox", "hr", "drug"], few.numbers["cox", "hr", "drug"])


def test_of_a_larger_trial_the_first_patients_are_those_of_the_smaller(design):
    given = design(beta=-0.5)
    result = package.simulate_trial(given, 200, seed=8, patients=[40, 120, 360])
    alone = package.simulate_trial(given, 200, seed=8)
    assert list(result.by_size) == [40, 360]
    power = [row["power"] for row in result.power() if row["analysis"] == "log-rank"]
    assert power[0] < power[1] < power[2]
    assert {row["patients"] for row in result.power()} == {40, 120, 360}
    deaths = result.by_size[360]["deaths", "n", ""]
    assert (deaths == 360).all()
    assert alone.numbers["deaths", "n", ""].tolist() == [120] * 200
    uneven = package.simulate_trial(given, 5, seed=8, patients=[33, 201])
    for key, values in alone.numbers.items():
        np.testing.assert_array_equal(uneven.numbers[key], values[:5])


def test_a_trial_randomised_within_strata_has_all_of_its_patients_at_its_size(design):
    text = DESIGN + "[covariates]\nx = { median = 1, log_sd = 1 }\n"
    given = design(text=text + '[randomisation]\nby = "x"\ncuts = [0.5, 1]\n')
    result = package.simulate_trial(given, 20, seed=8, patients=[40])
    assert (result.numbers["deaths", "n", ""] == 120).all()


def test_power_at_another_size_is_that_of_a_trial_of_that_size(design):
    half = DESIGN.replace("\nn = 60\n", "\nn = 30\n")
    reused = package.simulate_trial(design(beta=-0.7), 800, seed=9, patients=[60]).by_size[60]
    alone = package.simulate_trial(design(text=half, beta=-0.7), 800, seed=10).numbers
    for key in (("log-rank", "p", "drug"), ("score", "p", "drug")):
        one, other = (np.mean(found[key] < 0.05) for found in (reused, alone))
        assert one == pytest.approx(other, abs=4 * math.sqrt(2 * 0.25 / 800))


@pytest.mark.parametrize("origin", ["randomisation", "inclusion"])
def test_nobody_dies_in_a_run_in_without_events_and_days_are_from_the_origin(design, origin):
    run_in = f'horizon = 600\norigin = "{origin}"\n'
    given = design(text=DESIGN.replace("horizon = 600\n", run_in) + "[run_in]\ndays = 100\n")
    data, failed = _data(given, 1)
    assert failed == 0
    after = 500 if origin == "inclusion" else 600
    assert given.follow_up == after
    assert data.time[~data.event] == pytest.approx(600)
    assert data.time.min() >= 600 - after
    found = package.simulate_trial(given, 300, seed=1).numbers
    assert found["alive", "fraction", "placebo"].mean() == pytest.approx(math.exp(-0.002 * after), rel=0.03)


def test_who_dies_in_the_run_in_is_not_randomised(design):
    """Of patients who differ in their hazard by x, the frailer ones are gone: x = 3 or 1/3 in halves."""
    text = DESIGN + "[run_in]\ndays = 300\nevents = true\n[covariates]\nx = { median = 1, log_sd = 1 }\n"
    given = design(text=text, b_x=1)
    frailty = np.concatenate([_data(given, k)[0].covariates["x"] for k in range(60)])
    z = np.linspace(-6, 6, 4001)
    weight = np.exp(-0.5 * z**2 - 0.002 * 300 * np.exp(z))
    assert np.log(frailty).mean() == pytest.approx((weight * z).sum() / weight.sum(), abs=0.05)
    assert frailty.size == 60 * 120


def test_who_drops_out_is_measured_no_more_and_gets_no_more_doses(design):
    text = DESIGN.replace("1 mg iv once", "1 mg iv every 100 d x4") + "[dropout]\nper_year = 0.8\n"
    given = design(text=text, h0=1e-12)
    data, _ = _data(given, 3)
    seen = np.isfinite(data.measured["score_now"])
    assert (seen == (data.visits <= data.time[:, None])).all()
    assert seen[:, -1].mean() == pytest.approx(math.exp(-0.8 * 300 / 365.25), abs=0.15)
    assert seen[:, 0].all()
    known = text.replace("per_year = 0.8\n", "per_year = 0.8\nvital_status = true\n")
    data, _ = _data(design(text=known), 3)
    assert data.time[~data.event] == pytest.approx(600)
    # half of the doses spare as much as doses that are given half of the time
    missed = text.replace("[dropout]\nper_year = 0.8", "[missed]\ncourse_probability = 0.5")
    found = package.simulate_trial(design(text=missed, spared=0.2, h0=1e-12), 200, seed=4).numbers
    full = 0.2 * 0.02 * 100 * (1 + 2 + 3)
    assert found["score", "difference", "drug"].mean() == pytest.approx(full / 2, rel=0.05)


def _data(given, trial) -> tuple[TrialData, int]:
    from pkpd.trial.patients import recruiting

    source = recruiting(given, 5, seed=1, vary=("between",), posterior=None)
    return TrialRun(given, source, (tuple(arm.n for arm in given.arms),)).simulated(trial)


@pytest.mark.parametrize("sizes", [(30, 30), (20, 40), (7, 8, 9)])
def test_blocks_meet_the_sizes_of_the_arms(design, sizes):
    given = design()
    arms = tuple(dataclasses.replace(given.arms[0], n=n) for n in sizes)
    for trial in range(20):
        arm = allotted(dataclasses.replace(given, arms=arms), sizes, None, stream(1, trial, 0))
        assert np.bincount(arm).tolist() == list(sizes)
        assert abs(np.bincount(arm[: sum(sizes) // 2], minlength=len(sizes)) / sum(sizes) * 2
                   - np.array(sizes) / sum(sizes)).max() < 0.3  # fmt: skip


def test_stratified_randomisation_balances_what_it_is_stratified_by(design):
    given = design(text=DESIGN + "[covariates]\nx = { median = 1, log_sd = 1 }\n"
                   '[randomisation]\nby = "x"\ncuts = [1]\nblock = 4\n')  # fmt: skip
    for trial in range(10):
        data, _ = _data(given, trial)
        high = data.covariates["x"] >= 1
        for part in (high, ~high):
            assert abs(np.diff(np.bincount(data.arm[part])))[0] <= 2


def test_part_of_a_covariate_is_taken_by_its_quantiles(design):
    given = design(text=DESIGN + "[covariates]\nx = { median = 2, log_sd = 0.5, from = 1, to = 3 }\n")
    z = np.random.default_rng(1).standard_normal(4000)
    spread = given.covariates["x"]
    found = spread.values(spread.within(z))
    assert found.min() >= 1
    assert found.max() <= 3
    low, high = (math.log(end / 2) / 0.5 for end in (1, 3))
    whole = stats.truncnorm(low, high, math.log(2), 0.5)
    assert stats.kstest(np.log(found), whole.cdf).pvalue > 0.01
    assert (np.diff(found[np.argsort(z)]) >= 0).all()


def test_what_goes_together_with_a_covariate_that_is_enrolled_in_part_goes_with_it(design, folder):
    """log x and log base with a correlation of 0.8: of x from 1 on, E(z) is sqrt(2/pi)."""
    together = MODEL.replace("covariate  x = 1 [1]", "covariate  x = 1 [1]  ~ lognormal(1)")
    file = folder / "together.model"
    file.write_text(together + "correlation x base = 0.8\n", encoding="utf-8")
    text = DESIGN.replace("line.model", "together.model")
    text += "[covariates]\nx = { median = 1, log_sd = 0.5, from = 1 }\n"
    given = design(text=text, loss=0, h0=1e-12)
    data = [_data(given, k)[0] for k in range(4)]
    x = np.concatenate([one.covariates["x"] for one in data])
    base = np.concatenate([one.at("score_now", 0) for one in data])
    assert x.min() >= 1
    assert np.log(x).mean() / 0.5 == pytest.approx(math.sqrt(2 / math.pi), abs=0.1)
    assert np.log(base / 40).mean() / 0.1 == pytest.approx(0.8 * math.sqrt(2 / math.pi), abs=0.2)


def test_tolerances_of_a_trial_leave_outputs_within_a_thousandth():
    """Patients of the shipped fit under cycles, against a much closer solve."""
    people = package.virtual_subjects("low_dose_il2", 8, seed=1)
    doses = package.Schedule.parse("2 MIU sc daily x5 every 28 d x6").events_for(people.kernel)
    times = np.arange(0, 169, 7) * 24.0
    from pkpd.trial.run import HOW

    columns = [people.kernel.OUTPUTS.index(name) for name in ("treg_pct", "ccl2", "nk")]
    close = package.Options(rtol=1e-8, method="rodas5p")
    rough, exact = (
        package.solve(people.kernel, people.values, doses, times, options=how).outputs[:, :, columns]
        for how in (HOW, close)
    )
    np.testing.assert_allclose(rough, exact, rtol=1e-3)


def test_published_numbers_stand_beside_what_is_predicted(design):
    rows = (
        ("HR", "cox", "hr", "0.6", ""),
        ("HR too low", "cox", "hr", "0.01", ""),
        ("not significant", "log-rank", "p", '"> 0.05"', ""),
        ("dead", "deaths", "events", "42", 'arm = "placebo"\n'),
        ("all dead", "deaths", "events", "80", ""),
    )
    text = DESIGN + "".join(
        f'[[published]]\nname = "{name}"\nanalysis = "{analysis}"\nquantity = "{quantity}"\n'
        f'value = {value}\n{arm}provenance = "unverified"\n'
        for name, analysis, quantity, value, arm in rows
    )
    result = package.simulate_trial(design(text=text, beta=-0.5), 200, seed=1)
    found = {row.published.name: row for row in result.rows() if row.published}
    assert [found[name].inside for name, *_ in rows] == [True, False, True, True, True]
    assert found["not significant"].agree == pytest.approx(1 - found["not significant"].significant)
    assert "(unverified)" in result._repr_html_()
    table = result.table().set_index("name")
    assert table.loc["HR", "low"] < 0.6 < table.loc["HR", "high"]
    assert table.loc["dead", "median"] == pytest.approx(60 * (1 - math.exp(-1.2)), abs=1)


def test_cautions_of_the_model_stand_behind_the_notes_of_the_design_once(design, folder):
    file = folder / "careful.model"
    file.write_text(MODEL + "caution one\ncaution two\n", encoding="utf-8")
    text = DESIGN.replace("line.model", "careful.model")
    given = dataclasses.replace(design(text=text), notes=("zero", "two"))
    assert package.simulate_trial(given, 1, seed=1).notes[:3] == ("zero", "two", "one")


def test_results_are_written_whole_and_say_what_they_are(design, tmp_path):
    import json

    given = dataclasses.replace(design(beta=-0.5), notes=("invented",))
    result = package.simulate_trial(given, 30, seed=1)
    result.write_json(tmp_path / "trial.json")
    result.write_csv(tmp_path / "trial.csv")
    result.write_numbers(tmp_path / "numbers.csv")
    told = json.loads((tmp_path / "trial.json").read_text())
    assert told["notes"] == ["invented", "The design names a model, not a fit: every trial has the same "
                             "typical values.", "A model, not medical advice."]  # fmt: skip
    assert told["trials"] == 30
    middle = next(one for one in told["survival"] if one["arm"] == "drug")["median"]
    assert middle[0] == 1.0
    assert (np.diff(middle) <= 0).all()
    assert "A model, not medical advice." in (tmp_path / "trial.csv").read_text()
    lines = [line for line in (tmp_path / "numbers.csv").read_text().splitlines() if line[0] != "#"]
    assert len(lines) == 31


def test_what_the_model_does_not_have_is_named(design):
    for text, words in (
        (DESIGN.replace("measured.score_now", "measured.score_no").replace('"score_now"', '"score_no"'),
         'did you mean "score_now"'),
        (DESIGN.replace('hazard = "death"', 'hazard = "deth"'), 'did you mean "death"'),
        (DESIGN + "[covariates]\ny = 1\n", "no covariate"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            package.simulate_trial(design(text=text), 1)
    with pytest.raises(InputError, match=r"parameters.*betta"):
        package.simulate_trial(design(betta=1), 1)
