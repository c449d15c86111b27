"""A name means one thing: what a keyword of ``pkpd`` takes, and what a field of a result holds, is of one
type wherever the name is used. A function may take less than another (how many threads, but no executor)."""

import ast
import dataclasses
import inspect
import sys
from types import UnionType

import pkpd

MADE = [pkpd.Dask, pkpd.Options, pkpd.Processes, pkpd.Threads, pkpd.Timeline]  # by people, from their fields
KEYWORDS = {
    "fit": "which fit, by its name or folder; also by its result or by what it declares, whichever is needed",
    "initial": "from_numba also takes a function of the parameters",
    "kernel": "the room of Schedule.events_for knows no kernels",
    "parameters": "by name; simulate takes one value for each subject too, from_numba declares them",
}
FIELDS = {
    "arms": "of a comparison with what was simulated; of a trial's design as they are declared",
    "estimates": "a row for each, of what their method knows of it",
    "rows": "those of a table are of its kind; draws name theirs",
    "statistics": "what the integrator or the sampler did",
    "units": "of outputs: of an arm by name, of a profile in the order of its names",
    "values": "of parameters: of a fit by name, of many subjects in the order of the kernel",
}
"""Names of several types, and what they have in common all the same."""


def alternatives(annotation, module):
    """Types that an annotation allows, as texts, but None."""

    def of(node):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return of(node.left) | of(node.right)
        meant = getattr(module, node.id, None) if isinstance(node, ast.Name) else None
        if isinstance(meant, UnionType):
            return {one.__name__ for one in meant.__args__}
        text = ast.unparse(node)
        return {text.replace("npt.", "").replace("NDArray[np.float64]", "Floats")}

    return frozenset(of(ast.parse(str(annotation), mode="eval").body) - {"None"})


def public():
    """(name, value, the module that defines it)"""
    for name in pkpd.__all__:
        value = getattr(pkpd, name)
        if name != "__version__":
            yield name, value, sys.modules[value.__module__]


def functions():
    """Functions, and methods of classes: (what it is called, it, its module)."""
    for name, value, module in public():
        if inspect.isfunction(value):
            yield name, value, module
            continue
        for method, it in vars(value).items():
            it = getattr(it, "__func__", it)
            if inspect.isfunction(it) and not method.startswith("_"):
                yield f"{name}.{method}", it, module


def keywords():
    for name, function, module in functions():
        for one in inspect.signature(function).parameters.values():
            if one.name not in ("self", "cls") and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
                yield one.name, f"{name}()", alternatives(one.annotation, module)
    for name, value, module in public():
        if value in MADE:
            for field in dataclasses.fields(value):
                yield field.name, name, alternatives(field.type, module)


def fields():
    for name, value, module in public():
        if dataclasses.is_dataclass(value) and value not in MADE:
            for field in dataclasses.fields(value):
                yield field.name, name, alternatives(field.type, module)


def of_several_types(found):
    """name -> {types: where} of names for which no use takes all that the others do."""
    uses = {}
    for name, where, types in found:
        uses.setdefault(name, {}).setdefault(types, []).append(where)
    return {
        name: {" | ".join(sorted(types)): where for types, where in of.items()}
        for name, of in uses.items()
        if not set().union(*of) <= max(of, key=len)
    }


def test_a_keyword_takes_one_thing_in_all_functions():
    several = of_several_types(keywords())
    assert {name: of for name, of in several.items() if name not in KEYWORDS} == {}
    assert set(KEYWORDS) <= set(several), "these take one thing now"


def test_a_field_holds_one_thing_in_all_results():
    several = of_several_types(fields())
    assert {name: of for name, of in several.items() if name not in FIELDS} == {}
    assert set(FIELDS) <= set(several), "these hold one thing now"


def test_names_that_were_two_things_are_seen():
    found = [
        ("start", "solve()", frozenset({"float"})),
        ("start", "fit()", frozenset({"FitResult", "str"})),
        ("threads", "simulate()", frozenset({"int"})),
        ("threads", "Options", frozenset({"int", "Executor"})),
    ]
    assert of_several_types(found) == {"start": {"float": ["solve()"], "FitResult | str": ["fit()"]}}
