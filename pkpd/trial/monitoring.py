"""Interim looks as a design declares them: when, at which analysis, and by which rules a trial stops.

[monitoring]
analysis = "log-rank"
planned = 90
efficacy = "obrien_fleming"

[[look]]
name = "half of the deaths"
events = 45
futility = "conditional power < 0.1"
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pkpd.core.errors import DataError
from pkpd.core.names import question_or_list
from pkpd.core.toml import TomlTable
from pkpd.trial.boundaries import SPENDING
from pkpd.trial.kinds import KINDS, TrialAnalysis

MONITORED = ("logrank", "cox", "change", "ancova")
"""Kinds of analyses whose information can be counted: in events, or in patients whose change is known."""
RATIO, CONDITIONAL = "hr", "conditional power"
MOST_PLANNED = 10_000_000
WHEN = ("after", "events", "days")
END = "the end"
"""What results call the stage behind all looks."""


class FutilityRule(NamedTuple):
    """A trial stops for futility where a number, ``RATIO`` or ``CONDITIONAL``, is beyond a limit."""

    of: str
    sign: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether it says stop."""
        return value > self.limit if self.sign == ">" else value < self.limit

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.limit:g}"


@dataclass(frozen=True)
class TrialLook:
    """An interim look: what is known then is analysed.

    Attributes
    ----------
    name, where : what it is called, and the place in the file.
    share : of the planned information that is then there, nan where it is not timed by that.
    days : of calendar time since recruitment began, nan where it is not timed by that.
    futility : when the trial stops, though nothing forces it to; None for never.
    """

    name: str
    where: str
    share: float
    days: float
    futility: FutilityRule | None


@dataclass(frozen=True)
class Monitoring:
    """How a trial is watched.

    Attributes
    ----------
    analysis : which one decides.
    arm : which is compared with the control.
    planned : information at the end: events, or patients whose change is known.
    efficacy : how alpha is spent, one of ``SPENDING``, "" for all of it at the end.
    better : 1 where more of the hazard ratio or of the change is better, -1 where less is.
    looks : in the order of the file.
    """

    analysis: TrialAnalysis
    arm: str
    planned: int
    efficacy: str
    better: int
    looks: tuple[TrialLook, ...]

    @property
    def unit(self) -> str:
        """Of information."""
        return "events" if KINDS[self.analysis.kind].of_events else "patients"


def read_monitoring(
    table: TomlTable, items: Sequence[TomlTable], analyses: Sequence[TrialAnalysis], arms: Mapping[str, int]
) -> Monitoring | None:
    """What a design says of looks, None without one. Raises ``DataError`` for what is wrong, with its key.

    arms : names, the control first, and how many patients.
    """
    if not items:
        table.keys_within(("analysis", "planned", "efficacy", "better"))
        return None
    if not table.values:
        raise DataError(f'{items[0].where}: a look needs a table [monitoring] with analysis = "..."')
    table.keys_within(("analysis", "planned", "efficacy", "better"))
    analysis = _analysis(table, analyses)
    arm = _arm(table, analysis, arms)
    efficacy = table.text("efficacy", "")
    if efficacy and efficacy not in SPENDING:
        raise DataError(f'{table.where}: efficacy = "{efficacy}"; {question_or_list(efficacy, SPENDING)}')
    better = _better(table, analysis)
    planned = _planned(table, analysis, arms[next(iter(arms))] + arms[arm])
    looks = tuple(_look(item, analysis, planned, better) for item in items)
    for look in looks:
        if look.name == END:
            raise DataError(f'{look.where}: "{END}" is what results call the end of a trial: another name')
    if not efficacy and not any(look.futility for look in looks):
        raise DataError(
            f'{table.where}: the looks decide nothing: give efficacy = "obrien_fleming" or "pocock" here, or '
            "futility in a [[look]]"
        )
    return Monitoring(analysis, arm, planned, efficacy, better, looks)


