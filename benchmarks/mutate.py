"""Faults planted in the core modules, one at a time: which of them do the tests notice?

    python -m benchmarks.mutate                                 every module of TESTS, a sample of each
    python -m benchmarks.mutate pkpd/ode/roots.py --count 30 --seed 2

A fault is one comparison, operator, number or condition changed. The tests of TESTS run over a copy of the
checkout. A fault that they pass is printed as a survivor: either a test is missing, or the change makes no
difference that anybody could see (``benchmarks/README.md`` says which). A run that takes five times as long
as without a fault counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The core: what computes a number that people read, and the tests that are to notice. The first tests are
# those that notice most.
TESTS: dict[str, str] = {
    "pkpd/ode/march.py": "integrate lanes sensitivities conditions roots",
    "pkpd/ode/integrate.py": "integrate events steady conditions sensitivities lanes",
    "pkpd/ode/tangent.py": "sensitivities conditions roots steady",
    "pkpd/ode/roots.py": "roots conditions",
    "pkpd/ode/watch.py": "conditions",
    "pkpd/ode/conditions.py": "conditions",
    "pkpd/ode/lanes.py": "lanes conditions integrate readings",
    "pkpd/ode/control.py": "integrate lanes",
    "pkpd/ode/linear.py": "linear conditions",
    "pkpd/ode/steady.py": "steady sensitivities",
    "pkpd/model/derive.py": "derive source conditions forward",
    "pkpd/model/forward.py": "forward sensitivities conditions",
    "pkpd/ode/functions.py": "functions",
    "pkpd/ode/differences.py": "functions",
    "pkpd/ode/elimination.py": "derive source functions",
    "pkpd/solver/inside.py": "inside",
    "pkpd/solver/events.py": "events records steady cohort simulate interpolate",
    "pkpd/solver/periodic.py": "steady events records",
    "pkpd/solver/directions.py": "sensitivities steady",
    "pkpd/dosing/intake.py": "records cohort",
    "pkpd/ode/readings.py": "readings",
    "pkpd/solver/readings.py": "readings",
    "pkpd/decision/endpoints/asked.py": "endpoints extremes compare",
    "pkpd/decision/endpoints/evaluate.py": "endpoints compare",
    "pkpd/decision/endpoints/functionals.py": "endpoints criteria",
    "pkpd/decision/endpoints/declared.py": "criteria endpoints",
    "pkpd/decision/criteria.py": "criteria",
    "pkpd/decision/endpoints/regimen.py": "endpoints compare dosing",
    "pkpd/inference/summary/kinds/mean.py": "likelihood fit",
    "pkpd/inference/summary/kinds/binomial.py": "likelihood fit",
    "pkpd/inference/summary/spreads.py": "likelihood fit",
    "pkpd/inference/search.py": "search fit",
    "pkpd/inference/objective.py": "search fit windows likelihood",
    "pkpd/inference/posterior.py": "fit predict population coverage",
    "pkpd/inference/prediction.py": "predict coverage drawn_intervals report",
    "pkpd/inference/population.py": "population drawn_intervals compare",
    "pkpd/inference/one_hit.py": "one_hit tolerability",
    "pkpd/treg/tolerability.py": "tolerability compare",
    "pkpd/decision/comparison/result.py": "compare coverage comparison_report",
}

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


def faults(node: ast.AST) -> Iterator[ast.AST]:
    """What a node could be by mistake."""
    match node:
        case ast.Compare(ops=[sign]) if type(sign) in COMPARISONS:
            yield ast.Compare(node.left, [COMPARISONS[type(sign)]()], node.comparators)
        case ast.BinOp(op=sign) if type(sign) in OPERATORS and not _words(node):
            yield ast.BinOp(node.left, OPERATORS[type(sign)](), node.right)
        case ast.AugAssign(op=sign) if type(sign) in OPERATORS:
            yield ast.AugAssign(node.target, OPERATORS[type(sign)](), node.value)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield ast.Constant(node.value + 1)
        case ast.Constant(value=float()):
            yield ast.Constant(1.1 * node.value if node.value else 0.1)


def _words(node: ast.BinOp) -> bool:
    """Whether it joins texts."""
    return any(
        isinstance(one, ast.JoinedStr) or isinstance(getattr(one, "value", None), str)
        for one in ast.walk(node)
    )


def places(tree: ast.Module) -> list[tuple[ast.AST, str, int | None]]:
    """Where faults can be: the parent, its field, and the place in a list; neither in annotations nor in
    messages."""
    found: list[tuple[ast.AST, str, int | None]] = []

    def walk(node: ast.AST) -> None:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list") or isinstance(
                node, ast.Raise | ast.JoinedStr | ast.ImportFrom
            ):
                continue
            for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    if any(True for _ in faults(child)):
                        found.append((node, field, place))
                    walk(child)

    walk(tree)
    return found


def planted(text: str, number: int) -> tuple[str, str]:
    """A module with the fault of this number, and the fault in words."""
    tree = ast.parse(text)
    parent, field, place = places(tree)[number]
    value = getattr(parent, field)
    node = value if place is None else value[place]
    before = ast.unparse(copy.deepcopy(node))
    fault = ast.copy_location(next(iter(faults(node))), node)
    if place is None:
        setattr(parent, field, fault)
    else:
        value[place] = fault
    ast.fix_missing_locations(tree)
    return ast.unparse(tree), f"{node.lineno}: {before}  ->  {ast.unparse(fault)}"


def run(folder: Path, tests: str, limit: float | None) -> tuple[bool, float]:
    """Whether the tests pass, and how long they took."""
    files = [str(next((folder / "tests").rglob(f"test_{name}.py"))) for name in tests.split()]
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return False, time.perf_counter() - started
    return done.returncode == 0, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--count", type=int, default=5, help="faults a module")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    total = noticed = 0
    with tempfile.TemporaryDirectory(prefix="pkpd-mutate-") as name:
        folder = Path(name)
        for part in ("pkpd", "models", "fits", "tests", "benchmarks", "docs", "pyproject.toml", "README.md"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
        for module in given.modules:
            text = (ROOT / module).read_text(encoding="utf-8")
            passed, seconds = run(folder, TESTS[module], None)
            if not passed:
                sys.exit(f"the tests of {module} ({TESTS[module]}) fail without any fault")
            count = len(places(ast.parse(text)))
            chosen = random.Random(f"{given.seed} {module}").sample(range(count), min(given.count, count))
            for number in sorted(chosen):
                fault, words = planted(text, number)
                (folder / module).write_text(fault, encoding="utf-8")
                passed, _ = run(folder, TESTS[module], 5 * seconds + 30)
                total, noticed = total + 1, noticed + (not passed)
                print(f"{'SURVIVED' if passed else 'noticed '}  {module}:{words}", flush=True)
            (folder / module).write_text(text, encoding="utf-8")
    print(f"{noticed} of {total} faults noticed")


if __name__ == "__main__":
    main()
