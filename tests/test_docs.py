"""What docs/*.md show is what the package does: files are saved as they say, commands run, and examples give
the output that is printed there."""

import doctest
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from pkpd.cli import main
from pkpd.core.errors import DataError
from pkpd.inference import read_fit
from pkpd.inference.summary import rows
from pkpd.inference.summary.kinds import KINDS

DOCS = Path(__file__).parents[1] / "docs"
ELSEWHERE = {DOCS / "house.md", DOCS / "reference.md"}  # tested by test_layers.py and test_site.py
PAGES = sorted(set(DOCS.glob("*.md")) - ELSEWHERE)
SAVED = re.compile(
    r"Save this as `([\w./]+)`[^\n]*\n(?:[^\n]+\n)*\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
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