def _analysis(table: TomlTable, analyses: Sequence[TrialAnalysis]) -> TrialAnalysis:
    name = table.text("analysis")
    found = next((one for one in analyses if one.name == name), None)
    if found is None:
        known = question_or_list(name, [one.name for one in analyses])
        raise DataError(f'{table.where}: analysis = "{name}" is none of [[analysis]]; {known}')
    if found.kind not in MONITORED or found.trend:
        kind = f"{found.kind} with a trend" if found.trend else found.kind
        raise DataError(
            f'{table.where}: analysis = "{name}" is of the kind {kind}, whose information is not counted; '
            f"looks are at one of {', '.join(MONITORED)}"
        )
    return found


def _arm(table: TomlTable, analysis: TrialAnalysis, arms: Mapping[str, int]) -> str:
    treated = list(arms)[1:]
    if not analysis.arm and len(treated) != 1:
        named = " or ".join(f'"{arm}"' for arm in treated)
        raise DataError(
            f'{table.where}: analysis = "{analysis.name}" must compare one arm with the control: '
            f"give it arm = {named}"
            if treated
            else f"{table.where}: there is no arm beside the control to compare"
        )
    return analysis.arm or treated[0]


def _better(table: TomlTable, analysis: TrialAnalysis) -> int:
    of_events = KINDS[analysis.kind].of_events
    if "better" not in table.values and not of_events:
        raise DataError(f'{table.where}: better = "up" or "down" is needed: which change is good')
    word = table.text("better", "down")
    if word not in ("up", "down"):
        raise DataError(f'{table.where}: better = "{word}"; it is "up" or "down"')
    return 1 if word == "up" else -1


def _planned(table: TomlTable, analysis: TrialAnalysis, patients: int) -> int:
    of_events = KINDS[analysis.kind].of_events
    if "planned" not in table.values and (of_events or analysis.within):
        what = "events" if of_events else f"patients of {analysis.within}"
        raise DataError(f"{table.where}: planned = ... is needed: how many {what} are expected at the end")
    return table.integer("planned", patients, low=2, high=MOST_PLANNED)


def _look(item: TomlTable, analysis: TrialAnalysis, planned: int, better: int) -> TrialLook:
    item.keys_within(("name", *WHEN, "futility"))
    given = [key for key in WHEN if key in item.values]
    if len(given) != 1:
        raise DataError(
            f"{item.where}: say when by one of after = 0.5 (a share of what is planned), events = ... or "
            "days = ..."
        )
    share = days = math.nan
    if given == ["after"]:
        share = item.number("after", 0.0)
        if not 0.0 < share < 1.0:
            raise DataError(f"{item.where}: after = {share:g} must be a share of what is planned, below 1")
    elif given == ["events"]:
        if not KINDS[analysis.kind].of_events:
            raise DataError(
                f'{item.where}: events = ... is for an analysis of events, and "{analysis.name}" is of the '
                f"kind {analysis.kind}: say after = ... or days = ..."
            )
        if (events := item.integer("events", 1, low=1, high=MOST_PLANNED)) >= planned:
            raise DataError(f"{item.where}: events = {events} must be fewer than planned = {planned}")
        share = events / planned
    else:
        days = item.number("days", 0.0, low=1e-6)
    return TrialLook(item.text("name"), item.where, share, days, _futility(item, analysis, better))


def _futility(item: TomlTable, analysis: TrialAnalysis, better: int) -> FutilityRule | None:
    if "futility" not in item.values:
        return None
    text = item.text("futility")
    said = re.fullmatch(rf"\s*({RATIO}|{CONDITIONAL})\s*([<>])\s*(\d+\.?\d*|\.\d+)\s*", text)
    worse = ">" if better < 0 else "<"
    if not said:
        raise DataError(
            f'{item.where}: futility = "{text}" must be such as "{RATIO} {worse} 0.95" or '
            f'"{CONDITIONAL} < 0.1"'
        )
    rule = FutilityRule(said[1], said[2], float(said[3]))
    if rule.of == RATIO and not KINDS[analysis.kind].of_events:
        raise DataError(f'{item.where}: futility = "{text}": "{analysis.name}" has no hazard ratio')
    if rule.of == RATIO and rule.sign != worse:
        raise DataError(f'{item.where}: futility = "{text}" would stop what goes well: write {worse}')
    if rule.of == CONDITIONAL and not (rule.sign == "<" and 0.0 < rule.limit < 1.0):
        raise DataError(f'{item.where}: futility = "{text}" must be "{CONDITIONAL} < " a number below 1')
    return rule
