"""``pkpd show``: a model's equations, units, parameters and sparsity, as text, LaTeX, Python or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pkpd.cli import completion
from pkpd.cli.profiles import say_cautions
from pkpd.cli.terminal import JsonOption, Work, console, plain, print_json, table
from pkpd.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from pkpd.model.check import Model, Parameter
    from pkpd.model.correlation import EtaCorrelation


def show(
    model: Annotated[
        str,
        typer.Argument(
            help="Name of a model (see [italic]pkpd models[/]) or path of a .model file.",
            autocompletion=completion.models,
        ),
    ],
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations as LaTeX.")] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Print the generated Python source of the compiled kernel.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check a model and print its equations, units, sparsity, and parameters with their sources.

    [dim]Examples[/]

      pkpd show il2_treg
      pkpd show ./my.model
      pkpd show il2_treg --latex
      pkpd show il2_treg --source > kernel.py
    """
    if latex + source + json > 1:
        raise InputError("choose one of --latex, --source and --json")
    if source:
        from pkpd.solver.kernel import load

        typer.echo(load(model).source, nl=False)
        return
    from pkpd.model.check import read_model
    from pkpd.model.extend import model_text

    checked = read_model(*model_text(model))
    if latex:
        from pkpd.model.latex import model_latex

        typer.echo(model_latex(checked))
        return
    sparsity = _sparsity(checked)
    if json:
        print_json(_facts(checked) | {"jacobian": sparsity.pairs()})
    else:
        _show(checked, sparsity)


class _Sparsity(NamedTuple):
    """Where the Jacobian has entries, and where its LU has: pairs of row and column."""

    names: tuple[str, ...]  # of the states
    pattern: set[tuple[int, int]]
    filled: set[tuple[int, int]]

    def pairs(self) -> list[list[str]]:
        """The entries of the Jacobian by the names of the states."""
        return [[self.names[i], self.names[j]] for i, j in sorted(self.pattern)]


def _sparsity(model: Model) -> _Sparsity:
    from pkpd.model.derive import derive

    with Work("deriving"):
        derived = derive(model)
        return _Sparsity(derived.state_names, set(derived.jacobian[1]), set(derived.elimination.slots))


# --- as JSON ---


def _facts(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "sources": model.sources,
        "cautions": list(model.cautions),
        "time_unit": model.time_unit,
        "parameters": [_facts_of_parameter(p) for p in model.parameters],
        "states": [
            {"name": s.name, "unit": s.unit, "initial": _text(s.initial), "description": s.description}
            for s in model.states
        ],
        "definitions": [_facts_of_expression(definition) for definition in model.definitions],
        "equations": {name: _text(tree) for name, tree in model.equations.items()},
        "routes": [
            {"name": r.name, "target": r.target}
            | {key: _text(getattr(r, key)) for key in ("lag", "F", "duration", "rate")}
            for r in model.routes
        ],
        "outputs": [_facts_of_expression(output) for output in model.outputs],
        "hazards": model.hazards,
        "correlations": [
            {"between": [one.first, one.second], "value": one.value, "source": one.source}
            for one in model.correlations
        ],
    }


def _facts_of_parameter(p: Parameter) -> dict[str, Any]:
    return {
        "name": p.name,
        "kind": p.kind,
        "value": p.value,
        "unit": p.unit,
        "description": p.description,
        "bounds": [p.lower, p.upper],
        "prior": _distribution(p.prior),
        "between_subjects": _distribution(p.between),
        "source": p.source,
        "provenance": p.provenance,
    }


def _facts_of_expression(named: Any) -> dict[str, Any]:
    """Of a definition or an output."""
    return {
        "name": named.name,
        "expression": _text(named.expression),
        "unit": named.unit,
        "description": named.description,
    }


def _text(tree: Any) -> str | None:
    from pkpd.model.text import expression_text

    return tree if tree is None or isinstance(tree, str) else expression_text(tree)


def _distribution(distribution: Any) -> str:
    if distribution is None:
        return ""
    return f"{distribution.kind}({', '.join(f'{value:g}' for value in distribution.arguments)})"


# --- in the terminal ---


