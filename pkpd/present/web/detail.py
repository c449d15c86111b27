"""A piece of time enlarged: the curves of a window, of as few points as draw that window."""

from __future__ import annotations

from typing import Any

import numpy as np

from pkpd.present.web.answer import curve
from pkpd.present.web.evaluation import Explorer, FieldError, Stop, number


def detail(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """By schedule and output the curves from day ``from`` to day ``to``, by default of the whole time;
    ``outputs``: names of those that are wanted, by default all."""
    request = explorer.check(values, own=("from", "to", "outputs"))
    first = number(request.own.get("from", 0), "from", "the first day", 0, request.days)
    last = number(request.own.get("to", request.days), "to", "the last day", 0, request.days)
    if not first < last:
        raise FieldError(f"the last day must come after the first, day {first:g}", "to")
    outputs = request.own.get("outputs", list(explorer.outputs))
    if not isinstance(outputs, list) or not all(name in explorer.outputs for name in outputs):
        raise FieldError(f"outputs are among {', '.join(explorer.outputs)}", "outputs")
    curves = []
    for days, bands in explorer.fine(request, stop):
        begin = max(int(np.searchsorted(days, first, "right")) - 1, 0)
        end = min(int(np.searchsorted(days, last)) + 1, days.size)
        inside = slice(begin, max(end, begin + 2))
        curves.append({name: curve(days[inside], bands[name][:, inside].astype(float)) for name in outputs})
    return explorer.told(request) | {"from": first, "to": last, "curves": curves}
