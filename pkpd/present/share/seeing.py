"""Why a curve goes as it does, what drives an endpoint, and an endpoint over the dose, as exhibits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pkpd.decision.drivers import Driver, Drivers
from pkpd.decision.evidence import Standing
from pkpd.decision.response import DoseResponse
from pkpd.decision.why import Account, Explanation, Share
from pkpd.present.report import drivers, response, why
from pkpd.present.report.comparison import flat
from pkpd.present.report.drawing import Drawing
from pkpd.present.report.numbers import because, finite_or_word, legend, signed_by, unit
from pkpd.present.share.exhibit import Exhibit, SharedColumn, SharedTable, one_line, source_of

ADDED = (
    "Left: the curve with doses and without. Right: what each term of its differential equation added since "
    "the beginning, beyond what it is without doses; together they are the difference. Bands: 90 % of "
    "people. Grey: the treatment."
)
TORNADO = (
    "Left: the endpoint of the typical person with each input at its 5 % and its 95 %. Right: shares of the "
    "variance with 90 % intervals; filled: gone if the input were known; hollow: left if all others were."
)
OVER = (
    "Line: the median of people. Bands: half and 90 % of them. Dashed: 90 % of the median by the parameters "
    "alone. Points: published, hollow ones unverified."
)
AGAINST = " Right: a point is one person at one value, the curve the median of people of like exposure."


def of_why(found: Explanation, command: str = "") -> Exhibit:
    """What leaves the program of an explanation."""
    return Exhibit(
        title=f"Why {found.output} goes as it does",
        subjects=(one_line(f"schedule: {found.schedule}"),),
        findings=tuple(itertools.chain.from_iterable(map(_told, found.accounts))),
        drawings=(Drawing("why", ADDED, why.figure, found),),
        tables=tuple(_account(found, account) for account in found.accounts),
        definitions=(),
        **_made(
            "why",
            found,
            command,
            f"The typical person and {found.subjects:,} virtual people",
            [account.standing for account in found.accounts],
        ),
    )


def of_drivers(found: Drivers, command: str = "") -> Exhibit:
    """What leaves the program of what drives an endpoint."""
    return Exhibit(
        title=f"What drives {found.endpoint.name}?",
        subjects=(one_line(f"schedule: {found.schedule}"),),
        findings=tuple(_first(found)),
        drawings=(Drawing("drivers", TORNADO, drivers.figure, found),),
        tables=(_inputs(found),),
        definitions=((found.endpoint.name, found.endpoint.definition),),
        **_made("drivers", found, command, "Virtual people", [found.standing]),
    )


def of_response(found: DoseResponse, command: str = "") -> Exhibit:
    """What leaves the program of an endpoint over the dose."""
    endpoints = [found.endpoint, *([found.exposure.over] if found.exposure else [])]
    caption = OVER + (AGAINST if found.exposure else "")
    people = f"{found.provenance['subjects']:,} virtual people"
    return Exhibit(
        title=f"{found.endpoint.name} over the {found.unknown.name}",
        subjects=(one_line(f"schedule: {found.pattern}"),),
        findings=tuple(_ends(found)),
        drawings=(Drawing("dose_response", caption, response.figure, found),),
        tables=(_curve(found),),
        definitions=tuple((endpoint.name, endpoint.definition) for endpoint in endpoints),
        **_made("dose_response", found, command, people, found.value_standings),
    )


def _made(stem: str, found: Any, command: str, who: str, standings: Iterable[Standing]) -> dict[str, Any]:
    """What the three have alike."""
    lights = legend(one.light for one in standings)
    return {
        "stem": stem,
        "warnings": (("", found.warnings),) if found.warnings else (),
        "reading": (*found.reading, *filter(None, [lights])),
        "provenance": tuple((name, one_line(value)) for name, value in flat(found.provenance)),
        "command": command,
        "write_csv": found.write_csv,
        "write_json": found.write_json,
        "source": source_of(found.provenance, who),
        "behind": found.behind,
    }


_LIGHT = (SharedColumn("light", "how far put to the test", "text"), SharedColumn("why", "why", "text"))


def _light(standing: Standing) -> dict[str, str]:
    return {"light": str(standing.light), "why": "; ".join(standing.reasons)}


# --- why


def _told(account: Account) -> Iterator[str]:
    """What did most, in words, and how far it has been put to the test."""
    shown = unit(account.unit)
    parts = sorted(account.terms, key=lambda term: -abs(term.treated.typical))[:3]
    words = ", ".join(f"{term.words} {finite_or_word(term.treated.typical, True)}" for term in parts)
    change = f"{finite_or_word(account.treated.typical, True)} {shown}".strip()
    name = account.description or account.name
    yield f"{name}: {change} over the treatment; {words}."
    yield from filter(None, [because(name, account.standing)])


def _account(found: Explanation, account: Account) -> SharedTable:
    shown = f" ({unit(account.unit)})" if unit(account.unit) else ""
    columns = [
        SharedColumn("words", "what added to it", "text"),
        SharedColumn("text", "in the model", "text"),
    ]
    periods = (
        ("treated", f"treatment, to day {found.treated_days:g}"),
        ("after", f"then, to day {found.days[-1]:g}"),
    )
    for name, head in periods:
        columns.append(SharedColumn(f"{name} typical", f"{head}{shown}"))
        columns += [SharedColumn(f"{name} low", "90 % of people, from"), SharedColumn(f"{name} high", "to")]
    columns += _LIGHT
    lines, records = [], []
    for words, text, of in _entries(account):
        shares: dict[str, Share] = {name: getattr(of, name) for name, _ in periods}
        told = _light(account.standing) if of is account else {"light": "", "why": ""}
        cells = [_share(one) for one in shares.values()]
        if of is account:
            cells = [signed_by(account.standing.light, cell) for cell in cells]
        lines.append((words, text, *cells))
        record: dict[str, Any] = {"words": words, "text": text}
        records.append(record | _numbers(shares) | told)
    heads = ("what added to it", "in the model", *(f"{head}{shown}" for _, head in periods))
    name = one_line(account.name)[:28]
    standings = dict.fromkeys([(len(lines) - 1, 2), (len(lines) - 1, 3)], account.standing)
    return SharedTable(name, heads, tuple(lines), tuple(columns), tuple(records), standings=standings)


def _entries(account: Account) -> Iterator[tuple[str, str, Any]]:
    for term in account.terms:
        yield term.words, term.text, term
        for part in term.parts:
            yield f"  by {part.text}", term.text, part
    yield "all of them: the change", "", account


def _numbers(shares: Mapping[str, Share]) -> dict[str, float]:
    return {
        f"{name} {end}": getattr(share, end)
        for name, share in shares.items()
        for end in ("typical", "low", "high")
    }


def _share(share: Share) -> str:
    middle = finite_or_word(share.typical, True)
    return middle if math.isnan(share.low) else f"{middle} {_span(share.low, share.high)}"


def _span(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"({finite_or_word(low)} to {finite_or_word(high)})"


# --- drivers


def _first(found: Drivers) -> Iterator[str]:
    shown = unit(found.endpoint.unit)
    yield (
        f"{found.endpoint.name} is {finite_or_word(found.typical)} {shown}".strip()
        + " in the typical person."
    )
    yield from filter(None, [because(found.endpoint.name, found.standing)])
    for origin in found.origins:
        names = ", ".join(one.name for one in found.of(origin.by)[:3])
        yield f"By {drivers.origin_words(origin)}: first {names}."


def _inputs(found: Drivers) -> SharedTable:
    shown = f" ({unit(found.endpoint.unit)})" if unit(found.endpoint.unit) else ""
    heads = ("by", "input", "its 5 % to 95 %", f"endpoint there{shown}", "first, %", "total, %")
    columns = (
        SharedColumn("by", "by", "text"),
        SharedColumn("name", "input", "text"),
        SharedColumn("description", "which is", "text"),
        SharedColumn("unit", "unit", "text"),
        SharedColumn("low_value", "its 5 %"),
        SharedColumn("high_value", "its 95 %"),
        SharedColumn("low", f"endpoint at 5 %{shown}"),
        SharedColumn("high", f"endpoint at 95 %{shown}"),
        SharedColumn("first", "first", "share"),
        SharedColumn("total", "total", "share"),
    )
    records = tuple(
        {column.key: getattr(one, column.key) for column in columns} | _light(found.standing)
        for one in found.drivers
    )
    lines = tuple(_input(one, found.standing) for one in found.drivers)
    standings = {(i, 3): found.standing for i in range(len(lines))}
    return SharedTable("Inputs", heads, lines, (*columns, *_LIGHT), records, standings=standings)


def _input(one: Driver, standing: Standing) -> tuple[str, ...]:
    values = f"{finite_or_word(one.low_value)} to {finite_or_word(one.high_value)} {unit(one.unit)}".strip()
    ends = signed_by(standing.light, f"{finite_or_word(one.low)} to {finite_or_word(one.high)}")
    shares = [drivers.percent(*pair) for pair in ((one.first, one.first_ends), (one.total, one.total_ends))]
    return one.by, one.name, values, ends, *shares


# --- the dose


def _ends(found: DoseResponse) -> Iterable[str]:
    shown = unit(found.endpoint.unit)
    for i in (0, -1):
        low, _, middle, _, high = map(float, found.people[:, i])
        where = found.unknown.shown(float(found.values[i]))
        what = f"{finite_or_word(middle)} {shown}".strip()
        yield f"At {where}: {what} in the median person, 90 % of people {_span(low, high).strip('()')}."
    yield from response.reasons(found)
    if found.exposure is not None and not math.isnan(found.exposure.spearman):
        yield f"Rank correlation with {found.exposure.over.name}: {found.exposure.spearman:.2f}."


def _curve(found: DoseResponse) -> SharedTable:
    shown = f" ({unit(found.endpoint.unit)})" if unit(found.endpoint.unit) else ""
    called = found.unknown.called
    heads = (
        called,
        f"median of people{shown}",
        "half of people",
        "90 % of people",
        "median, 90 % by parameters",
    )
    keys = ("5 %", "25 %", "median", "75 %", "95 %")
    columns = (
        SharedColumn("x", called),
        *(SharedColumn(key, f"{key} of people{shown}") for key in keys),
        SharedColumn("low", "median by the parameters, from"),
        SharedColumn("high", "to"),
        *_LIGHT,
    )
    lines, records = [], []
    for i, x in enumerate(found.values.tolist()):
        low, lower, middle, upper, high = map(float, found.people[:, i])
        ends = float(found.low[i]), float(found.high[i])
        spans = [_span(*pair).strip("()") for pair in ((lower, upper), (low, high), ends)]
        standing = found.value_standings[i]
        lines.append((f"{x:g}", signed_by(standing.light, finite_or_word(middle)), *spans))
        records.append(
            {"x": x, "low": ends[0], "high": ends[1]}
            | dict(zip(keys, (low, lower, middle, upper, high), strict=True))
            | _light(standing)
        )
    name = f"Over the {found.unknown.name}"
    standings = {(i, 1): standing for i, standing in enumerate(found.value_standings)}
    return SharedTable(name, heads, tuple(lines), columns, tuple(records), standings=standings)
