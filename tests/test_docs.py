"""What docs/*.md show is what the package does: files are saved as they say, commands run, and examples give
the output that is printed there."""

import csv
import doctest
import importlib.util
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pkpd.cli import main
from pkpd.core.errors import DataError
from pkpd.inference import read_fit
from pkpd.inference.summary import rows
from pkpd.inference.summary.kinds import KINDS

DOCS = Path(__file__).parents[1] / "docs"
# tested by test_layers.py, test_publish.py and test_site.py
ELSEWHERE = {DOCS / "house.md", DOCS / "measured.md", DOCS / "reference.md"}
LONG = {"dose_for", "fit", "functions", "posterior", "questions", "tutorial", "validation"}
PAGES = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.long] if page.stem in LONG else [])
    for page in sorted(set(DOCS.glob("*.md")) - ELSEWHERE)
]
SAVED = re.compile(
    r"Save this as `([\w./]+)`[^\n]*\n(?:[^\n]+\n)*\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_files_commands_and_examples_work_as_they_stand_there(folder, capfd, page):
    text = page.read_text(encoding="utf-8")
    if importlib.util.find_spec("nutpie") is None:
        text = text.partition("## Draws from the posterior")[0]  # needs the extra "sample"
    for name, content in SAVED.findall(text):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command, *arguments = shlex.split(line, comments=True)
            assert command == "pkpd", line
            with pytest.raises(SystemExit) as end:
                main(arguments)
            out, err = capfd.readouterr()
            assert not end.value.code, f"{line}\n{out}\n{err}"
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, None, 0)
    assert len(test.examples) == code.count(">>>") > 3
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


def printed_of_kinds():
    """Row -> (number, prediction, residual) as fit.md shows them of one row of each kind."""
    text = (DOCS / "fit.md").read_text(encoding="utf-8")
    lines = section(text, "### One row of each").rpartition(">>> ")[2].splitlines()
    found = [line.split() for line in lines if re.fullmatch(r"\w+( +-?[\d.]+){3}", line)]
    return {name: tuple(float(number) for number in numbers) for name, *numbers in found}


def test_the_rows_of_each_kind_are_what_their_formulas_give_by_hand():
    """A patient who took 300 mg on 21 days has 300/45 sum exp(-k j) mg/L a day after the last, k = CL/45."""
    shown = printed_of_kinds()
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    k = 50 / 45 * np.exp(0.3 * z)
    c = 300 / 45 * np.exp(-np.outer(k, np.arange(1, 22))).sum(axis=1)
    mean, log_mean, sway = weights @ c, weights @ np.log(c), 20 * math.exp(0.2**2 / 2)
    hazard = weights @ (1 / (1 + c / 4))
    x = np.random.default_rng(1).standard_normal((200_000, 12))  # of the range of 12 patients
    width, middle = np.ptp(x, axis=1).mean(), ((x.max(axis=1) + x.min(axis=1)) / 2).std()

    t = stats.t(11)
    by_hand = {
        "least": (3, mean, -math.sqrt(-2 * t.logcdf((mean - 3) / 0.6))),
        "most": (25, sway + 1.5 * mean, math.sqrt(-2 * t.logcdf((25 - sway - 1.5 * mean) / 0.9))),
        "typical": (
            3.8,
            math.exp(log_mean),
            (log_mean - math.log(3.8)) / math.sqrt(math.log(1 + 0.45**2) / 12),
        ),
        "widest": (
            math.sqrt(1.2 * 7.9),
            math.exp(log_mean),
            (log_mean - math.log(1.2 * 7.9) / 2) / (middle * math.log(7.9 / 1.2) / width),
        ),
        "hazard": (0.7, hazard, math.log(hazard / 0.7) / (math.log(1.02 / 0.48) / (2 * 1.96))),
        # the concentration is proportional to the dose; below 500 mg the lower side of the interval counts
        "dose5": (500, 300 * 5 / mean, math.log(300 * 5 / mean / 500) / (math.log(500 / 380) / 1.96)),
        "times": (1.2, 1 + 1.5 * mean / sway, math.log((1 + 1.5 * mean / sway) / 1.2) / (0.05 / 1.2)),
    }
    for name, numbers in by_hand.items():
        value, predicted, residual = shown[name]
        assert (value, predicted) == pytest.approx(numbers[:2], rel=6e-3), name
        assert residual == pytest.approx(numbers[2], abs=0.1), name


def test_every_kind_has_a_row_in_the_examples_of_fit_md():
    saved = SAVED.findall((DOCS / "fit.md").read_text(encoding="utf-8"))
    tables = [csv.DictReader(content.splitlines()) for name, content in saved if name.endswith(".csv")]
    assert set(KINDS) - {line["statistic"] for table in tables for line in table} == set()


def known_keys(folder, line):
    """The keys that fit.toml may have where this line stands, as the error about a wrong one lists them."""
    (folder / "fit.toml").write_text(line, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_fit(folder)
    return str(error.value).partition("known are ")[2].split(", ")


def section(text, title):
    return text.partition(f"{title}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("### `[options]`", "[options]\nwrong = 1"),
        ("### `[errors]`", "[errors]\nwrong = 1"),
        ("### `[rival]`", "[rival]\nwrong = 1"),
        ("### `[check]`", "[check]\nwrong = 1"),
        ("### `[report]`", "[report]\nwrong = 1"),
        ("### `[noise]`", "[noise]\nC = { wrong = 1 }"),
        ("### `[study_effects]`", "[study_effects]\nCL = { wrong = 1 }"),
    ],
)
def test_fit_md_has_every_key_of_the_tables_of_fit_toml(tmp_path, title, line):
    said = section((DOCS / "fit.md").read_text(encoding="utf-8"), title)
    keys = known_keys(tmp_path, f'model = "m"\n{line}\n')
    assert len(keys) > 1
    assert [key for key in keys if not re.search(rf"`[^`]*\b{key}\b[^`]*`", said)] == []


def test_fit_md_has_every_key_and_table_at_the_top_of_fit_toml(tmp_path):
    text = (DOCS / "fit.md").read_text(encoding="utf-8")
    top, titles = section(text, "## `fit.toml`"), re.findall(r"^### `\[(\w+)\]`$", text, re.MULTILINE)
    keys = known_keys(tmp_path, "wrong = 1\n")
    assert len(keys) > 10
    assert [key for key in keys if key not in titles and f"| `{key}` |" not in top] == []


def test_fit_md_has_every_column_and_every_word_of_data_csv():
    text = (DOCS / "fit.md").read_text(encoding="utf-8")
    columns, kinds = section(text, "## `data.csv`"), section(text, "## Kinds of rows")
    named = {
        name for cell in re.findall(r"^\| ([^|]+) \|", columns, re.MULTILINE) for name in cell.split(", ")
    }
    assert {f"`{name}`" for name in rows.REQUIRED + rows.OPTIONAL} == named - {"column", "---"}
    words = rows.MEASURES + rows.REDUCERS + rows.SPREADS + rows.USES + rows.PROVENANCES
    assert [word for word in words if f"`{word}`" not in columns] == []
    assert [word for word in KINDS if f"`{word}`" not in kinds] == []
