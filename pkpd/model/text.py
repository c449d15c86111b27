"""Model text -> statements and expressions, each with its line and column.

    read_statements(text, file)    one ``Statement`` a line, with its indented lines and comments
    parse_expression(text, file)   an expression alone
    expression_text(expression)    back to text; reading that gives the same expression

Nothing here evaluates text: an expression is read by the small parser below into the node classes
``Number``, ``Name``, ``Negative``, ``Binary``, ``Call`` and ``Relation``, and by nothing else. Sizes are
limited (``MAX_...``), so that a hostile text can do nothing but fail.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pkpd.core.errors import ModelError, located
from pkpd.core.names import question_or_list

MAX_CHARACTERS = 1_000_000
MAX_LINE = 1_000
MAX_STATEMENTS = 5_000
MAX_NODES = 2_000
MAX_DEPTH = 100
MAX_NESTING = 40
MAX_NAME = 64

KEYWORDS = (
    "model",
    "source",
    "caution",
    "time",
    "bridge",
    "parameter",
    "covariate",
    "state",
    "define",
    "route",
    "d",
    "output",
    "hazard",
    "correlation",
    "extends",
    "drop",
)
PREFIX = re.compile(r"replace[ \t]+(?=\S)")
"""Before a statement that takes the place of one of the model that this one extends (``extend``)."""
ORIGIN = re.compile(r"#line ([0-9]+) ([0-9]+) (.+)")
"""A comment of a whole text: the lines after it are those of this file from this number on, the first of them
without so many characters at its beginning."""
SUB_KEYWORDS = ("bounds", "prior", "source", "note", "provenance")

ARITY: dict[str, tuple[int, int]] = {
    "exp": (1, 1),
    "log": (1, 1),
    "sqrt": (1, 1),
    "abs": (1, 1),
    "hill": (2, 3),
    "min": (2, 20),
    "max": (2, 20),
    "piecewise": (3, 41),
}
"""Function -> fewest and most arguments."""

COMPARISONS = ("<", "<=", ">", ">=")

# "t" is the time; the others would read as something else than a name somewhere in a model file
RESERVED = frozenset(
    {"t", "steady", "inf", "nan", *ARITY, *SUB_KEYWORDS, *keyword.kwlist, *keyword.softkwlist}
)


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, finite and not negative (a minus sign is a ``Negative``)."""

    value: float
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter, covariate, state, definition, or ``t`` (the time)."""

    name: str
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negative:
    """``-operand``."""

    operand: Expression
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right`` with operator one of ``+ - * / ^`` (``**`` in a text is read as ``^``)."""

    operator: str
    left: Expression
    right: Expression
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """``left operator right`` with operator one of ``< <= > >=``; only as a condition of ``piecewise``."""

    operator: str
    left: Expression
    right: Expression
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)``: exp log sqrt abs (1 argument), hill(x, k) or hill(x, k, n) = x^n/(k^n + x^n),
    min max (2 or more), piecewise(value, condition, value, condition, ..., otherwise); the conditions
    (arguments 1, 3, 5, ... except the last argument) are ``Relation``."""

    function: str
    arguments: tuple[Expression | Relation, ...]
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


Expression: TypeAlias = "Number | Name | Negative | Binary | Call"

Node: TypeAlias = "Expression | Relation"


class Piece(NamedTuple):
    """A stretch of one line; ``column`` is where it begins, both count from 1."""

    line: int
    column: int
    text: str


class Token(NamedTuple):
    """A number, a name or an operator in an expression."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(slots=True)
class Statement:
    """A line with what is indented below it. ``pieces`` is what follows the keyword, continuation lines
    included."""

    keyword: str
    line: int
    column: int
    pieces: list[Piece]
    comments: list[str]
    children: list[Statement]
    replaces: bool = False

    @property
    def token(self) -> Token:
        """The keyword as a token, to point at."""
        return Token("name", self.keyword, self.line, self.column)

    @property
    def body(self) -> Token:
        """What follows the keyword on its own line, to point at (the keyword itself if nothing follows)."""
        line, column, text = self.pieces[0]
        if not text.strip():
            return self.token
        return Token("text", text.strip(), line, column + len(text) - len(text.lstrip()))

    @property
    def words(self) -> str:
        """Everything after the keyword, as one line."""
        return " ".join(piece.text.strip() for piece in self.pieces if piece.text.strip())

    @property
    def comment(self) -> str:
        """The comments behind the statement's own lines, as one text."""
        return "; ".join(self.comments)


