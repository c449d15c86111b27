"""A fit takes the rows and studies that are named, and begins where an earlier one ended; a result knows its
model, data and settings, names what of them has changed, and is not put off by what moves no number."""

import dataclasses
import shutil

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import DataError, InputError
from pkpd.inference import fit, read_fit
from pkpd.inference.belonging import changes, check_belongs, row_digest, version_words
from pkpd.inference.optimum import optimum_of, read_result
from pkpd.inference.summary.reading import read_data
from tests import toy

ALONE = {"rival": False, "leave_one_out": False, "unverified": False, "check": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = toy.write(tmp_path_factory.mktemp("selection") / "toy")
    fit(folder, **ALONE).write_json(folder / "result.json")
    return folder


@pytest.fixture(scope="module")
def result(folder):
    return pkpd.FitResult.read_json(folder / "result.json")


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "toy")
    return tmp_path / "toy"


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_warm_start_is_one_start_and_ends_where_it_began(folder, result):
    again = fit(folder, begin_from=folder / "result.json", **ALONE)
    (start,) = again.starts
    assert start.evaluations < min(before.evaluations for before in result.starts)
    # both stand still by the tolerance of reweighting, 0.02 of a posterior SD
    moved = [(a.x - b.x) / b.x_sd for a, b in zip(again.estimates, result.estimates, strict=True)]
    assert np.linalg.norm(moved) < 0.05
    assert "one start, where an earlier result of the fit toy ended." in " ".join(again.notes)
    assert "Changed" not in " ".join(again.notes)


def test_what_is_new_starts_at_its_prior_and_what_changed_is_said(copy, result):
    edit(copy / "fit.toml", "[study_effects]\n", "[study_effects]\nCL = 0.1\n")
    edit(copy / "data.csv", "mean,2.2,mg/L", "mean,2.4,mg/L")
    again = fit(copy, begin_from=result, **ALONE)
    (note,) = [note for note in again.notes if "one start" in note]
    assert "At the prior's centre started CL in Alpha, CL in Beta." in note
    assert "[study_effects] CL was not there and is 0.1" in note
    assert 'row "c100" has changed' in note


def test_rows_and_studies_that_are_left_out_are_predicted(folder):
    chosen = fit(folder, rows="c*, max100", without="Beta", **ALONE)
    use = {row.id: row.use for row in chosen.rows}
    assert {name for name in use if use[name] == "fit"} == {"c50", "c100", "c200", "max100"}
    assert {name for name in use if use[name] == "check"} == {"half", "early", "late"}
    assert all(np.isfinite(row.predicted) for row in chosen.rows)
    assert not any(estimate.study == "Beta" for estimate in chosen.estimates)
    assert (chosen.provenance["rows"], chosen.provenance["without"]) == (["c*", "max100"], ["Beta"])
    # its objective is that of the rows that were fitted
    found = optimum_of(chosen, read_fit(folder))
    assert [row.id for row in found.objective.rows] == ["c50", "c100", "c200", "max100"]
    x = np.array([estimate.x for estimate in chosen.estimates])
    sd = np.array([estimate.x_sd for estimate in chosen.estimates])
    assert np.abs((found.minimum.x - x) / sd).max() < 0.05


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rows": "c51"}, 'no row to be fitted is called "c51"; did you mean "c50"'),
        ({"rows": ["late"]}, 'no row to be fitted is called "late"'),
        ({"without": "Betta"}, 'has no study "Betta"; did you mean "Beta"?'),
        ({"without": ["Alpha", "Beta"]}, "no row is left to be fitted without Alpha, Beta"),
    ],
)
def test_names_that_select_nothing_are_refused(folder, given, words):
    with pytest.raises(InputError, match=words):
        fit(folder, **given, **ALONE)


def test_a_comment_or_a_note_is_no_change(copy, result):
    edit(copy / "fit.toml", "[options]", "# how it is searched\n[options]")
    edit(copy / "fit.toml", "A made-up study", "Another title of a study")
    edit(copy / "data.csv", "fit,made up,unverified", "fit,made up elsewhere,reported")
    assert changes(result, read_fit(copy)) == ()
    assert read_result(copy)[0].ofv == result.ofv


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "fit.toml",
            'CL = "lognormal(3, 0.5)"\nV = "lognormal(30, 0.5)"\n\n[study',
            'CL = "lognormal(4, 0.5)"\nV = "lognormal(30, 0.5)"\n\n[study',
            r"\[free\] CL was lognormal\(3, 0.5\) and is lognormal\(4, 0.5\)",
        ),
        ("fit.toml", "subjects = 8", "subjects = 16", r"\[options\] subjects was 8 and is 16"),
        ("data.csv", "mean,2.2,mg/L", "mean,2.3,mg/L", 'row "c100" has changed'),
        ("data.csv", "c100,Alpha", "c101,Alpha", 'row "c100" is gone; row "c101" is new'),
    ],
)
def test_a_change_that_moves_numbers_is_named(copy, result, file, old, new, words):
    edit(copy / file, old, new)
    with pytest.raises(DataError, match=f"does not belong to .*{file} as it is now: fit again.*{words}"):
        check_belongs(result, read_fit(copy))


def test_a_result_that_kept_no_settings_says_which_file(copy, result):
    edit(copy / "data.csv", "mean,2.2,mg/L", "mean,2.3,mg/L")
    kept = {k: v for k, v in result.provenance.items() if k not in ("settings", "row_digests")}
    with pytest.raises(DataError, match=r"does not belong to .*data\.csv as it is now: fit again"):
        check_belongs(dataclasses.replace(result, provenance=kept), read_fit(copy))


def test_of_a_row_that_was_left_out_a_change_does_not_matter(copy):
    part = fit(copy, without="Beta", **ALONE)
    edit(copy / "data.csv", "mean,7.0,h", "mean,7.5,h")
    assert changes(part, read_fit(copy)) == ()


def test_empty_columns_do_not_count_in_the_hash_of_a_row(folder, tmp_path):
    text = (folder / "data.csv").read_text(encoding="utf-8").splitlines()
    wider = [f"{text[0]},effect,lower", *(f"{line},," for line in text[1:])]
    (tmp_path / "data.csv").write_text("\n".join(wider) + "\n", encoding="utf-8")
    before, after = read_data(folder / "data.csv"), read_data(tmp_path / "data.csv")
    assert [row_digest(row) for row in before.rows] == [row_digest(row) for row in after.rows]


def test_another_version_is_said(result):
    versions = result.provenance["versions"] | {"pkpd": "0.0.1"}
    old = dataclasses.replace(result, provenance=result.provenance | {"versions": versions})
    assert "was made by pkpd 0.0.1" in version_words(old)
    assert version_words(result) == ""
