"""A statement ``hazard`` -> the statements that it stands for, before anything is checked.

    hazard death = h0*exp(b*x) [1/d]  death of any cause

is the definition ``hazard_death``, the state ``cumulative_hazard_death`` (from 0, with the hazard as its
rate) and the outputs ``hazard_death``, ``cumulative_hazard_death`` and ``survival_death`` = exp(-cumulative
hazard): Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, 2nd ed. 2002, section 1.2.
Derivatives, units and the solver know nothing of hazards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pkpd.core import units
from pkpd.core.units import ONE, Unit
from pkpd.model.dimensions import unit_at
from pkpd.model.text import Cursor, ModelText, Piece, Statement, number_text

EXAMPLE = "write for instance hazard death = h0*exp(b*x) [1/d]  death of any cause"


def outputs_of(name: str) -> tuple[str, str, str]:
    """The names of the outputs of a hazard: the hazard, the cumulative hazard and the survival."""
    return f"hazard_{name}", f"cumulative_hazard_{name}", f"survival_{name}"


def written_out(
    source: ModelText, statements: Iterable[Statement], time: Unit
) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """The statements with every hazard written out behind the others, and the names of the hazards.

    time : the model's. Raises ``ModelError`` for a name that stands twice and a unit that is no rate.
    """
    others: list[Statement] = []
    hazards: dict[str, _Hazard] = {}
    for statement in statements:
        if statement.keyword != "hazard":
            others.append(statement)
            continue
        hazard = _read(source, statement)
        if hazard.name in hazards:
            before = source.place(hazards[hazard.name].statement.line)
            at = Cursor(source, statement.pieces).name("a hazard")
            message = f"the hazard {hazard.name} is declared already, {before}"
            raise source.at(at, message, "rename or remove one of the two")
        if not hazard.unit.same_dimension(ONE / time):
            piece = hazard.bracket
            message = f"a hazard is a rate per time, and {piece.text.strip()} is {_dimension(hazard.unit)}"
            raise source.error(message, piece.line, piece.column, len(piece.text), EXAMPLE)
        hazards[hazard.name] = hazard
    for hazard in hazards.values():
        others += _statements(hazard, time)
    return tuple(others), tuple(hazards)


@dataclass(frozen=True, slots=True)
class _Hazard:
    """What a statement says; ``rest`` is all behind the name: ``= EXPRESSION [UNIT] DESCRIPTION``."""

    name: str
    rest: list[Piece]
    bracket: Piece
    unit: Unit
    description: str
    statement: Statement


def _read(source: ModelText, statement: Statement) -> _Hazard:
    cursor = Cursor(source, statement.pieces)
    name = cursor.name("a hazard").text
    index, position = cursor.index, cursor.position
    first = cursor.pieces[index]
    rest = [Piece(first.line, first.column + position, first.text[position:]), *cursor.pieces[index + 1 :]]
    cursor.expect("=", EXAMPLE)
    cursor.expression()
    bracket = cursor.bracket()
    if bracket is None:
        raise cursor.unexpected(f"expected the unit of the hazard {name} in square brackets", EXAMPLE)
    return _Hazard(name, rest, bracket, unit_at(source, bracket), cursor.rest() or name, statement)


def _dimension(unit: Unit) -> str:
    return "a plain number" if unit.same_dimension(ONE) else units.dimension_text(unit)


def _statements(hazard: _Hazard, time: Unit) -> Iterator[Statement]:
    """Each stands where the hazard does, so that errors show the line of a person."""
    rate, cumulative, survival = outputs_of(hazard.name)
    line, column = hazard.statement.line, hazard.statement.column
    what = hazard.description

    def statement(keyword: str, text: str, rest: Iterable[Piece] = ()) -> Statement:
        return Statement(keyword, line, column, [Piece(line, column, text), *rest], [], [])

    per_time = ONE / time
    factor = ""
    if not hazard.unit.same(per_time):
        factor = f"*conversion_{rate}"
        number = number_text(hazard.unit.scale / per_time.scale)
        yield statement("define", f"conversion_{rate} = {number} [{per_time / hazard.unit}]")
    yield statement("define", rate, hazard.rest)
    yield statement("state", f"{cumulative} [1]  {what}: cumulative hazard")
    yield statement("d", f"{cumulative} = {rate}{factor}")
    yield statement("output", f"{rate} [{hazard.bracket.text}]  {what}: hazard")
    yield statement("output", f"{cumulative} [1]  {what}: cumulative hazard")
    yield statement("output", f"{survival} = exp(-{cumulative}) [1]  {what}: survival")