@dataclass(frozen=True, slots=True)
class ModelText:
    """A text and the name of its file; makes errors that show a place in it."""

    text: str
    file: str

    def error(self, message: str, line: int, column: int, length: int = 1, hint: str = "") -> ModelError:
        """A ``ModelError`` at this place (to be raised by the caller)."""
        lines = self.text.splitlines()
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        file, number, cut = origin(self, line)
        return located(
            ModelError,
            message,
            shown="replace".ljust(cut)[:cut] + shown,
            file=file,
            line=number,
            column=column + cut,
            length=length,
            hint=hint,
        )

    def place(self, line: int) -> str:
        """A line in words."""
        file, number, _ = origin(self, line)
        return f"line {number}" if file == self.file else f"line {number} of {file}"

    def at(self, token: Token | Name, message: str, hint: str = "") -> ModelError:
        """A ``ModelError`` that underlines a token or name."""
        text = token.name if isinstance(token, Name) else token.text
        return self.error(message, token.line, token.column, len(text), hint)


def origin(source: ModelText, line: int) -> tuple[str, int, int]:
    """Of a line of a text: file, line there, and how many characters are missing at its beginning."""
    before = source.text.splitlines()[: max(line - 1, 0)]
    for distance, text in enumerate(reversed(before)):
        found = ORIGIN.match(text)
        if found:
            name = found[3]
            file = source.file if name == Path(source.file).name else name
            return file, int(found[1]) + distance, int(found[2]) if distance == 0 else 0
    return source.file, line, 0


# ---------------------------------------------------------------------------------------------- statements


def check_text(text: str, file: str) -> ModelText:
    """Refuse what cannot be a text of ours: empty, too long, with control characters, or lines too long."""
    source = ModelText(text, file)
    if len(text) > MAX_CHARACTERS:
        raise ModelError(
            f"{file}: {len(text):,} characters are no model; at most {MAX_CHARACTERS:,} are read"
        )
    odd = re.search(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", text.replace("\r\n", "\n"))
    if odd:
        raise ModelError(
            f"{file}: the text holds the control character {odd.group()!a}, so this is not a model file but "
            "perhaps a binary one; a model is plain text in UTF-8"
        )
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MAX_LINE:
            raise source.error(
                f"a line of {len(line):,} characters",
                number,
                1,
                hint=f"at most {MAX_LINE:,} are read; an indented line continues the one above",
            )
    return source


def read_statements(text: str, file: str = "<text>") -> tuple[ModelText, tuple[Statement, ...]]:
    """Split a model text into statements.

    A line that begins in the first column begins a statement with a keyword; indented lines belong to it,
    either as sub-statements (``bounds prior source note provenance``) or as its continuation. ``#`` begins a
    comment. Raises ``ModelError`` for an unknown keyword, an indented first line, or a text that is none.
    """
    source = check_text(text, file)
    statements: list[Statement] = []
    for number, raw in enumerate(text.splitlines(), 1):
        code, _, comment = raw.partition("#")
        comment = comment.strip()
        stripped = code.strip()
        if not stripped:
            continue
        column = len(code) - len(code.lstrip()) + 1
        if len(statements) >= MAX_STATEMENTS:
            raise source.error("too many statements", number, 1, hint=f"at most {MAX_STATEMENTS:,} are read")
        is_new = column == 1
        prefix = PREFIX.match(stripped) if is_new else None
        if prefix:
            stripped, column = stripped[prefix.end() :], prefix.end() + 1
        word = re.split(r"[^A-Za-z0-9_]", stripped, maxsplit=1)[0]
        rest = Piece(number, column + len(word), code[column - 1 + len(word) :].rstrip())
        if is_new:
            _check_keyword(source, stripped, word, number, column)
            comments = [comment] if comment else []
            statements.append(Statement(word, number, column, [rest], comments, [], bool(prefix)))
            continue
        if not statements:
            raise source.error(
                "an indented line belongs to the statement above it, and there is none",
                number,
                column,
                len(stripped),
                "begin the first statement in the first column",
            )
        parent = statements[-1]
        if word in SUB_KEYWORDS and (
            parent.keyword in ("parameter", "covariate") or (parent.keyword, word) == ("model", "source")
        ):
            parent.children.append(Statement(word, number, column, [rest], [comment] if comment else [], []))
        elif word in SUB_KEYWORDS and parent.keyword not in ("source", "model", "caution"):
            raise source.error(
                f'"{word}" can stand only below a parameter or covariate',
                number,
                column,
                len(word),
                "a comment says where an equation comes from: # paper, eq. 3",
            )
        elif (
            parent.children
            and parent.children[-1].keyword in ("source", "note")
            and column > parent.children[-1].column
        ):
            parent.children[-1].pieces.append(Piece(number, column, stripped))
        elif parent.keyword in ("parameter", "covariate", "time", "bridge"):
            raise source.error(
                f'"{word or stripped[:1]}" cannot stand below a {parent.keyword}',
                number,
                column,
                max(1, len(word)),
                question_or_list(word, SUB_KEYWORDS, "here can stand"),
            )
        else:
            parent.pieces.append(Piece(number, column, stripped))
            if comment:
                parent.comments.append(comment)
    if not statements:
        raise ModelError(
            f"{file}: the file holds no statement; a model begins with a line such as "
            '"model  one compartment, intravenous" and needs time, states, equations and outputs'
        )
    return source, tuple(statements)


def _check_keyword(source: ModelText, stripped: str, word: str, line: int, column: int) -> None:
    if word in KEYWORDS and stripped[len(word) : len(word) + 1] in ("", " ", "\t"):
        return
    if re.match(r"d[A-Za-z_][A-Za-z0-9_]* */ *dt\b|d */ *dt\b|[A-Za-z_][A-Za-z0-9_]*'", stripped):
        hint = 'an equation reads "d X = ..."'
    elif re.match(r"[A-Za-z_][A-Za-z0-9_]* *=", stripped):
        hint = (
            'a definition reads "define x = ...", an equation "d X = ...", a parameter "parameter '
            'k = 1 [1/h]"'
        )
    else:
        hint = question_or_list(word, KEYWORDS, "a line begins with one of")
    raise source.error(f'unknown statement "{word or stripped[:1]}"', line, column, max(1, len(word)), hint)


# ---------------------------------------------------------------------------------------------- expressions

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r"\*\*|<=|>=|==|!=|->|\.\.|[-+*/^(),<>=~\[\]]")


