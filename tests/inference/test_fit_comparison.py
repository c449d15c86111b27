"""Fits of the same numbers are compared by the closed form where everything is normal, with differences
paired by study; what was fitted to something else is refused with a sentence that says what."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import pkpd
from pkpd.core.errors import InputError
from pkpd.core.files import to_json
from pkpd.inference import fit
from pkpd.inference.fit_comparison import FitComparison, compare_fits
from pkpd.inference.search import REFIT_TOLERANCE
from tests.inference.test_validation import ALONE, EXACT, HEADER, MODEL, row

NUMBERS = {"A": (-2.4, 0.3), "B": (-1.2, 0.2), "C": (-3.3, 0.4), "D": (-2.1, 0.25)}
PRIOR = (-2.0, 1.0)
TAUS = {"narrow": 0.1, "wide": 0.8, "middle": 0.4}


def write(folder, effect, *, rows=NUMBERS, extra="", options=EXACT):
    folder.mkdir()
    (folder / "level.model").write_text(MODEL.format(between=""), encoding="utf-8")
    (folder / "fit.toml").write_text(
        f'model = "level.model"\n[options]\n{options}\n[free]\nmu = "normal({PRIOR[0]}, {PRIOR[1]})"\n'
        f"[study_effects]\nmu = {effect}\n{extra}",
        encoding="utf-8",
    )
    lines = [row(f"seen{study}", study, *numbers) for study, numbers in rows.items()]
    (folder / "data.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    fit(folder, **ALONE).write_json(folder / "result.json")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("compared")
    return {name: write(base / name, tau) for name, tau in TAUS.items()}


@pytest.fixture(scope="module")
def found(folders):
    return compare_fits(list(folders.values()))


def left_out(tau):
    """Log density of every study's number given the others, by the closed form, and by how much it may differ
    where the level is fitted without the study to ``REFIT_TOLERANCE`` in OFV alone."""
    y, se = (np.array(part) for part in zip(*NUMBERS.values(), strict=True))
    weights = 1 / (se**2 + tau**2)
    densities, slack = [], []
    for k in range(len(y)):
        others = np.arange(len(y)) != k
        precision = 1 / PRIOR[1] ** 2 + weights[others].sum()
        mean = (PRIOR[0] / PRIOR[1] ** 2 + weights[others] @ y[others]) / precision
        variance = 1 / precision + tau**2 + se[k] ** 2
        densities.append(stats.norm.logpdf(y[k], mean, math.sqrt(variance)))
        off = math.sqrt(REFIT_TOLERANCE / precision)
        slack.append((abs(y[k] - mean) * off + off**2 / 2) / variance)
    return np.array(densities), np.array(slack)


def test_left_out_studies_and_their_difference_are_those_of_the_closed_form(found):
    exact = {name: left_out(tau) for name, tau in TAUS.items()}
    best = max(exact, key=lambda name: exact[name][0].sum())
    assert found.best == best
    for score in found.scores:
        densities, slack = exact[score.label]
        for each, density, off in zip(score.left_out, densities, slack, strict=True):
            assert each.log_density == pytest.approx(density, abs=off)
        assert score.log_density == pytest.approx(sum(each.log_density for each in score.left_out))
        assert [each.study for each in score.left_out] == list(NUMBERS)
        if score.label == best:
            assert math.isnan(score.log_density_difference)
            continue
        (other,) = [each for each in found.scores if each.label == best]
        gaps = np.array(
            [a.log_density - b.log_density for a, b in zip(score.left_out, other.left_out, strict=True)]
        )
        assert score.log_density_difference == pytest.approx(gaps.sum())
        assert score.se == pytest.approx(math.sqrt(len(gaps)) * gaps.std(ddof=1))


def test_criteria_are_of_the_marginal_likelihood_of_the_closed_form(found):
    y, se = (np.array(part) for part in zip(*NUMBERS.values(), strict=True))
    for score in found.scores:
        variance = se**2 + TAUS[score.label] ** 2
        information = (1 / variance).sum()
        precision = information + 1 / PRIOR[1] ** 2
        mu = ((y / variance).sum() + PRIOR[0] / PRIOR[1] ** 2) / precision
        minus_2ll = -2 * stats.norm.logpdf(y, mu, np.sqrt(variance)).sum()
        effective = information / precision
        assert score.minus_2ll == pytest.approx(minus_2ll, abs=1e-3)
        assert score.aic == pytest.approx(minus_2ll + 2 * effective, abs=1e-3)
        assert score.bic == pytest.approx(minus_2ll + math.log(4) * effective, abs=1e-3)
        assert score.n == 4
    assert "n of BIC is that of 4 independent groups of rows" in found.notes[0]


def test_bics_of_other_numbers_of_groups_are_not_compared(folders):
    one = pkpd.FitResult.read_json(folders["middle"] / "result.json")
    other = dataclasses.replace(one, aic=one.aic + 2, n_independent=3)
    found = compare_fits([one, other], leave_one_out=False)
    assert found.verdict() == [f"{found.scores[1].label} against {found.best}: AIC +2.0."]
    shown = found._repr_html_()
    assert shown.count("<tr>") == 1 + 2 and found.verdict()[0] in shown
    assert "middle 4" in found.notes[0] or f"{found.best} 4" in found.notes[0]


def test_a_result_whose_aic_counts_otherwise_is_refused(folders):
    one = pkpd.FitResult.read_json(folders["middle"] / "result.json")
    with pytest.raises(InputError, match=r"by a version whose AIC counts otherwise \(.* fit again"):
        compare_fits([one, dataclasses.replace(one, n_independent=0)], leave_one_out=False)


def test_rows_are_those_of_the_results_with_the_largest_difference_first(found, folders):
    results = [pkpd.FitResult.read_json(folder / "result.json") for folder in folders.values()]
    for each in found.rows:
        for result, predicted, part in zip(results, each.predicted, each.contributions, strict=True):
            (mine,) = [one for one in result.rows if one.id == each.row]
            assert (predicted, part) == (mine.predicted, mine.contribution)
    assert [each.difference for each in found.rows] == sorted(
        (r.difference for r in found.rows), reverse=True
    )


def test_it_is_said_in_words_and_read_back(found, tmp_path):
    (words,) = [words for words in found.verdict() if words.startswith("narrow")]
    assert f"narrow against {found.best}: AIC +" in words
    assert "left-out studies are predicted worse by" in words
    found.write_json(tmp_path / "c.json")
    again = FitComparison.read_json(tmp_path / "c.json")
    assert to_json(again.to_dict()) == to_json(found.to_dict())
    assert again.summary() == found.summary()


def test_scores_that_a_result_holds_are_taken_from_there(folders):
    """A rival's comparison on the same rows has them: nothing is fitted again."""
    held, _ = left_out(0.4)
    one = pkpd.FitResult.read_json(folders["middle"] / "result.json")
    studies = tuple(
        pkpd.inference.StudyLeftOut(study, 1, 1, float(density), 1.0, True)
        for study, density in zip(NUMBERS, held, strict=True)
    )
    score = pkpd.inference.ModelScore("level", "", 0, 0, 1, 1, 0, 0, float(held.sum()), True, studies)
    rows = tuple(f"seen{study}" for study in NUMBERS)
    rival = pkpd.inference.RivalComparison(rows, (), score, score, 0.0, 0.0)
    one = dataclasses.replace(one, name="nowhere", comparison=rival)
    found = compare_fits([one, dataclasses.replace(one, name="elsewhere")])
    assert found.scores[0].left_out == studies
    assert found.scores[1].log_density_difference == 0.0


