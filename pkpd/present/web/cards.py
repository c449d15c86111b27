"""What the fields of a schedule's card on the page say: its cycle, and how its doses are taken. Texts are the
schedule language's, which the card writes and the server reads; what the fields cannot say is told as such.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pkpd.dosing.parts import AT_START
from pkpd.dosing.quantities import decimal_text
from pkpd.dosing.rules import AdaptiveSchedule, Plan, planned
from pkpd.dosing.taking import CHANGES, DoseChange, TakenSchedule

HOURS = 24


def cycle_of(plan: Plan) -> dict[str, Any] | None:
    """Dose, days in a cycle, interval and number of cycles, if what is planned is such a cycle of daily
    doses, without rules; else None.

    ``interval`` is None where there is one cycle only. What the sliders make of these numbers is read back as
    the same schedule.
    """
    schedule = planned(plan)
    if isinstance(plan, AdaptiveSchedule) or len(schedule.parts) != 1:
        return None
    part = schedule.parts[0]
    if part.duration is not None or part.start != 0 or part.offsets != AT_START or len(part.cycles) > 1:
        return None
    (interval, cycles) = part.cycles[0] if part.cycles else (None, 1)
    days = part.count
    if part.period is None:
        days = 1
    elif part.period != 1:
        if part.cycles:
            return None
        interval, cycles, days = part.period, part.count, 1
    if isinstance(interval, Fraction) and interval.denominator != 1:
        return None
    return {
        "dose": float(decimal_text(part.amount) or part.amount),
        "unit": f"{part.unit}/{part.per}" if part.per else part.unit,
        "route": part.route,
        "days": days,
        "interval": None if interval is None else int(interval),
        "cycles": cycles,
    }


def taking_of(plan: Plan) -> dict[str, str] | None:
    """What becomes of the doses, as the texts of a card's fields: days that are missed, doubled and late
    ("29, 33-35"), by how many hours these are, the percentage of doses that is taken, and by how many hours
    times vary; "" where all is as planned. None for what the fields cannot say: rules, delays of several
    lengths, hours that are no decimal.
    """
    if isinstance(plan, AdaptiveSchedule):
        return None
    if not isinstance(plan, TakenSchedule):
        return dict.fromkeys((*CHANGES, "by", "adherence", "jitter"), "")
    said: dict[str, str | None] = {
        action: ", ".join(_days(one) for one in plan.changes if one.action == action) for action in CHANGES
    }
    delays = {change.by for change in plan.changes if change.by is not None}
    said["by"] = decimal_text(HOURS * max(delays)) if delays else ""
    said["adherence"] = "" if plan.adherence == 1 else decimal_text(100 * plan.adherence)
    said["jitter"] = decimal_text(HOURS * plan.jitter) if plan.jitter else ""
    texts = {key: text for key, text in said.items() if text is not None}
    return texts if len(delays) < 2 and len(texts) == len(said) else None


def _days(change: DoseChange) -> str:
    return str(change.first) if change.first == change.last else f"{change.first}-{change.last}"
