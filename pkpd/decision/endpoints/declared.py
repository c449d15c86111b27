"""Endpoints as they are written down, for any model that has their outputs, and as one model has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pkpd.core import units
from pkpd.core.errors import InputError, UnitError
from pkpd.decision.endpoints.asked import divided
from pkpd.decision.endpoints.endpoint import Endpoint, Relevant
from pkpd.decision.endpoints.functionals import FUNCTIONALS, NO_DOSE, WINDOWS, Course, Functional, Span

Floats = NDArray[np.float64]

RATIO = "ratio"
"""What an endpoint is that is the quotient of two others."""
AGAINST = ("", "fold of baseline", "change from baseline", "percent change from baseline", "per dose")
"""What a value is set against: nothing, what it was at rest, the number of doses given."""
_NO_BASELINE = "no value where the baseline is 0"
_SAID = {
    "fold of baseline": ", over the subject's baseline",
    "change from baseline": ", as a change from the subject's baseline",
    "percent change from baseline": ", as a change from the subject's baseline",
    "per dose": ", divided by the number of doses given",
}


@dataclass(frozen=True)
class Level:
    """An amount of a unit, or so many times the subject's own baseline where there is no unit."""

    amount: float
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> Level:
        """ "10 mg/L", "+50 %", "80 % of baseline", "2 x baseline", "baseline". Raises InputError."""
        words = " ".join(text.split())
        if words == "baseline":
            return cls(1.0)
        number = r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
        if found := re.fullmatch(rf"([+-]) ?{number} ?%(?: of baseline)?", words):
            return cls(1.0 + float(found[1] + found[2]) / 100.0)
        if found := re.fullmatch(rf"{number} ?% of baseline", words):
            return cls(float(found[1]) / 100.0)
        if found := re.fullmatch(rf"{number} ?x baseline", words):
            return cls(float(found[1]))
        try:
            return cls(*units.quantity(words))
        except UnitError as error:
            raise InputError(
                f'"{text[:60]}" is no level ({error}); write for instance "10 mg/L", "+50 %", '
                '"80 % of baseline", "2 x baseline"'
            ) from None

    def __str__(self) -> str:
        if self.unit:
            return f"{self.amount:g}" if self.unit == "1" else f"{self.amount:g} {self.unit}"
        if self.amount == 1.0:
            return "the subject's baseline"
        return f"{100 * self.amount:g} percent of the subject's baseline"

    def of(self, rest: Floats, unit: str) -> Floats:
        """(n_subjects,) in the unit of the output."""
        if not self.unit:
            return rest if self.amount == 1.0 else self.amount * rest
        return np.full(rest.shape, self.amount * units.factor(self.unit, unit))


@dataclass(frozen=True)
class Declared:
    """An endpoint of any model that has its output.

    what : one of ``FUNCTIONALS``, or "ratio"; outputs : names, of which the first that a model has counts;
    of : of a ratio, names of the endpoints above and below the line, of which the first that there is counts.
    window : one of ``WINDOWS``, "0 h to 24 h", or empty for the usual one; level : None for the usual one;
    against : one of ``AGAINST``; unit : empty for the one that comes of itself. definition : may hold
    {output}, {label}, {span}, {close} and {level}, and is made of what is said where it is empty.

    called : the number in the middle of a sentence, "the mean of the cells"; finding : a sentence with {} for
    the number, which reports begin with; axis : its title in figures.
    """

    name: str
    what: str
    outputs: tuple[str, ...] = ()
    of: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    window: str = ""
    level: Level | None = None
    against: str = ""
    unit: str = ""
    better: int = 0
    group: str = "effects"
    relevant: Relevant | None = None
    label: str = ""
    definition: str = ""
    missing: str = ""
    remark: str = ""
    called: str = ""
    finding: str = ""
    axis: str = ""

    def check(self) -> None:
        """Raise ``InputError`` where the parts do not go together."""
        if self.what == RATIO:
            if self.window or self.level or self.against or self.outputs or self.unit:
                raise InputError('a ratio has "of" and neither output, window, level, against nor unit')
            return
        about = self.functional
        if self.window and about.fixed and self.window != about.window:
            raise InputError(
                f'"{self.what}" looks at a window of its own ("{about.window}") and takes no other'
            )
        if self.level is not None and not about.level:
            raise InputError(f'"{self.what}" takes no level')
        if self.level is None and about.level == "needed":
            raise InputError(f'"{self.what}" needs a level, such as level = "+50 %"')
        if self.against.endswith("baseline") and not about.baseline:
            able = ", ".join(name for name, other in FUNCTIONALS.items() if other.baseline)
            raise InputError(f'"{self.what}" is not set against the baseline; {able} are')
        if self.against == "per dose" and about.unit != "area":
            raise InputError("only an area is given per dose")
        if self.window and self.window not in WINDOWS:
            _fixed_span(self.window)

    @property
    def functional(self) -> Functional:
        """How its number is made; not of a ratio."""
        return FUNCTIONALS[self.what]


