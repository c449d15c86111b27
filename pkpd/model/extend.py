"""A model that extends another -> its whole text, which needs no other file.

    extends  il2_treg              # a shipped model, or a path seen from this file: ./base.model
    replace  d N = kin - kout*N    # a statement of that model, written anew
    drop     output ccl2, d M      # what is left out
    state    A [mg]  amount        # and what is new

Everything else reads, hashes and compiles the whole text. Comments ``#line`` in it say where the lines after
them are from, so that errors point at the file that a person wrote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pkpd.core import library
from pkpd.core.errors import LibraryError
from pkpd.core.names import question_or_list
from pkpd.model.text import ORIGIN, Cursor, ModelText, Statement, Token, origin, read_statements

NAMED = ("parameter", "covariate", "state", "define")
"""Statements that give a name, of which there is one of each."""
CHANGED = (*NAMED, "d", "route", "output", "hazard", "correlation")
"""What can be replaced or dropped."""

SaidOf = tuple[str, str]
"""Kind and name of what a statement says something about."""


class _Line(NamedTuple):
    """A line of a whole text, and the line of a file that it is; ``cut`` characters stood before it."""

    text: str
    file: str
    number: int
    cut: int = 0


def model_text(name_or_path: str | os.PathLike[str]) -> tuple[str, str]:
    """The whole text of a model and the name of its file, from a name or a path.

    Raises ``LibraryError`` if there is no such file, ``ModelError`` if it is no text, or extends another in a
    way that cannot be.
    """
    text, file = library.read_model_text(name_or_path)
    return whole(text, file), file


def whole(text: str, file: str) -> str:
    """The text of a model with that of the one it extends; a text that extends none is returned as it is."""
    return _whole(text, file, ())


def _whole(text: str, file: str, extending: tuple[Path, ...]) -> str:
    if not re.search(r"^(extends|replace|drop)\b", text, re.MULTILINE):
        return text
    source, statements = read_statements(text, file)
    first = _extends(source, statements)
    path = _path(source, first, file)
    here = Path(file).resolve()
    if path.resolve() in (*extending, here):
        raise source.at(first.body, f"{path.name} extends this model itself, or one that does")
    base = _whole(*library.read_model_text(path), (*extending, here))
    return "".join(_written(_merged(source, statements, ModelText(base, str(path)), first.words)))


def _extends(source: ModelText, statements: Iterable[Statement]) -> Statement:
    """The one statement that names the model."""
    found = [statement for statement in statements if statement.keyword == "extends"]
    if not found:
        lost = next(s for s in statements if s.keyword == "drop" or s.replaces)
        word = "replace" if lost.replaces else "drop"
        message = f'"{word}" changes a model that this one extends, and it extends none'
        raise source.error(message, lost.line, 1, len(word), "write for instance extends one_compartment_iv")
    if len(found) > 1:
        raise source.at(found[1].token, f'"extends" stands twice, first in line {found[0].line}')
    if not found[0].words:
        raise source.at(found[0].token, '"extends" is empty', "write for instance extends one_compartment_iv")
    return found[0]


def _path(source: ModelText, statement: Statement, file: str) -> Path:
    """Of the model that is extended."""
    name = statement.words
    is_path = name.endswith(".model") or "/" in name
    try:
        return library.model_path(Path(file).parent / name if is_path else name)
    except LibraryError as error:
        raise source.at(statement.body, str(error)) from None


def _merged(source: ModelText, own: tuple[Statement, ...], base: ModelText, name: str) -> Iterator[_Line]:
    """The lines of the base, with what is replaced and without what is dropped, and then what is new."""
    _, statements = read_statements(base.text, base.file)
    known = {key: statement for statement in statements if (key := _key(base, statement))}
    lines, mine = list(_lines(base)), list(_lines(source))
    dropped, replaced = _changes(source, own, known, name)
    gone: set[int] = set()
    instead: dict[int, list[_Line]] = {}
    for key in (*dropped, *replaced):
        gone.update(_numbers(known[key]))
    for key, statement in replaced.items():
        instead[known[key].line] = _cut(mine, statement)
    for title in (statement for statement in own if statement.keyword == "model"):
        # indented lines of the base's title, its sources, stay below the new one
        (old,) = (statement for statement in statements if statement.keyword == "model")
        gone.update(piece.line for piece in old.pieces)
        instead[old.line] = _cut(mine, title)
    for number, line in enumerate(lines, 1):
        yield from instead.get(number, ())
        if line is not None and number not in gone:
            yield line
    moved = {
        number
        for statement in own
        if statement.replaces or statement.keyword in ("model", "extends", "drop")
        for number in _numbers(statement)
    }
    yield from (line for number, line in enumerate(mine, 1) if line is not None and number not in moved)


def _changes(
    source: ModelText, own: Iterable[Statement], known: Mapping[SaidOf, Statement], name: str
) -> tuple[set[SaidOf], dict[SaidOf, Statement]]:
    """What is dropped of the base, and what is replaced by which statement."""
    dropped: set[SaidOf] = set()
    replaced: dict[SaidOf, Statement] = {}

    def once(key: SaidOf, at: Token) -> SaidOf:
        if key in dropped or key in replaced:
            raise source.at(at, f'"{key[1]}" is changed twice')
        return key

    for statement in own:
        if statement.keyword == "time":
            raise source.at(statement.token, f"the time is that of {name}", "leave the line out")
        if statement.keyword == "drop":
            for key, at in _dropped(source, statement, known, name):
                dropped.add(once(key, at))
        elif statement.replaces:
            key, at = _replaced(source, statement, known, name)
            replaced[once(key, at)] = statement
        else:
            _check_new(source, statement, known, name)
    return dropped, replaced


def _check_new(source: ModelText, statement: Statement, known: Iterable[SaidOf], name: str) -> None:
    """What is new must not stand in the base."""
    key = _key(source, statement)
    if key is not None and key in known:
        hint = f'write "replace {statement.keyword} {key[1]} ..." to have it anew'
        raise source.at(_name(source, statement), f'"{key[1]}" stands in {name} already', hint)


def _replaced(
    source: ModelText, statement: Statement, known: Iterable[SaidOf], name: str
) -> tuple[SaidOf, Token]:
    """What a statement takes the place of."""
    key = _key(source, statement)
    if key is None:
        word = statement.keyword
        raise source.at(statement.token, f'"{word}" cannot be replaced', f"it can be: {', '.join(CHANGED)}")
    at = _name(source, statement)
    if key not in known:
        raise source.at(at, *_missing(key, known, name))
    return key, at


def _dropped(
    source: ModelText, statement: Statement, known: Iterable[SaidOf], name: str
) -> Iterator[tuple[SaidOf, Token]]:
    """What a line "drop output ccl2, d M" names."""
    cursor = Cursor(source, statement.pieces)
    while True:
        word = cursor.take()
        if word is None or word.text not in CHANGED:
            hint = f'write for instance "drop output C"; it can be: {", ".join(CHANGED)}'
            raise source.at(word or statement.token, "it is not said what is dropped", hint)
        name_of, at = _named(cursor, word.text)
        key = _kind(word.text), name_of
        if key not in known:
            raise source.at(at, *_missing(key, known, name))
        yield key, at
        if cursor.at_end():
            return
        cursor.expect(",", "several are parted by commas")


def _missing(key: SaidOf, known: Iterable[SaidOf], name: str) -> tuple[str, str]:
    """In words, that the base lacks something, and what it has."""
    others = [other for kind, other in known if kind == key[0]]
    what = {"d": "equation of", "name": "parameter, covariate, state or definition"}.get(key[0], key[0])
    return f'{name} has no {what} "{key[1]}"', question_or_list(key[1], others)


def _kind(keyword: str) -> str:
    return "name" if keyword in NAMED else keyword


def _key(source: ModelText, statement: Statement) -> SaidOf | None:
    """What a statement says something about; None for those that stand beside others of their kind."""
    if statement.keyword not in CHANGED:
        return None
    name, _ = _named(Cursor(source, statement.pieces), statement.keyword)
    return _kind(statement.keyword), name


def _name(source: ModelText, statement: Statement) -> Token:
    """What stands behind the keyword, to point at."""
    return _named(Cursor(source, statement.pieces), statement.keyword)[1]


def _named(cursor: Cursor, keyword: str) -> tuple[str, Token]:
    """The name behind a keyword, and where it stands; of a correlation the two names, in either order."""
    if keyword != "correlation":
        at = cursor.name(f"a {keyword}")
        return at.text, at
    at, other = (cursor.name("a parameter or covariate") for _ in range(2))
    return " ".join(sorted((at.text, other.text))), at


def _numbers(statement: Statement) -> range:
    """The lines of a statement, those indented below it included."""
    parts = [statement, *statement.children]
    return range(statement.line, max(piece.line for part in parts for piece in part.pieces) + 1)


def _cut(lines: list[_Line | None], statement: Statement) -> list[_Line]:
    """A statement's lines, without the word "replace"."""
    cut = statement.column - 1
    found = [line for number in _numbers(statement) if (line := lines[number - 1]) is not None]
    return [found[0]._replace(text=found[0].text[cut:], cut=cut), *found[1:]]


def _lines(source: ModelText) -> Iterator[_Line | None]:
    """The lines of a text and where they are from; None for a comment ``#line``."""
    for number, text in enumerate(source.text.splitlines(), 1):
        yield None if ORIGIN.match(text) else _Line(text, *origin(source, number))


def _written(lines: Iterable[_Line]) -> Iterator[str]:
    """Lines as text, with a comment ``#line`` wherever they do not go on as those before."""
    expected: tuple[str, int, int] | None = None
    for line in lines:
        here = Path(line.file).name, line.number, line.cut
        if here != expected:
            yield f"#line {line.number} {line.cut} {here[0]}\n"
        yield line.text + "\n"
        expected = here[0], line.number + 1, 0
