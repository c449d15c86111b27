"""Numbers that a fit has not seen are predicted as the closed form says where everything is normal, by the
same scores; and of small arms of log-normal patients in new studies the intervals hold what they say."""

import itertools
import math
import shutil

import numpy as np
import pytest
from scipy import stats

import pkpd
from pkpd.core.errors import DataError
from pkpd.inference import fit
from pkpd.inference.predictive import LEVELS, BetweenEnds, Counted, Located
from pkpd.inference.summary.reading import parse_data
from pkpd.inference.validation import Validation, validate
from tests import toy

ALONE = {"rival": False, "leave_one_out": False, "unverified": False, "check": False}
MODEL = """\
model      a level
time       h
parameter  mu = 2 [mg/L] level {between}
parameter  k = 1 [1/h] loss of a drug
parameter  V = 1 [L] its volume
state      A [mg]
d A = -k*A
route      iv -> A
output     y = mu + A/V [mg/L]
output     w = 2*mu [mg/L]
"""
EXACT = "subjects = 1\nstarts = 1\ntolerance = 1e-9"
HEADER = (
    "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,statistic,value,unit,spread,spread_type,"
    "lower,upper,effect,source,provenance\n"
)


def write(folder, rows, free, effect, between="", options="subjects = 1\nstarts = 1", errors="", without=()):
    folder.mkdir()
    (folder / "level.model").write_text(MODEL.format(between=between), encoding="utf-8")
    (folder / "fit.toml").write_text(
        f'model = "level.model"\n[options]\n{options}\n[free]\nmu = "{free}"\n'
        f"[study_effects]\nmu = {effect}\n{errors}",
        encoding="utf-8",
    )
    (folder / "data.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    fit(folder, without=list(without), **ALONE).write_json(folder / "result.json")
    return folder


def row(name, study, value, spread, kind="SE", n="", output="y", statistic="mean", arm="arm", effect=""):
    return (
        f"{name},{study},{arm},{n},none,{output},value,at,1,h,{statistic},{value},mg/L,{spread},{kind},,,"
        f"{effect},invented,reported\n"
    )


# below 0, so that nothing is a factor
SEEN = {"A": (-2.4, 0.3), "B": (-1.6, 0.2), "C": (-2.9, 0.4)}
PRIOR, TAU = (-2.0, 1.0), 0.5


@pytest.fixture(scope="module")
def normal(tmp_path_factory):
    """A level in three studies that differ: everything is normal."""
    rows = [row(f"seen{study}", study, *numbers) for study, numbers in SEEN.items()]
    folder = tmp_path_factory.mktemp("validation") / "normal"
    return write(folder, rows, f"normal({PRIOR[0]}, {PRIOR[1]})", TAU, options=EXACT)


NEW = (
    row("a1", "A", -2.2, 0.25, arm="other"),
    row("d1", "D", -3.1, 0.2),
    row("d2", "D", -6.4, 0.5, output="w"),
    row("e1", "E", -1.5, 0.3),
)


def exact():
    """Mean and covariance of the new numbers given the seen ones, by conditioning one normal distribution."""
    # of mu and the effects of A to E
    prior = np.diag([PRIOR[1] ** 2, *[TAU**2] * 5])
    seen = np.array([[1, *(name == study for name in "ABCDE")] for study in SEEN], dtype=float)
    new = np.array([[1, *(name == study for name in "ABCDE")] for study in "ADDE"], dtype=float)
    new[2] *= 2
    y, se = (np.array(part) for part in zip(*SEEN.values(), strict=True))
    gain = prior @ seen.T @ np.linalg.inv(seen @ prior @ seen.T + np.diag(se**2))
    centre = np.array([PRIOR[0], *[0.0] * 5])
    mean = centre + gain @ (y - seen @ centre)
    covariance = prior - gain @ seen @ prior
    return new @ mean, new @ covariance @ new.T, new, covariance


@pytest.fixture(scope="module")
def found(normal):
    return validate(normal, parse_data(HEADER + "".join(NEW), "new.csv"))


ERRORS, OBSERVED = np.array([0.25, 0.2, 0.5, 0.3]), np.array([-2.2, -3.1, -6.4, -1.5])


def test_predictions_and_their_parts_are_those_of_the_closed_form(found):
    mean, unknown, new, covariance = exact()
    assert [r.predicted for r in found.rows] == pytest.approx(mean, abs=1e-4)
    known = [0, 1, 2, 3]  # what the fit estimated; D and E are new studies
    parameters = np.sqrt(np.diag(new[:, known] @ covariance[np.ix_(known, known)] @ new[:, known].T))
    assert [r.sd_parameters for r in found.rows] == pytest.approx(parameters, rel=1e-4)
    assert [r.sd_new_study for r in found.rows] == pytest.approx([0, TAU, 2 * TAU, TAU], abs=1e-9)
    assert [r.sd_sampling for r in found.rows] == pytest.approx(ERRORS)
    assert [r.sd_patients for r in found.rows] == [0, 0, 0, 0]
    assert [r.sd for r in found.rows] == pytest.approx(np.sqrt(np.diag(unknown) + ERRORS**2), rel=1e-4)
    assert [r.new_study for r in found.rows] == [False, True, True, True]


def test_intervals_and_scores_of_a_row_are_those_of_its_normal_distribution(found):
    mean, unknown, _, _ = exact()
    for i, r in enumerate(found.rows):
        law = stats.norm(mean[i], math.sqrt(unknown[i, i] + ERRORS[i] ** 2))
        z = (OBSERVED[i] - mean[i]) / law.std()
        for level, low, high in r.intervals:
            assert (low, high) == pytest.approx(law.interval(level), abs=2e-3 * law.std())
        assert r.pit == pytest.approx(law.cdf(OBSERVED[i]), abs=1e-4)
        assert r.deviation == pytest.approx(-z, abs=1e-3)
        assert r.log_score == pytest.approx(law.logpdf(OBSERVED[i]), abs=1e-3)
        # Gneiting & Raftery 2007, eq. 21
        crps = law.std() * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
        assert r.crps == pytest.approx(crps, rel=1e-3)


def test_all_numbers_together_have_the_joint_density(found):
    mean, unknown, _, _ = exact()
    joint = stats.multivariate_normal(mean, unknown + np.diag(ERRORS**2))
    assert found.log_density == pytest.approx(joint.logpdf(OBSERVED), abs=1e-3)
    gap = OBSERVED - mean
    assert found.chi_square == pytest.approx(gap @ np.linalg.solve(joint.cov, gap), abs=1e-3)


def test_correlations_that_the_fit_declares_hold_between_rows_that_it_left_out(tmp_path):
    rows = [row(f"seen{study}", study, *numbers) for study, numbers in SEEN.items()]
    folder = write(
        tmp_path / "declared",
        [*rows, *NEW[1:3]],
        f"normal({PRIOR[0]}, {PRIOR[1]})",
        TAU,
        options=EXACT,
        errors='[errors]\ncorrelations = [{ rows = ["d1", "d2"], value = 0.4 }]\n',
        without=["D"],
    )
    found = validate(folder, parse_data(HEADER + "".join(NEW[1:3]), "data.csv"))
    mean, unknown, _, _ = exact()
    errors, own = np.diag(ERRORS[1:3]), np.array([[1, 0.4], [0.4, 1]])
    joint = stats.multivariate_normal(mean[1:3], unknown[1:3, 1:3] + errors @ own @ errors)
    assert found.log_density == pytest.approx(joint.logpdf(OBSERVED[1:3]), abs=1e-3)


def test_orderings_count_what_two_rows_share(found):
    mean, unknown, _, _ = exact()
    pairs = {(each.first, each.second): each for each in found.orderings}
    names = ["a1", "d1", "d2", "e1"]
    # w is another output: it is ordered against nothing
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in (("a1", "d1"), ("a1", "e1"), ("d1", "e1"))
    }
    for (first, second), each in pairs.items():
        i, j = names.index(first), names.index(second)
        variance = unknown[i, i] + unknown[j, j] - 2 * unknown[i, j] + ERRORS[i] ** 2 + ERRORS[j] ** 2
        assert each.probability == pytest.approx(
            stats.norm.cdf((mean[i] - mean[j]) / math.sqrt(variance)), abs=1e-4
        )
        assert each.held == (OBSERVED[i] > OBSERVED[j])