def _show(model: Model, sparsity: _Sparsity) -> None:
    facts = _facts(model)
    out = console()
    out.print(f"[bold]{model.name}[/]  {plain(model.title)}")
    for line in model.sources:
        out.print(f"  {plain(line)}", style="dim", soft_wrap=True)
    _show_cautions(out, model.cautions)
    out.print(f"time in {model.time_unit}\n")
    _show_parameters(out, model.parameters)
    _show_correlations(out, model.correlations)
    if facts["states"]:
        states = table("state", "unit", "starts at", "what it is")
        for state in facts["states"]:
            states.add_row(state["name"], state["unit"], state["initial"] or "0", plain(state["description"]))
        out.print(states)
    _show_expressions(out, model, facts)
    if model.hazards:
        out.print(f"[bold]hazards[/]  {', '.join(model.hazards)}\n")
    _show_routes(out, facts["routes"])
    _show_sparsity(out, sparsity)


def _show_cautions(out: Console, cautions: Sequence[str]) -> None:
    if cautions:
        out.print("[bold]caution[/]")
        say_cautions(out, cautions)


def _show_parameters(out: Console, parameters: Sequence[Parameter]) -> None:
    out.print("[bold]parameters[/]")
    width = max((len(p.name) for p in parameters), default=0)
    for p in parameters:
        limits = "" if abs(p.lower) == abs(p.upper) == float("inf") else f"bounds {p.lower:g} .. {p.upper:g}"
        words = [
            p.description,
            "of the subject" if p.kind == "covariate" else "",
            f"~ {_distribution(p.between)}" if p.between else "",
            f"prior {_distribution(p.prior)}" if p.prior else "",
            limits,
        ]
        said = plain("  ".join(word for word in words if word))
        out.print(f"  {p.name:<{width}} = {p.value:g} {plain(f'[{p.unit}]')}  {said}", soft_wrap=True)
        if origin := _origin(p):
            out.print(f"  {'':<{width}}   {origin}", soft_wrap=True)
    out.print()


def _show_correlations(out: Console, correlations: Sequence[EtaCorrelation]) -> None:
    if not correlations:
        return
    out.print("[bold]correlations between subjects[/]")
    for one in correlations:
        source = f"  [dim]{plain(one.source)}[/]" if one.source else ""
        out.print(f"  {one.first} and {one.second} = {one.value:g}{source}", soft_wrap=True)
    out.print()


def _origin(p: Parameter) -> str:
    """Where a value comes from, and how far that was checked."""
    origin = f"[dim]{plain(p.source)}[/]" if p.source else ""
    if p.provenance == "unverified":
        origin += "  [bold red]UNVERIFIED[/]"
    elif p.provenance and p.provenance != "reported":
        origin += f"  [italic]{p.provenance}[/]"
    return origin.strip()


def _show_expressions(out: Console, model: Model, facts: Mapping[str, Any]) -> None:
    """Definitions, equations and outputs."""

    def lines(heading: str, rows: list[tuple[str, str, str]]) -> None:
        if rows:
            out.print(f"[bold]{heading}[/]")
            width = max(len(left) for left, _, _ in rows)
            for left, right, note in rows:
                out.print(f"  {left:<{width}} = {plain(right)}  [dim]{plain(note)}[/]", soft_wrap=True)
            out.print()

    def note(row: dict[str, str]) -> str:
        return "  ".join(part for part in (row["unit"] and f"[{row['unit']}]", row["description"]) if part)

    lines("definitions", [(d["name"], d["expression"], note(d)) for d in facts["definitions"]])
    units = {state.name: state.unit for state in model.states}
    lines(
        "equations",
        [(f"d {n}", tree, f"[{units[n]}/{model.time_unit}]") for n, tree in facts["equations"].items()],
    )
    lines("outputs", [(o["name"], o["expression"], note(o)) for o in facts["outputs"]])


def _show_routes(out: Console, routes: list[dict[str, Any]]) -> None:
    if not routes:
        return
    out.print("[bold]routes[/]")
    for r in routes:
        given = "  ".join(
            f"{key} = {r[key]}" for key in ("lag", "F", "duration", "rate") if r[key] is not None
        )
        out.print(f"  {r['name']} -> {r['target']}  {plain(given)}", soft_wrap=True)
    out.print()


def _show_sparsity(out: Console, sparsity: _Sparsity) -> None:
    names, pattern, filled = sparsity
    n = len(names)
    extra = len(filled - pattern)
    fill = "no fill-in" if extra == 0 else f"{extra} more by fill-in"
    out.print(f"[bold]sparsity[/]  Jacobian {len(pattern)} of {n * n} entries; its LU: {fill}")
    width = max(len(name) for name in names)
    for i, name in enumerate(names):
        marks = " ".join("x" if (i, j) in pattern else "+" if (i, j) in filled else "." for j in range(n))
        out.print(f"  {name:>{width}}  {marks}", highlight=False, soft_wrap=True)
