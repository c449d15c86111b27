"""Numbers as pages and tables show them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pkpd.decision.evidence import Evidence, Light, Standing


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3) -> str:
    """Three significant digits, never in a form that hides the size: 0.0123, 1,240, 3.1e-07."""
    if not is_number(value) or abs(value) > 1e100:  # beyond that it stands for infinity
        return ""
    if value == 0:
        return "0"
    size = int(f"{value:.{digits - 1}e}".partition("e")[2])  # as rounded: 0.9999 is 1.00
    if size < -4 or size > 6:
        return f"{value:.{digits - 1}e}".replace("-", "−", 1) if value < 0 else f"{value:.{digits - 1}e}"
    text = f"{value:,.{max(0, digits - 1 - size)}f}"
    return text.replace("-", "−")


ROUNDING = 1e-10


def finite_or_word(value: float, sign: bool = False, digits: int = 3) -> str:
    """A number of an endpoint: with its sign if asked, infinity (not within the horizon) as its symbol,
    nothing for nan, nought for what rounding leaves of it."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    value = 0.0 if abs(value) < ROUNDING else value
    return ("+" if sign and value > 0 else "") + number(value, digits)


def shares(*parts: float) -> str:
    """Shares of subjects in whole percent: 97/3/0, of which none that is there is shown as 0; nothing for
    nan."""
    if any(math.isnan(part) for part in parts):
        return ""
    return "/".join(
        "<1" if 0 < part < 0.005 else ">99" if 0.995 <= part < 1 else f"{100 * part:.0f}" for part in parts
    )


def interval(value: Any) -> str:
    """``2.1 to 3.4``; one end alone is ``> 5`` or ``< 5``."""
    if not value:
        return ""
    low, high = (end if is_number(end) and abs(end) < 1e100 else None for end in value)
    if is_number(low) and is_number(high):
        return f"{number(low)} to {number(high)}"
    if is_number(low):
        return f"> {number(low)}"
    return f"< {number(high)}" if is_number(high) else ""


def percent(value: Any) -> str:
    """A fraction as percent."""
    if not is_number(value):
        return ""
    return f"{100 * value:.0f} %" if abs(value) < 10 else "> 1000 %"


def signed(value: Any) -> str:
    """A deviation with its sign: +0.42, −1.3."""
    if not is_number(value):
        return ""
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def fixed(value: Any) -> str:
    """An objective function value, one digit after the point."""
    return f"{value:,.1f}".replace("-", "−") if is_number(value) else ""


def bar(value: Any) -> str:
    """A deviation as a small picture: a bar from the middle, three standard errors wide on each side."""
    from markupsafe import Markup

    if not is_number(value):
        return Markup("")
    end = 50 + 50 * max(-3.0, min(3.0, value)) / 3
    colour = "var(--warn)" if abs(value) > 2 else "var(--accent)"
    left, width = min(50.0, end), max(1.0, abs(end - 50))
    return Markup(
        '<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{left:.1f}" y="2" width="{width:.1f}" height="8" fill="{colour}"/>'
        '<line x1="50" y1="0" x2="50" y2="12" stroke="currentColor" stroke-width="1"/></svg>'
    )


def unit(value: Any) -> str:
    """A unit as the figures write it: %, MIU/m², nothing for a plain number."""
    from pkpd.present.plot import shown_unit

    return shown_unit(str(value))


def far(value: Any) -> bool:
    """Whether a deviation is beyond two standard errors."""
    return is_number(value) and abs(value) > 2


FILTERS = {
    "far": far,
    "number": number,
    "interval": interval,
    "percent": percent,
    "signed": signed,
    "unit": unit,
    "fixed": fixed,
    "bar": bar,
}


LIGHTS = {Light.FORESEEN: "●", Light.FITTED: "◐", Light.ASSUMED: "○", Light.COUNTED: ""}
"""Signs that can be told apart without their colours, green, amber and red."""


def meanings(lights: Iterable[str]) -> list[dict[str, str]]:
    """Of these lights those that have a sign, with it and what it means, from green to red."""
    there = set(lights)
    return [
        {"name": light, "sign": LIGHTS[light], "meaning": light.meaning}
        for light in Light
        if light in there and LIGHTS[light]
    ]


def legend(lights: Iterable[str]) -> str:
    """What the signs of these lights mean, in a sentence; "" where none has one."""
    meant = "; ".join(f"{one['sign']} {one['meaning']}" for one in meanings(lights))
    return f"{meant}." if meant else ""


def signed_by(light: str, words: str) -> str:
    """Words with the sign of a light before them, if it has one."""
    return f"{LIGHTS[Light(light)]} {words}".lstrip()


def because(name: str, standing: Standing) -> str:
    """A light with what it is of and its reasons, in a sentence; "" where there is none."""
    sign = LIGHTS[standing.light]
    return f"{sign} {name}: {'; '.join(standing.reasons)}." if sign else ""


def reported(one: Evidence) -> str:
    """A published number with its interval and unit."""
    row, shown = one.row, unit(one.row.unit)
    if is_number(row.observed_lower) and is_number(row.observed_upper):
        ends = [number(row.observed_lower), number(row.observed_upper)]
        known = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
    else:
        known = ""
    return f"{number(row.observed)}{known}{f' {shown}' * bool(shown)}"


def outcome(one: Evidence) -> str:
    """What became of a number that was held out; empty where it was fitted."""
    if not one.held_out:
        return ""
    predicted = f"predicted {number(one.row.predicted)}"
    low, high = one.row.predicted_lower, one.row.predicted_upper
    if is_number(low) and is_number(high):
        predicted += f" ({number(low)} to {number(high)})"
    said = {True: "came as predicted", False: "did not come as predicted", None: "not judged"}[one.foreseen]
    return f"held out, {predicted}: {said}"