def test_coverage_is_counted_and_read_back(found, tmp_path):
    z = np.array([r.deviation for r in found.rows])
    for level, edge in ((0.5, 0.6745), (0.9, 1.645), (0.95, 1.96)):
        assert found.coverage(level) == (int((np.abs(z) < edge).sum()), 4)
    found.write_json(tmp_path / "v.json")
    assert Validation.read_json(tmp_path / "v.json") == found
    shown = found._repr_html_()
    assert shown.count("<tr>") == 1 + len(found.rows) and f"<td>{found.rows[0].reported}</td>" in shown
    with pytest.raises(DataError, match="is not the JSON of a validation"):
        Validation.read_json(__file__)
    assert f"{found.coverage(0.95)[0]} of 4 in their 95 % interval" in found.summary()


def test_a_row_of_the_fit_is_refused_with_its_line(normal):
    """Under another name and in another unit, too."""
    again = "again,B,arm,,none,y,value,at,60,min,mean,-1600,ug/L,200,SE,,,,invented,reported\n"
    data = parse_data(HEADER + row("d1", "D", -3.1, 0.2) + again, "new.csv")
    with pytest.raises(
        DataError, match=r'new\.csv: line 3 \(row "again"\) is row "seenB", line 3 of data\.csv'
    ):
        validate(normal, data)
    assert len(validate(normal, data, seen=True).rows) == 2


