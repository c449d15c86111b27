"""Results as notebooks show them: a sentence and a small table."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

MOST_ROWS = 60


def table(sentence: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """HTML of a sentence, a table (of more than 60 rows the first, with how many there are), and a note."""
    given = list(rows)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_text(value))}</td>' for value in row)}</tr>"
        for row in given[:MOST_ROWS]
    )
    more = f"<p>and {len(given) - MOST_ROWS} rows more</p>" if len(given) > MOST_ROWS else ""
    said = f"<p><small>{html.escape(note)}</small></p>" if note else ""
    return (
        f"<p>{html.escape(sentence)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{more}{said}"
    )


def interval(middle: float, low: float, high: float) -> str:
    """ "4.65 (3.1 to 6.2)"; a number alone where the ends are the same."""
    return _text(middle) + (f" ({_text(low)} to {_text(high)})" if low < high else "")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
