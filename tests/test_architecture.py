"""The table of imports in docs/architecture.md is the one that is enforced."""

import re
from pathlib import Path

import test_layers

TEXT = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_table_of_imports_is_the_one_that_is_enforced():
    rows = re.findall(r"^\| (\d+) \| (.*?) \|.*\|$", TEXT, re.MULTILINE)
    shown = {
        name: int(row) for row, cell in rows for name in re.findall(r"`(\w+)/?`", cell.partition(":")[0])
    }
    enforced = {name: row for name, (row, _, _) in test_layers.TABLE.items() if not name.startswith("__")}
    assert shown == {
        name: row
        for name, row in enforced.items()
        if (test_layers.PACKAGE / name).is_dir()
        or f"{name}.py" in {path.name for path in test_layers.PACKAGE.iterdir()}
    }