class Cursor:
    """A place in the pieces of a statement: tokens are taken one by one, free text as a whole."""

    def __init__(self, source: ModelText, pieces: list[Piece]) -> None:
        self.source = source
        self.pieces = pieces or [Piece(1, 1, "")]
        self.index = 0
        self.position = 0

    def _skip(self) -> None:
        while True:
            text = self.pieces[self.index].text
            while self.position < len(text) and text[self.position] in " \t":
                self.position += 1
            if self.position < len(text) or self.index + 1 == len(self.pieces):
                return
            self.index += 1
            self.position = 0

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of what comes next (or of the end)."""
        self._skip()
        piece = self.pieces[self.index]
        return piece.line, piece.column + self.position

    @property
    def coming(self) -> Token:
        """What comes next, to point at: a word or a character, nothing at the end."""
        line, column = self.place
        word = re.compile(r"[A-Za-z0-9_.]+|.").match(self.pieces[self.index].text, self.position)
        return Token("text", word.group() if word else "", line, column)

    def at_end(self) -> bool:
        """Whether nothing is left."""
        self._skip()
        return self.position >= len(self.pieces[self.index].text)

    def peek(self) -> Token | None:
        """The next token, or None at the end. Raises for a character or number that cannot be read."""
        if self.at_end():
            return None
        text = self.pieces[self.index].text
        line, column = self.place
        number = _NUMBER.match(text, self.position)
        if number:
            return self._number(number, text, line, column)
        name = _NAME.match(text, self.position)
        if name:
            return Token("name", name.group(), line, column)
        operator = _OPERATOR.match(text, self.position)
        if operator:
            return Token("operator", operator.group(), line, column)
        found = text[self.position]
        hint = "names and operators are plain ASCII" if not found.isascii() else "a comment begins with #"
        raise self.source.error(f'"{found}" cannot stand here', line, column, hint=hint)

    def _number(self, number: re.Match[str], text: str, line: int, column: int) -> Token:
        digits = number.group()
        behind = text[number.end() : number.end() + 1]
        if behind and (behind.isalnum() or behind in "_."):
            run = re.compile(r"[0-9A-Za-z_.]+").match(text, self.position)
            word = run.group() if run else digits
            following = _NAME.match(text, number.end())
            hint = f"write {digits}*{following.group()}" if following else "a number reads 12, 0.5 or 1.5e-3"
            raise self.source.error(f'"{word}" is not a number', line, column, len(word), hint)
        value = float(digits)
        if not math.isfinite(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", digits)[0])):
            raise self.source.error(
                f"{digits} is too {'small' if value == 0 else 'large'} for a number",
                line,
                column,
                len(digits),
                "numbers lie between 1e-307 and 1e308",
            )
        return Token("number", digits, line, column)

    def take(self) -> Token | None:
        """The next token; the cursor moves behind it."""
        token = self.peek()
        if token is not None:
            self.position += len(token.text)
        return token

    def accept(self, text: str) -> Token | None:
        """Take the next token if it is this operator or word."""
        token = self.peek()
        return self.take() if token is not None and token.text == text else None

    def expect(self, text: str, hint: str = "") -> Token:
        """Take this token or raise."""
        token = self.accept(text)
        if token is None:
            raise self.unexpected(f'expected "{text}"', hint)
        return token

    def unexpected(self, message: str, hint: str = "") -> ModelError:
        """An error at what comes next."""
        found = self.coming
        what = f'not "{found.text}"' if found.text else "but the statement ends"
        return self.source.at(found, f"{message}, {what}", hint)

    def bracket(self) -> Piece | None:
        """Take ``[...]`` and return what is inside; None if the next thing is no bracket."""
        if self.at_end() or self.pieces[self.index].text[self.position] != "[":
            return None
        piece = self.pieces[self.index]
        end = piece.text.find("]", self.position)
        line, column = self.place
        if end < 0:
            raise self.source.error("the bracket is not closed", line, column, hint="a unit reads [mg/L]")
        inside = Piece(line, column + 1, piece.text[self.position + 1 : end])
        self.position = end + 1
        return inside

    def rest(self) -> str:
        """Take everything that is left, as one line of free text."""
        self._skip()
        texts = [self.pieces[self.index].text[self.position :]] + [
            piece.text for piece in self.pieces[self.index + 1 :]
        ]
        self.index = len(self.pieces) - 1
        self.position = len(self.pieces[self.index].text)
        return " ".join(text.strip() for text in texts if text.strip())

    def rest_until(self, mark: str) -> str:
        """Take free text up to (not including) a character on the same line, else everything."""
        self._skip()
        text = self.pieces[self.index].text
        end = text.find(mark, self.position)
        if end < 0:
            return self.rest()
        taken = text[self.position : end].strip()
        self.position = end
        return taken

    def name(self, what: str) -> Token:
        """Take a name that may be given to something; refuses reserved words and names too long."""
        token = self.peek()
        if token is None or token.kind != "name":
            raise self.unexpected(
                f"expected the name of {what}", "a name is letters, digits and _, a letter first"
            )
        self.take()
        if token.text in RESERVED:
            meaning = (
                "the time"
                if token.text == "t"
                else "a function"
                if token.text in ARITY
                else "a reserved word"
            )
            raise self.source.at(
                token,
                f'"{token.text}" is {meaning} and cannot name {what}',
                f'take another name, for instance "{token.text}_1"',
            )
        if token.text.startswith("_") or len(token.text) > MAX_NAME:
            raise self.source.at(
                token,
                f'"{token.text[:MAX_NAME]}" cannot be a name',
                f"a name begins with a letter and has at most {MAX_NAME} characters",
            )
        return token

    def number(self, what: str) -> float:
        """Take a number with an optional sign."""
        sign = -1.0 if self.accept("-") else 1.0
        token = self.peek()
        if token is None or token.kind != "number":
            word = token.text if token else ""
            hint = "a number is finite and reads 12, 0.5 or 1.5e-3"
            raise self.unexpected(
                f"{what} must be a number", hint if word.lower() in ("nan", "inf", "infinity") else ""
            )
        self.take()
        return sign * float(token.text)

    def expression(self) -> Expression:
        """Take an expression."""
        return _Parser(self).whole()


class _Parser:
    """Recursive descent. Every method returns a node and the depth of its tree."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.nodes = 0
        self.level = 0

    def whole(self) -> Expression:
        return self.sum()[0]

    def _counted(self, depth: int, line: int, column: int) -> int:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self.cursor.source.error(
                "this expression is too long"
                if self.nodes > MAX_NODES
                else "this expression is nested too deeply",
                line,
                column,
                hint="give parts of it a name with define",
            )
        return depth

    def sum(self) -> tuple[Expression, int]:
        return self._chain(("+", "-"), self.product)

    def product(self) -> tuple[Expression, int]:
        return self._chain(("*", "/"), self.unary)

    def _chain(
        self, operators: tuple[str, ...], operand: Callable[[], tuple[Expression, int]]
    ) -> tuple[Expression, int]:
        node, depth = operand()
        while (token := self.cursor.peek()) is not None and token.text in operators:
            self.cursor.take()
            right, right_depth = operand()
            depth = self._counted(max(depth, right_depth) + 1, token.line, token.column)
            node = Binary(token.text, node, right, token.line, token.column)
        return node, depth

    def unary(self) -> tuple[Expression, int]:
        token = self.cursor.accept("-")
        if token is None:
            return self.power()
        self._enter(token)
        operand, depth = self.unary()
        self.level -= 1
        return Negative(operand, token.line, token.column), self._counted(depth + 1, token.line, token.column)

    def power(self) -> tuple[Expression, int]:
        base, depth = self.atom()
        token = self.cursor.peek()
        if token is None or token.text not in ("^", "**"):
            return base, depth
        self.cursor.take()
        self._enter(token)
        exponent, exponent_depth = self.unary()
        self.level -= 1
        depth = self._counted(max(depth, exponent_depth) + 1, token.line, token.column)
        return Binary("^", base, exponent, token.line, token.column), depth

    def _enter(self, token: Token) -> None:
        self.level += 1
        if self.level > MAX_NESTING:
            raise self.cursor.source.error(
                "this expression is nested too deeply",
                token.line,
                token.column,
                hint="give parts of it a name with define",
            )

    def atom(self) -> tuple[Expression, int]:
        cursor = self.cursor
        token = cursor.peek()
        if token is None:
            raise cursor.unexpected("expected a number, a name or a parenthesis")
        if token.kind == "number":
            cursor.take()
            return Number(float(token.text), token.line, token.column), self._counted(
                1, token.line, token.column
            )
        if token.kind == "name":
            cursor.take()
            following = cursor.peek()
            if following is not None and following.text == "(":
                return self.call(token)
            return Name(token.text, token.line, token.column), self._counted(1, token.line, token.column)
        if token.text == "(":
            cursor.take()
            self._enter(token)
            node, depth = self.sum()
            self.level -= 1
            self.close(token)
            return node, depth
        hint = {
            "[": "expressions hold no brackets: the unit stands behind the whole expression",
            "+": "a sign before a number is not needed",
            "=": "one = is enough; the comparisons are < <= > >=",
        }.get(token.text, "")
        raise cursor.unexpected("expected a number, a name or a parenthesis", hint)

    def close(self, opened: Token) -> None:
        if self.cursor.accept(")"):
            return
        following = self.cursor.peek()
        if following is not None and following.text in (*COMPARISONS, "==", "!="):
            raise self.cursor.unexpected(
                "a comparison can stand only as a condition of piecewise",
                "piecewise(value, condition, value, condition, ..., otherwise)",
            )
        if following is None:
            raise self.cursor.source.error("the parenthesis is not closed", opened.line, opened.column)
        raise self.cursor.unexpected('expected an operator or ")"')

    def call(self, function: Token) -> tuple[Expression, int]:
        cursor = self.cursor
        name = function.text
        if name not in ARITY:
            raise cursor.source.at(
                function,
                f'unknown function "{name}"',
                question_or_list(name, ARITY, f"for a product write {name}*(...); functions are"),
            )
        opened = cursor.expect("(")
        self._enter(opened)
        arguments: list[Node] = []
        depth = 0
        while not (cursor.accept(")") if not arguments else None):
            node, node_depth = self.argument(name, len(arguments))
            arguments.append(node)
            depth = max(depth, node_depth)
            if cursor.accept(","):
                continue
            self.close(opened)
            break
        self.level -= 1
        self._check_arguments(function, arguments)
        depth = self._counted(depth + 1, function.line, function.column)
        return Call(name, tuple(arguments), function.line, function.column), depth

    def argument(self, function: str, index: int) -> tuple[Node, int]:
        left, depth = self.sum()
        token = self.cursor.peek()
        if token is None or token.text not in (*COMPARISONS, "==", "!="):
            return left, depth
        if token.text in ("==", "!="):
            raise self.cursor.unexpected("expected a comparison", "the comparisons are < <= > >=")
        if function != "piecewise" or index % 2 == 0:
            raise self.cursor.unexpected(
                "a comparison can stand only as a condition of piecewise",
                "piecewise(value, condition, value, condition, ..., otherwise)",
            )
        self.cursor.take()
        right, right_depth = self.sum()
        following = self.cursor.peek()
        if following is not None and following.text in COMPARISONS:
            raise self.cursor.unexpected(
                "one comparison a condition", "conditions are tried in order, so one side is enough"
            )
        depth = self._counted(max(depth, right_depth) + 1, token.line, token.column)
        return Relation(token.text, left, right, token.line, token.column), depth

    def _check_arguments(self, function: Token, arguments: list[Node]) -> None:
        name, count = function.text, len(arguments)
        fewest, most = ARITY[name]
        usage = {
            "hill": "hill(x, k) or hill(x, k, n) = x^n/(k^n + x^n)",
            "piecewise": "piecewise(value, condition, value, condition, ..., otherwise)",
            "min": "min(a, b, ...)",
            "max": "max(a, b, ...)",
        }.get(name, f"{name}(x)")
        if not fewest <= count <= most or (name == "piecewise" and count % 2 == 0):
            counted = f"{count} argument{'' if count == 1 else 's'}"
            raise self.cursor.source.at(function, f"{name} cannot take {counted}", f"write {usage}")
        if name != "piecewise":
            return
        for condition in arguments[1::2]:
            if not isinstance(condition, Relation):
                raise self.cursor.source.error(
                    "a condition of piecewise must be a comparison",
                    condition.line,
                    condition.column,
                    hint=f"write {usage}",
                )