CHANGES = {
    "rows": (
        {"rows": {name: NUMBERS[name] for name in "ABC"}},
        r"to other rows \(only in middle: seenD\)",
    ),
    "data": ({"rows": NUMBERS | {"B": (-1.3, 0.2)}}, r"to other data \(of row seenB\)"),
    "seed": ({"options": f"{EXACT}\nseed = 2"}, r"with other seeds \(1 and 2\)"),
    "subjects": (
        {"options": EXACT.replace("subjects = 1", "subjects = 2")},
        r"with other numbers of subjects in each arm \(1 and 2\)",
    ),
    "errors": ({"extra": "[errors]\ndefault = 0.2\n"}, "with other errors of numbers"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_fitted_to_something_else_is_refused(folders, tmp_path, what):
    given, words = CHANGES[what]
    other = write(tmp_path / "other", 0.4, **given)
    with pytest.raises(InputError, match=f"middle and other cannot be compared: they were fitted {words}"):
        compare_fits([folders["middle"], other], leave_one_out=False)


def test_of_results_that_kept_no_hashes_of_rows_the_files_count(folders):
    one = pkpd.FitResult.read_json(folders["middle"] / "result.json")
    old = dict(one.provenance)
    del old["row_digests"], old["settings"]
    one = dataclasses.replace(one, provenance=old)
    assert compare_fits([one, one], leave_one_out=False).rows[0].difference == 0
    other = dataclasses.replace(one, provenance=old | {"data_sha256": "0"})
    with pytest.raises(InputError, match=r"to other data \(another file\)"):
        compare_fits([one, other], leave_one_out=False)


def test_one_fit_alone_is_refused(folders):
    with pytest.raises(InputError, match="at least two fits"):
        compare_fits([folders["middle"]])
