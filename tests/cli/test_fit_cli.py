"""`pkpd fit` begins where an earlier result ended and leaves out what it is told to, and `pkpd report` says
when the files have changed since."""

import json

import pytest

from tests import toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp("fit_cli") / "toy")


@pytest.fixture(scope="module")
def report(folder, tmp_path_factory):
    from pkpd.cli import main

    out = tmp_path_factory.mktemp("report") / "first"
    with pytest.raises(SystemExit) as end:
        main(["fit", str(folder), "--quick", "-o", str(out), "-q"])
    assert not end.value.code
    return out


def test_a_part_of_the_rows_is_fitted_from_where_the_whole_ended(pkpd, folder, report, tmp_path):
    chosen = ("--from", report, "--rows", "c*,max100", "--without", "Beta")
    code, out, _ = pkpd("fit", folder, "--quick", *chosen, "-o", tmp_path / "part", "--json")
    assert code == 0
    found = json.loads(out)
    assert {row["id"] for row in found["rows"] if row["use"] == "fit"} == {"c50", "c100", "c200", "max100"}
    assert len(found["starts"]) == 1
    assert any("where an earlier result of the fit toy ended" in note for note in found["notes"])


def test_what_selects_nothing_is_refused(pkpd, folder, tmp_path):
    code, _, err = pkpd("fit", folder, "--quick", "--without", "Betta", "-o", tmp_path / "none")
    assert code == 3
    assert 'no study "Betta"; did you mean "Beta"?' in err


def test_a_report_of_changed_files_says_so(pkpd, report):
    data = report / "toy" / "data.csv"
    data.write_text(data.read_text(encoding="utf-8").replace("mean,2.2,", "mean,2.3,"), encoding="utf-8")
    assert pkpd("report", report, "-q")[0] == 0
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "made before these changed" in page
    assert "c100" in page