@dataclass(frozen=True, eq=False)
class Bound:
    """An endpoint as one model has it: of which of its outputs, over which fixed span, if it has one, and by
    which ``factor`` its unit is larger than the one it comes in; a ratio is of two others (``over``)."""

    declared: Declared
    endpoint: Endpoint
    output: str
    column: int
    output_unit: str
    span: Span | None
    factor: float
    over: tuple[Endpoint, Endpoint] | None = None

    def value(self, course: Course, found: Mapping[Endpoint, Floats]) -> Floats:
        """(n_subjects,), of the course of its output, or of what was found of the two of a ratio."""
        if self.over is not None:
            above, below = (found[endpoint] for endpoint in self.over)
            return divided(above * self.factor if self.factor != 1.0 else above, below)
        declared, about = self.declared, self.declared.functional
        span = self.span
        if span is None:
            span = WINDOWS[declared.window or about.window].of(course.regimen, course.until)
            if span is None:
                return course.nothing
            span = max(span[0], course.begin), span[1]
        level = (declared.level or Level(1.0)).of(course.rest, self.output_unit)
        value = about.value(course, span, level)
        match declared.against:
            case "fold of baseline":
                value = divided(value, course.rest)
            case "change from baseline":
                value = value - course.rest
            case "percent change from baseline":
                value = 100.0 * (divided(value, course.rest) - 1.0)
            case "per dose":
                value = divided(value, course.given)
        return value / self.factor


@lru_cache(maxsize=64)
def bind(
    endpoints: tuple[Declared, ...], names: tuple[str, ...], output_units: tuple[str, ...], time_unit: str
) -> tuple[Bound, ...]:
    """Those of the endpoints that a model with these outputs has. Raises ``InputError`` where a unit does not
    fit, naming the endpoint."""
    found: dict[str, Bound] = {}
    for declared in endpoints:
        try:
            bound = (
                _ratio(declared, found)
                if declared.what == RATIO
                else _of_output(declared, names, output_units, time_unit)
            )
        except InputError as error:
            raise InputError(f'endpoint "{declared.name}": {error}') from None
        if bound is not None:
            found[declared.name] = bound
    return tuple(found.values())