def test_rows_of_unknown_outputs_are_named_and_nothing_else_is_an_error(normal):
    data = parse_data(HEADER + row("d1", "D", -3.1, 0.2) + row("q", "D", -3.1, 0.2, output="z"), "new.csv")
    assert list(validate(normal, data).not_predicted) == ["q"]
    with pytest.raises(DataError, match="no row can be predicted by level"):
        validate(normal, parse_data(HEADER + row("q", "D", -3.1, 0.2, output="z"), "new.csv"))


def test_a_changed_fit_is_refused(normal, tmp_path):
    folder = tmp_path / "normal"
    shutil.copytree(normal, folder)
    text = (folder / "data.csv").read_text(encoding="utf-8")
    (folder / "data.csv").write_text(text.replace("-2.4,mg/L", "-2.5,mg/L"), encoding="utf-8")
    with pytest.raises(DataError, match='row "seenA" has changed'):
        validate(folder / "result.json", parse_data(HEADER + row("d1", "D", -3.1, 0.2)))


N, BETWEEN, STUDY_SD = 6, 0.4, 0.15


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Levels that differ between patients (log-SD 0.4) and studies (0.15), known to 10 %."""
    rows = [row(f"s{k}", f"S{k}", value, 0.9, "SD", n=30) for k, value in enumerate((2.0, 2.3, 1.9, 2.4))]
    folder = tmp_path_factory.mktemp("validation") / "patients"
    options = "subjects = 64\nstarts = 1"
    return write(folder, rows, "lognormal(2, 0.5)", STUDY_SD, f"~ lognormal({BETWEEN})", options)


def test_intervals_of_small_arms_in_new_studies_hold_what_they_say(patients):
    """Trials are drawn where the posterior has them: level, studies, patients; each prints mean and SD."""
    result = pkpd.FitResult.read_json(patients / "result.json")
    level = next(e for e in result.estimates if e.kind == "parameter")
    generator = np.random.default_rng(5)
    inside, pits = {0.5: [], 0.9: [], 0.95: []}, []
    for _ in range(10):
        mu = math.exp(level.x + level.x_sd * generator.standard_normal())
        rows = []
        for k in range(30):
            typical = mu * math.exp(STUDY_SD * generator.standard_normal())
            people = typical * np.exp(BETWEEN * generator.standard_normal(N))
            rows.append(row(f"n{k}", f"N{k}", f"{people.mean():.6g}", f"{people.std(ddof=1):.6g}", "SD", n=N))
        found = validate(patients, parse_data(HEADER + "".join(rows), "new.csv"))
        pits += [r.pit for r in found.rows]
        for level_, told in inside.items():
            told += [r.inside(level_) for r in found.rows]
    # 300 numbers, 30 of which share a level each time: the SE of a share of 90 % is about 2 %
    assert 0.42 < np.mean(inside[0.5]) < 0.58
    assert 0.85 < np.mean(inside[0.9]) < 0.95
    assert 0.91 < np.mean(inside[0.95]) < 0.99
    assert np.mean(pits) == pytest.approx(0.5, abs=0.06)


def test_patients_and_noise_have_their_shares(patients):
    text = (patients / "fit.toml").read_text(encoding="utf-8")
    noisy = patients.parent / "noisy"
    if not noisy.exists():
        shutil.copytree(patients, noisy)
    (noisy / "fit.toml").write_text(text + "[noise]\ny = { additive = 0.8 }\n", encoding="utf-8")
    fit(noisy, **ALONE).write_json(noisy / "result.json")
    (found,) = validate(noisy, parse_data(HEADER + row("n", "N", 2.0, 1.2, "SD", n=N))).rows
    mean = found.predicted
    between = mean**2 * math.expm1(BETWEEN**2)
    share = between / (between + 0.8**2)
    assert found.sd_patients**2 + found.sd_sampling**2 == pytest.approx(1.2**2 / N)
    assert found.sd_patients**2 / (1.2**2 / N) == pytest.approx(share, rel=0.05)


def test_an_assumed_error_goes_with_the_prediction_and_not_with_the_number(normal):
    ends = []
    for value in (-1.0, -4.0):
        line = row("n", "N", value, "", "none")
        (found,) = validate(normal, parse_data(HEADER + line)).rows
        assert found.sd_sampling == pytest.approx(0.3 * abs(found.predicted))
        ends.append(np.array(found.intervals))
    np.testing.assert_allclose(ends[0], ends[1])


# --- the distributions themselves


def test_a_count_is_beta_binomial_by_brute_force():
    law = Counted(0.3, 0.25, 12)
    generator = np.random.default_rng(1)
    logits = math.log(0.3 / 0.7) + 0.5 * generator.standard_normal(400_000)
    drawn = generator.binomial(12, 1 / (1 + np.exp(-logits)))
    assert law.sd == pytest.approx(drawn.std(), rel=0.01)
    for k in (0, 3, 7):
        assert math.exp(law.log_density(k)) == pytest.approx(np.mean(drawn == k), abs=0.003)
        assert law.cdf(k) == pytest.approx(np.mean(drawn < k) + np.mean(drawn == k) / 2, abs=0.003)
        # E|X - k| - E|X - X'|/2, Gneiting & Raftery 2007, eq. 20
        crps = np.mean(np.abs(drawn - k)) - np.mean(np.abs(drawn - generator.permutation(drawn))) / 2
        assert law.crps(k) == pytest.approx(crps, abs=0.01)
    low, high = law.interval(0.9)
    assert np.mean((drawn >= low) & (drawn <= high)) >= 0.9


@pytest.mark.parametrize("given", [{"on_log": True}, {"positive": True}])
def test_a_location_with_factors_is_that_of_draws(given):
    middle = math.log(3.0) if "on_log" in given else 3.0
    unknown, error = (0.09, 0.2) if "on_log" in given else (1.5**2, 0.5)
    law = Located(middle, unknown, error, **given)
    generator = np.random.default_rng(2)
    a, b = generator.standard_normal((2, 400_000))
    if "on_log" in given:
        drawn = np.exp(middle + 0.3 * a + error * b)
    else:
        drawn = middle * np.exp(1.5 / 3 * a) + error * b
    for level in (0.5, 0.95):
        ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        assert law.interval(level) == pytest.approx(ends, rel=0.015)
    y = 4.2
    assert law.cdf(y) == pytest.approx(np.mean(drawn < y), abs=0.003)
    crps = np.mean(np.abs(drawn - y)) - np.mean(np.abs(drawn - generator.permutation(drawn))) / 2
    assert law.crps(y) == pytest.approx(crps, rel=0.02)
    near = np.mean(np.abs(drawn - y) < 0.1) / 0.2
    assert math.exp(law.log_density(y)) == pytest.approx(near, rel=0.03)


def test_of_a_bound_the_probability_counts_that_it_is_kept():
    law = BetweenEnds(Located(3.0, 0.09, 0.4), 2.0, math.inf)
    assert law.probability == pytest.approx(stats.norm.sf(2.0, 3.0, 0.5), abs=1e-4)
    assert math.exp(law.log_density(2.0)) == pytest.approx(law.probability)
    assert math.isnan(law.cdf(2.0)) and math.isnan(law.crps(2.0))
    assert BetweenEnds(law.located, -math.inf, 2.0).probability == pytest.approx(1 - law.probability)


@pytest.mark.parametrize("width", [0.1, 0.5, 3.0])
def test_of_what_is_told_in_steps_intervals_hold_what_they_say(width):
    """Numbers of a normal law, of which only the step of a scale is reported, the outermost ones open."""
    law, normal = Located(3.0, 0.09, 0.4), stats.norm(3.0, 0.5)
    edges = np.concatenate([[-math.inf], np.arange(1.7, 4.6, width), [math.inf]])
    steps = [BetweenEnds(law, low, high) for low, high in itertools.pairwise(edges)]
    told = np.diff(normal.cdf(edges))
    assert [step.probability for step in steps] == pytest.approx(told, abs=1e-4)
    for level in LEVELS:
        assert told @ [step.share(level) for step in steps] == pytest.approx(level, abs=2e-3)
    pits = [step.cdf(0.0) for step in steps[1:-1]]
    assert pits == pytest.approx((normal.cdf(edges[1:-2]) + normal.cdf(edges[2:-1])) / 2, abs=1e-4)


@pytest.mark.parametrize("statistic", ["interval", "reported_floor"])
def test_intervals_of_numbers_of_which_only_a_floor_is_reported_hold_what_they_say(normal, statistic):
    """Numbers of new studies are drawn where the fit expects them and told rounded down to an even one:
    taken as plain values they would be outside of 95 % too often."""
    level = next(e for e in pkpd.FitResult.read_json(normal / "result.json").estimates if e.name == "mu")
    generator, error, each = np.random.default_rng(7), 0.3, 40
    held, rounded, log_scores = dict.fromkeys(LEVELS, 0.0), 0, []
    for _ in range(10):
        mu = level.x + level.x_sd * generator.standard_normal()
        numbers = mu + math.hypot(TAU, error) * generator.standard_normal(each)
        rows = []
        for k, low in enumerate(2 * np.floor(numbers / 2)):
            value, lower = (low, "") if statistic == "reported_floor" else ("", low)
            rows.append(
                f"n{k},N{k},arm,,none,y,value,at,1,h,{statistic},{value},mg/L,{error},SE,{lower},{low + 2},,"
                "invented,reported\n"
            )
        found = validate(normal, parse_data(HEADER + "".join(rows), "new.csv"))
        for level_ in LEVELS:
            held[level_] += found.coverage(level_)[0]
        ends = np.array([r.intervals[-1][1:] for r in found.rows])
        low = 2 * np.floor(numbers / 2)
        rounded += np.sum((low < ends[:, 0]) | (low > ends[:, 1]))
        log_scores += [r.log_score for r in found.rows]
        assert (found["n0"].lower, found["n0"].upper) == (low[0], low[0] + 2)
        assert found.orderings == ()
    n = 10 * each
    for level_ in LEVELS:  # the SE of a share is at most 2.5 %, with the level that 40 numbers share
        assert held[level_] / n == pytest.approx(level_, abs=0.06 if level_ < 0.9 else 0.03)
    assert rounded / n > 0.05 + 0.03
    law = stats.norm(mu, math.hypot(TAU, error))
    expected = [math.log(law.cdf(low + 2) - law.cdf(low)) for low in 2 * np.floor(numbers / 2)]
    assert np.mean(log_scores[-each:]) == pytest.approx(np.mean(expected), abs=0.3)


def test_a_floor_that_the_prediction_meets_is_inside_and_one_far_above_is_not(normal, tmp_path):
    def floor(name, value, upper):
        return (
            f"{name},D,arm {name},,none,y,value,at,1,h,reported_floor,{value},mg/L,0.2,SE,,{upper},,"
            "invented,reported\n"
        )

    text = HEADER + floor("met", -4, -1) + floor("far", 1, 4)
    found = validate(normal, parse_data(text, "new.csv"))
    assert (found["met"].inside(0.95), found["far"].inside(0.95)) == (True, False)
    assert found["met"].share(0.5) < found["met"].share(0.95)
    assert "reported -4 to -1 mg/L, within" in found.summary()
    found.write_json(tmp_path / "validation.json")
    assert Validation.read_json(tmp_path / "validation.json").rows == found.rows


def test_every_kind_of_row_of_a_fit_is_told(tmp_path):
    """Of the toy fit, whose numbers are means, a half-life, a maximum and a bound."""
    folder = toy.write(tmp_path / "toy")
    fit(folder, **ALONE).write_json(folder / "result.json")
    found = validate(folder, folder / "data.csv", seen=True)
    assert [r.id for r in found.rows] == ["c50", "c100", "c200", "max100", "half", "early", "late"]
    assert all(len(r.intervals) == 3 for r in found.rows)
    late = found["late"]
    assert math.isnan(late.pit) and late.inside(0.95)
    first = pkpd.FitResult.read_json(folder / "result.json").rows[0]
    assert found["c50"].predicted == pytest.approx(first.predicted, rel=1e-9)
