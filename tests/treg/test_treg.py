"""What is particular to IL-2 and Tregs: its endpoints are declared in text, with the numbers they had before;
no word of it stands anywhere else in the package."""

import ast
import dataclasses
import io
import json
import re
import tokenize
from pathlib import Path

import pytest

import pkpd
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.comparison.result import relevant
from pkpd.decision.criteria import fields
from pkpd.inference import FitResult, System, read_fit
from pkpd.inference.belonging import belongs_to
from pkpd.inference.summary.reading import read_data
from pkpd.treg import FIT, field

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pkpd"
REFERENCE = json.loads((ROOT / "tests" / "reference" / "low_dose_il2.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def compared():
    before = FitResult.read_json(ROOT / "tests" / "reference" / "low_dose_il2_result.json")  # the fit of then
    then = read_fit(ROOT / "tests" / "reference" / "low_dose_il2_then")  # of the model of then
    belongs = belongs_to(then, read_data(then.data), System.of(then.main).sha256)
    before = dataclasses.replace(before, name=str(then.folder), provenance=before.provenance | belongs)
    scene = Scene.create(before, subjects=REFERENCE["subjects"])
    return compare(scene.arms(REFERENCE["schedules"]))


def test_the_endpoints_are_word_for_word_those_that_were_written_in_python(compared):
    """The reference is what commit f40849c wrote, before endpoints were declared in text."""
    assert [endpoint.name for endpoint in compared.endpoints] == [e["name"] for e in REFERENCE["endpoints"]]
    for endpoint, expected in zip(compared.endpoints, REFERENCE["endpoints"], strict=True):
        for key in ("unit", "group", "better", "missing", "remark", "definition"):
            assert getattr(endpoint, key) == expected[key], (endpoint.name, key)
        size = endpoint.relevant
        stated = expected["relevant"]
        assert (size is None) == (stated is None), endpoint.name
        if size is not None:
            assert (size.size, size.reason, size.share) == (stated["size"], stated["reason"], stated["share"])
            assert not endpoint.better or stated["reason"] in relevant(endpoint)


def test_their_numbers_are_the_same(compared):
    for i, rows in enumerate(REFERENCE["rows"]):
        for expected in rows:
            row = compared.row(expected["endpoint"], i)
            assert (row.n, row.missing, row.beyond) == (
                expected["n"],
                expected["missing"],
                expected["beyond"],
            ), row.endpoint.name
            for key in ("median", "low", "high"):
                value = expected[key]
                if value is not None:
                    assert getattr(row, key) == pytest.approx(float(value), rel=1e-6, abs=1e-9), (
                        row.endpoint.name,
                        key,
                    )


def test_the_field_is_found_by_the_outputs_of_the_model_and_has_the_default_fit():
    first = fields()[0]
    assert (first.name, first.fit) == ("treg", FIT) and pkpd.FIELDS == ("pkpd.treg.field",)
    assert read_fit(FIT).endpoints == ""
    assert Scene.create(subjects=2, vary=()).criteria == first.criteria == field.criteria()


# --- no drug in the engine ------------------------------------------------------------------------

WORDS = re.compile(r"il-?2|interleukin|treg|\bnk\b|\bMIU\b|ccl2|cd56|cd25", re.IGNORECASE)
EXCEPTIONS = {
    "pkpd/__init__.py": "FIELDS names the module of the field",
    "pkpd/core/moved.py": "where an old name is now",
    "pkpd/core/library.py": "the fit of the library that a sentence shows as an example",
    "pkpd/core/units.py": "MIU is a unit of any biological drug",
    "pkpd/model/check.py": "MIU, in the example of a bridge",
    "pkpd/dosing/": "MIU, and examples of schedules and rules",
    "pkpd/cli/": "help and examples of the command line, and the default fit, which treg names",
}


def said(path):
    """Words of code: no docstrings, no comments, which may show examples."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    documented = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    documented.update(range(statement.lineno, statement.end_lineno + 1))
    kept = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT and token.start[0] not in documented:
            kept.append(token.string)
    return "\n".join(kept)


def test_no_word_of_the_field_stands_outside_its_room():
    found = []
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix not in (".py", ".js", ".j2", ".html", ".css", ".toml") or name.startswith(
            "pkpd/treg/"
        ):
            continue
        if "_library" in path.parts or any(name.startswith(known) for known in EXCEPTIONS):
            continue
        found += [f"{name}: {word}" for word in WORDS.findall(said(path))]
    assert not found, "\n".join(found)


def test_every_exception_is_still_needed():
    for name in EXCEPTIONS:
        files = [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*.py"))
        assert any(WORDS.search(path.read_text(encoding="utf-8")) for path in files), name
