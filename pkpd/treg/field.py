"""The field of interleukin-2 and regulatory T cells, for whoever compares schedules."""

from __future__ import annotations

from importlib import resources

from pkpd.decision.criteria import Criteria, Field, Risk, parse_criteria, register
from pkpd.treg import FIT, tolerability

FILE = "endpoints.toml"
RISK = Risk(
    endpoint=tolerability.EVENT,
    output="il2",
    unit=tolerability.UNIT,
    called="an adverse event",
    source="the few published counts",
    note="The probability of an adverse event is that of one five-day course at the largest daily "
    "dose: it grows with the dose alone, "
    "not with the number of days or cycles.",
    axis="probability of an adverse event (%)",
    probability=tolerability.probability,
    warnings=tolerability.warnings,
    course_days=tolerability.COURSE_DAYS,
)


def text() -> bytes:
    """The file of endpoints."""
    return resources.files("pkpd.treg").joinpath(FILE).read_bytes()


def criteria() -> Criteria:
    """Of the file, and the risk of an adverse event."""
    return parse_criteria(text(), f"pkpd/treg/{FILE}", risks=(RISK,))


register(Field("treg", FIT, criteria()))
