"""Model -> the same model with covariates that run linearly between knots.

Such a covariate X becomes a state, "X_t", whose equation is nought: a solve lets it run by infusions, through
a route "X(t)", so that it is followed by the integrator like any other state. Equations and outputs see the
state; routes and initial values keep the parameter X, which a solve sets to the value at the time of each
dose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pkpd.model.check import Model, Route, State
from pkpd.model.text import Binary, Call, Name, Negative, Node, Number, Relation, names


def route_name(covariate: str) -> str:
    """The route through which a covariate runs."""
    return f"{covariate}(t)"


def interpolated(model: Model, covariates: Sequence[str]) -> Model:
    """The model in which these covariates (or parameters) are states. Raises ``ModelError`` for a name that
    is neither."""
    taken = (
        {p.name for p in model.parameters}
        | {s.name for s in model.states}
        | {d.name for d in model.definitions}
    )

    def fresh(name: str) -> str:
        found = f"{name}_t"
        while found in taken:
            found += "_"
        taken.add(found)
        return found

    parameters = [model.parameter(name) for name in dict.fromkeys(covariates)]
    new = {p.name: fresh(p.name) for p in parameters}
    states = [State(new[p.name], p.unit, Name(p.name), p.description) for p in parameters]
    definitions = list(model.definitions)
    for definition in model.definitions:
        if not new.keys().isdisjoint(names(definition.expression)):
            new[definition.name] = fresh(definition.name)
            definitions.append(
                replace(
                    definition, name=new[definition.name], expression=_renamed(definition.expression, new)
                )
            )
    return replace(
        model,
        states=(*model.states, *states),
        definitions=tuple(definitions),
        equations={name: _renamed(tree, new) for name, tree in model.equations.items()}
        | {state.name: Number(0.0) for state in states},
        routes=(*model.routes, *(Route(route_name(p.name), new[p.name]) for p in parameters)),
        outputs=tuple(replace(o, expression=_renamed(o.expression, new)) for o in model.outputs),
        text=f"{model.text}\n# linear between knots: {', '.join(p.name for p in parameters)}\n",
    )


def _renamed(node: Node, new: dict[str, str]):  # type: ignore[no-untyped-def]
    """A tree with other names in it."""
    match node:
        case Name():
            return replace(node, name=new.get(node.name, node.name))
        case Negative():
            return replace(node, operand=_renamed(node.operand, new))
        case Binary() | Relation():
            return replace(node, left=_renamed(node.left, new), right=_renamed(node.right, new))
        case Call():
            return replace(node, arguments=tuple(_renamed(argument, new) for argument in node.arguments))
    return node
