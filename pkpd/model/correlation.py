"""Statements ``correlation A B = 0.4`` -> how the random effects of a model go together.

The ETAs of all parameters and covariates with a distribution are normal with variance matrix OMEGA; a
correlation is that of two of them, and of pairs that are not named 0 (Lavielle, Mixed Effects Models for the
Population Approach, 2014, section 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpd.core.names import question_or_list
from pkpd.model.text import Cursor, ModelText, Statement, Token

EXAMPLE = "write for instance correlation CL V = 0.4"
SMALLEST = 1e-9  # eigenvalue of a matrix that is taken to be positive definite


@dataclass(frozen=True, slots=True)
class EtaCorrelation:
    """The correlation of the ETAs of two parameters (or covariates)."""

    first: str
    second: str
    value: float
    source: str = ""
    line: int = 0


def correlation_matrix(names: Sequence[str], pairs: Iterable[tuple[str, str, float]]) -> NDArray[np.float64]:
    """The matrix (n, n) of these parameters; pairs : of two of their names, and the correlation."""
    matrix = np.eye(len(names))
    place = {name: i for i, name in enumerate(names)}
    for first, second, value in pairs:
        i, j = place[first], place[second]
        matrix[i, j] = matrix[j, i] = value
    return matrix


def read_correlations(
    source: ModelText, statements: Iterable[Statement], varied: Mapping[str, bool]
) -> tuple[EtaCorrelation, ...]:
    """The correlations of a model; varied : its parameters and covariates, and whether they differ between
    subjects. Raises ``ModelError``, also where they cannot all hold together."""
    found: dict[frozenset[str], EtaCorrelation] = {}
    tokens: list[Token] = []
    for statement in statements:
        if statement.keyword != "correlation":
            continue
        cursor = Cursor(source, statement.pieces)
        first, second = (_varied(source, cursor, varied) for _ in range(2))
        pair = frozenset((first.text, second.text))
        if len(pair) == 1:
            raise source.at(second, f"{first.text} goes together with itself", EXAMPLE)
        if pair in found:
            place = source.place(found[pair].line)
            message = f"the correlation of {first.text} and {second.text} is declared already, {place}"
            raise source.at(first, message, "remove one of the two")
        cursor.expect("=", EXAMPLE)
        at = cursor.coming
        value = cursor.number("a correlation")
        if not -1.0 < value < 1.0:
            raise source.at(at, "a correlation lies between -1 and 1, without the ends", EXAMPLE)
        if not cursor.at_end():
            raise cursor.unexpected(
                "expected the end of the line", "a comment says where it is from: # paper"
            )
        found[pair] = EtaCorrelation(first.text, second.text, value, statement.comment, statement.line)
        tokens.append(first)
    _check_together(source, tuple(found.values()), tokens)
    return tuple(found.values())


def _varied(source: ModelText, cursor: Cursor, varied: Mapping[str, bool]) -> Token:
    name = cursor.name("a parameter or covariate")
    if not varied.get(name.text):
        known = [other for other, differs in varied.items() if differs]
        if name.text not in varied:
            hint = question_or_list(name.text, known)
            raise source.at(name, f'there is no parameter or covariate "{name.text}"', hint)
        hint = f"write ~ lognormal(SD) where it is declared, or name one that does: {', '.join(known)}"
        raise source.at(name, f"{name.text} does not differ between subjects", hint)
    return name


def _check_together(source: ModelText, found: Sequence[EtaCorrelation], tokens: Sequence[Token]) -> None:
    """The matrix is positive definite, or the pair is shown that has most to do with that it is not."""
    if not found:
        return
    names = sorted({name for one in found for name in (one.first, one.second)})
    pairs = [(one.first, one.second, one.value) for one in found]
    values, vectors = np.linalg.eigh(correlation_matrix(names, pairs))
    if values[0] > SMALLEST:
        return
    weight = dict(zip(names, vectors[:, 0].tolist(), strict=True))
    share = [value * weight[first] * weight[second] for first, second, value in pairs]
    worst = int(np.argmin(share))
    first, second, _ = pairs[worst]
    raise source.at(
        tokens[worst],
        f"the correlations cannot hold together, least that of {first} and {second}: their matrix is not "
        f"positive definite, its smallest eigenvalue is {float(values[0]):.2g}",
        "pairs that are not named have correlation 0: make some smaller, or name the others",
    )
