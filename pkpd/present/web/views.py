"""What the page may ask: an answer for each of its views, by the word behind ``/api/``.

A view that computes is a module beside this one with a function as ``Answer``, its line in ``ANSWERS``, and
the module of its name in ``static/views``, which ``static/views/index.js`` lists. Its function takes what all
views share with ``explorer.check(values, own=("what", "else"))``, checks its own values, raising
``FieldError`` with the field to show the sentence at, and finds the virtual subjects in
``explorer.scene(request)``. A request of the shared values alone is answered too, from usual ones. What it
returns begins with ``explorer.told(request)``. Limits, time, and what is given up are the server's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pkpd.present.web import seeing
from pkpd.present.web.detail import detail
from pkpd.present.web.evaluation import Explorer, Stop
from pkpd.present.web.person import person
from pkpd.present.web.saving import Download, save

Answer = Callable[[Explorer, object, Stop], "dict[str, Any] | Download"]
"""From the values of a request, as JSON has them, to what the page is told, or to a file."""


def compare(explorer: Explorer, values: object, stop: Stop) -> dict[str, Any]:
    """Courses and endpoints of the schedules side by side."""
    return explorer.evaluate(values, stop)


ANSWERS: dict[str, Answer] = {
    "compare": compare,
    "save": save,
    "detail": detail,
    "response": seeing.response,
    "target": seeing.target,
    "drivers": seeing.drivers,
    "why": seeing.why,
    "person": person,
}