def parse_expression(text: str, file: str = "<expression>") -> Expression:
    """Read one expression. Names are not looked up. Raises ``ModelError``."""
    source = check_text(text, file)
    lines = text.splitlines() or [""]
    cursor = Cursor(source, [Piece(number, 1, line) for number, line in enumerate(lines, 1)])
    expression = cursor.expression()
    if not cursor.at_end():
        raise cursor.unexpected("expected an operator or the end")
    return expression


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below a node."""
    match node:
        case Negative():
            return (node.operand,)
        case Binary() | Relation():
            return (node.left, node.right)
        case Call():
            return node.arguments
    return ()


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the text."""
    yield node
    for child in children(node):
        yield from walk(child)


def names(node: Node) -> tuple[str, ...]:
    """The names used in an expression (``t`` included), each once, in the order of the text."""
    return tuple(dict.fromkeys(found.name for found in walk(node) if isinstance(found, Name)))


def number_text(value: float) -> str:
    """The shortest text that reads back as this number: ``2``, ``0.25``, ``1e-05``."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(1, 6)


def _rank(node: Node) -> int:
    match node:
        case Negative():
            return _UNARY
        case Binary(operator="^"):
            return _POWER
        case Binary(operator="*" | "/"):
            return _PRODUCT
        case Binary() | Relation():
            return _SUM
    return _ATOM


def expression_text(node: Node) -> str:
    """Write an expression with as few parentheses as it needs; ``parse_expression`` gives the same expression
    back."""

    def inner(child: Node, least: int) -> str:
        text = expression_text(child)
        return text if _rank(child) >= least else f"({text})"

    match node:
        case Number():
            return number_text(node.value)
        case Name():
            return node.name
        case Negative():
            return "-" + inner(node.operand, _UNARY)
        case Call():
            return f"{node.function}({', '.join(expression_text(argument) for argument in node.arguments)})"
        case Relation():
            return f"{inner(node.left, _SUM)} {node.operator} {inner(node.right, _SUM)}"
        case Binary(operator="^"):
            return f"{inner(node.left, _ATOM)}^{inner(node.right, _UNARY)}"
        case Binary(operator="*" | "/"):
            return f"{inner(node.left, _PRODUCT)}{node.operator}{inner(node.right, _UNARY)}"
    return f"{inner(node.left, _SUM)} {node.operator} {inner(node.right, _PRODUCT)}"