def _of_output(
    declared: Declared, names: Sequence[str], output_units: Sequence[str], time_unit: str
) -> Bound | None:
    name = next((name for name in declared.outputs if name in names), None)
    if name is None:
        return None
    column, about = names.index(name), declared.functional
    output_unit = output_units[column]
    natural = {
        "output": output_unit,
        "area": f"{output_unit}*{time_unit}",
        "time": time_unit,
        "percent": "percent",
        "1": "1",
    }[about.unit]
    natural = {"fold of baseline": "1", "percent change from baseline": "percent"}.get(
        declared.against, natural
    )
    unit = declared.unit or natural
    window, span = WINDOWS.get(declared.window or about.window), None
    if window is None:
        start, stop = (number * units.factor(of, time_unit) for number, of in _fixed_span(declared.window))
        span = (start, stop)
    if declared.level is not None:
        declared.level.of(np.zeros(1), output_unit)  # refuses a unit that is not the output's
    label, level = declared.label or name, str(declared.level or Level(1.0))
    words = {
        "{output}": name,
        "{label}": label,
        "{level}": level,
        "{span}": window.span if window else f"from {declared.window}",
        "{close}": window.close if window else f"at {declared.window.partition(' to ')[2]}",
    }
    definition = declared.definition or f"{about.words}{_SAID.get(declared.against, '')}."
    against = {"": "", "change from baseline": "", "per dose": NO_DOSE}.get(declared.against, _NO_BASELINE)
    missing = declared.missing or about.missing or (window.missing if window else "") or against
    endpoint = Endpoint(
        declared.name,
        unit,
        _filled(definition, words),
        declared.better,
        declared.group,
        missing=_filled(missing, words),
        remark=_filled(declared.remark, words),
        relevant=declared.relevant,
    )
    # the larger unit in the smaller one, which is a whole number where one is
    return Bound(declared, endpoint, name, column, output_unit, span, units.factor(unit, natural))


def _ratio(declared: Declared, found: Mapping[str, Bound]) -> Bound | None:
    above, below = (next((found[name] for name in several if name in found), None) for several in declared.of)
    if above is None or below is None:
        return None
    words = {
        "{output}": above.output,
        "{above}": above.declared.name,
        "{below}": below.declared.name,
    }
    endpoint = Endpoint(
        declared.name,
        "1",
        _filled(declared.definition or "{above}, divided by {below}.", words),
        declared.better,
        declared.group,
        missing=declared.missing or below.endpoint.missing or above.endpoint.missing,
        remark=declared.remark,
        relevant=declared.relevant,
    )
    factor = units.factor(above.endpoint.unit, below.endpoint.unit)
    return Bound(
        declared, endpoint, above.output, above.column, "1", None, factor, (above.endpoint, below.endpoint)
    )


def _filled(text: str, words: Mapping[str, str]) -> str:
    for place, word in words.items():
        text = text.replace(place, word)
    return text


def _fixed_span(text: str) -> tuple[tuple[float, str], tuple[float, str]]:
    """ "0 h to 24 h" -> numbers and units. Raises ``InputError``."""
    try:
        (start, of_start), (stop, of_stop) = (units.quantity(part) for part in re.split(r"\bto\b", text))
        if start * units.factor(of_start, "h") < stop * units.factor(of_stop, "h"):
            return (start, of_start), (stop, of_stop)
    except (UnitError, ValueError):
        pass
    raise InputError(
        f'"{text[:60]}" is no window; write one of {", ".join(WINDOWS)}, or two times, such as "0 h to 24 h"'
    )


def exposure(*outputs: str) -> tuple[Declared, ...]:
    """What is usually asked of a concentration, of the first of these outputs that a model has."""

    def of(name: str, what: str, definition: str = "", **more: str) -> Declared:
        return Declared(name, what, outputs, group="exposure", definition=definition, **more)  # type: ignore[arg-type]

    rule = "The area under {output} above its baseline"
    return (
        of("Cmax", "max", "The highest {output}, baseline included.", window="whole"),
        of("Tmax", "time of max"),
        of("AUC", "area above", f"{rule} from the beginning to the horizon."),
        of(
            "AUC per dose",
            "area above",
            f"{rule} to the horizon, divided by the number of doses given.",
            against="per dose",
        ),
        of("AUC first interval", "area above", f"{rule} {{span}}.", window="first interval"),
        of(
            "half-life",
            "half-life",
            remark="where the fall bends even on a logarithmic scale, as under uptake by receptors, "
            "halvings at other heights take another time",
        ),
        of(
            "trough",
            "end",
            "{output} just before the last dose, baseline included.",
            window="before the last dose",
        ),
    )
