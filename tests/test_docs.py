"""What docs/*.md show is what the package does: files are saved as they say, commands run, and examples give
the output that is printed there."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from pkpd.cli import main

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(set(DOCS.glob("*.md")) - {DOCS / "house.md"})  # test_layers.py reads its table
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
