"""What a trial sees at its interim looks, and when it stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.trial.boundaries import LEAST_ALPHA, boundary, conditional_power, spent
from pkpd.trial.data import TrialData
from pkpd.trial.kinds import change_of, compute
from pkpd.trial.monitoring import CONDITIONAL, END, Monitoring
from pkpd.trial.survival import log_rank_score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNDECIDED, EFFICACY, HARM, FUTILITY = range(4)
DECISIONS = ("undecided", "efficacy", "harm", "futility")
_EFFECT = {"cox": "hr", "change": "effect size", "ancova": "difference"}


class LookNumbers(NamedTuple):
    """Of one look: the calendar day, information as a share of what is planned, the statistic (positive in
    favour of the arm), its boundary, the estimate, patients who have entered and events in all arms."""

    day: float
    information: float
    statistic: float
    boundary: float
    estimate: float
    patients: float
    events: float


NO_LOOK = LookNumbers(*7 * (math.nan,))


class LookOutcome(NamedTuple):
    """What one trial saw: at each look and at the end, nan where it did not come to one; the stage at which
    it stopped and why (a place in ``DECISIONS``); and what there would have been at the end in any case."""

    stages: tuple[LookNumbers, ...]
    stopped: int
    decision: int
    end: LookNumbers


def watch(plan: Monitoring, data: TrialData, before: float, follow_up: float) -> LookOutcome:
    """Look at a trial as it goes on, until it stops.

    before, follow_up : days from the time origin to randomisation, and from there to the end. A look that
    knows no more than the one before it spends nothing; the end has all that is left.
    """
    known, spending = _Knowledge(plan, data, before), _Spending(plan)
    last, at_end = float(data.entry.max(initial=0.0)) + follow_up, len(plan.looks)
    days = {k: known.day_of(k) for k in range(at_end)}
    due = sorted((day, k) for k, day in days.items() if day < last)
    stages = [NO_LOOK] * (at_end + 1)
    for day, k in [*due, (last, at_end)]:
        seen = known.look(day)
        stages[k] = seen = seen._replace(boundary=spending.boundary(seen, k == at_end))
        decision = _decision(plan, seen, k, spending)
        if decision:
            break
    end = stages[at_end] if k == at_end else known.look(last)
    return LookOutcome(tuple(stages), k, decision, end)


class _Spending:
    """The alpha that a trial has spent at its looks so far."""

    def __init__(self, plan: Monitoring) -> None:
        self.plan = plan
        self.information: tuple[float, ...] = ()
        self.alphas: tuple[float, ...] = ()

    def boundary(self, seen: LookNumbers, at_end: bool) -> float:
        """Of a look, which spends what it may; inf where there is nothing new or no statistic. The end
        spends what is left even so: it is then the last look once more, with all of that."""
        amount = seen.information * self.plan.planned
        nothing_new = amount <= max(self.information, default=0.0)
        if math.isnan(seen.statistic) or (nothing_new and not (at_end and self.information)):
            return math.inf
        share = 1.0 if at_end else min(seen.information, 1.0)
        alpha = spent(self.plan.efficacy, self.plan.analysis.alpha, share)
        if nothing_new:
            if alpha - self.alphas[-1] < LEAST_ALPHA:
                return math.inf
            return boundary(self.information, (*self.alphas[:-1], alpha))
        self.information, self.alphas = (*self.information, amount), (*self.alphas, alpha)
        return boundary(self.information, self.alphas)

    def at_end(self) -> float:
        """The boundary at the end, if there is no other look and what is planned is seen then."""
        information = (*self.information, float(self.plan.planned))
        return boundary(information, (*self.alphas, self.plan.analysis.alpha))


def _decision(plan: Monitoring, seen: LookNumbers, look: int, spending: _Spending) -> int:
    if abs(seen.statistic) >= seen.boundary:
        return EFFICACY if seen.statistic > 0.0 else HARM
    rule = plan.looks[look].futility if look < len(plan.looks) else None
    if rule is None:
        return UNDECIDED
    if rule.of != CONDITIONAL:
        return FUTILITY if rule.holds(seen.estimate) else UNDECIDED
    if not 0.0 < seen.information < 1.0 or math.isnan(seen.statistic):
        return UNDECIDED
    value = conditional_power(seen.statistic, seen.information, spending.at_end())
    return FUTILITY if rule.holds(value) else UNDECIDED


def statistic_of(plan: Monitoring, data: TrialData) -> tuple[float, float]:
    """The statistic of the analysis that decides, standard normal without an effect and positive in favour of
    the arm, and its estimate (a hazard ratio for events); nan without one.

    Of the log-rank test it is the score over the root of its variance, with the one-step estimate of the
    hazard ratio (Peto); of others what a normal variable with this p value would be.
    """
    from scipy.special import ndtri

    analysis = plan.analysis
    if analysis.within:
        data = data.of(data.strata[analysis.within])
    if analysis.kind == "logrank":
        k = data.arms.index(plan.arm)
        who = (data.arm == 0) | (data.arm == k)
        score, variance = log_rank_score(data.time[who], data.event[who], data.arm[who] == k)
        if not variance > 0.0:
            return math.nan, math.nan
        return plan.better * score / math.sqrt(variance), math.exp(score / variance)
    numbers = compute(analysis, data)
    estimate, p = numbers[_EFFECT[analysis.kind], plan.arm], numbers["p", plan.arm]
    none = 1.0 if analysis.kind == "cox" or (analysis.log and analysis.kind == "ancova") else 0.0
    return plan.better * math.copysign(-float(ndtri(p / 2.0)), estimate - none), estimate


class _Knowledge:
    """What is known of a trial on a calendar day."""

    def __init__(self, plan: Monitoring, data: TrialData, before: float) -> None:
        self.plan, self.data, self.before = plan, data, before
        analysis = plan.analysis
        who = (data.arm == 0) | (data.arm == data.arms.index(plan.arm))
        if analysis.within:
            who &= data.strata[analysis.within]
        if plan.unit == "events":
            days = (data.entry + (data.time - before))[who & data.event]
        else:
            who &= np.isfinite(change_of(analysis, data))
            days = data.entry[who] + max(analysis.visit, analysis.baseline)
        self.days = np.sort(days)
        """On which the information grows by one."""

    def day_of(self, look: int) -> float:
        """The calendar day of a look; inf if the trial never comes to it."""
        declared = self.plan.looks[look]
        if not math.isnan(declared.days):
            return declared.days
        needed = math.ceil(declared.share * self.plan.planned - 1e-9)
        return float(self.days[needed - 1]) if needed <= self.days.size else math.inf

    def look(self, day: float) -> LookNumbers:
        """What is seen on a day, without a boundary."""
        seen = self.data.known_on(day, self.before)
        statistic, estimate = statistic_of(self.plan, seen)
        return LookNumbers(
            day=day,
            information=float(np.searchsorted(self.days, day, side="right")) / self.plan.planned,
            statistic=statistic,
            boundary=math.nan,
            estimate=estimate,
            patients=float(seen.arm.size),
            events=float(seen.event.sum()),
        )


# --- of many trials


@dataclass(frozen=True)
class TrialLooks:
    """Interim looks of simulated trials, and when they stopped.

    A trial has n_looks + 1 stages, the last of which is the end; what it did not come to is nan.

    Attributes
    ----------
    names : (n_stages,)
    unit, planned : of information, "events" or "patients", and how much is planned.
    alpha : two-sided, of the analysis that decides.
    day : (n_trials, n_stages), of calendar time since recruitment began.
    information : (n_trials, n_stages), as a share of what is planned.
    statistic, boundary : (n_trials, n_stages), positive in favour of the arm, and from which size on the
        trial stops; inf where nothing could be spent.
    estimate : (n_trials, n_stages), hazard ratio or difference.
    patients, events : (n_trials, n_stages), in all arms by then.
    stopped : (n_trials,), stage; the last one for trials that went to the end.
    decision : (n_trials,), 0 undecided (at the end), 1 efficacy, 2 harm, 3 futility.
    end : (n_trials, 7), of trials that never stop: day, information, statistic, nan, estimate, patients,
        events.
    """

    names: tuple[str, ...]
    unit: str
    planned: int
    alpha: float
    day: Floats
    information: Floats
    statistic: Floats
    boundary: Floats
    estimate: Floats
    patients: Floats
    events: Floats
    stopped: Integers
    decision: Integers
    end: Floats

    @classmethod
    def of(cls, plan: Monitoring, outcomes: list[LookOutcome]) -> TrialLooks:
        """Of the trials of a design."""
        stages = np.array([outcome.stages for outcome in outcomes], dtype=np.float64)
        return cls(
            (*(look.name for look in plan.looks), END),
            plan.unit,
            plan.planned,
            plan.analysis.alpha,
            **{name: stages[:, :, k] for k, name in enumerate(LookNumbers._fields)},
            stopped=np.array([outcome.stopped for outcome in outcomes]),
            decision=np.array([outcome.decision for outcome in outcomes]),
            end=np.array([outcome.end for outcome in outcomes], dtype=np.float64),
        )

    def rows(self) -> list[dict[str, Any]]:
        """A line for each look and for the end: the share of trials that come to it and that stop there, by
        reason; day, information, boundary and patients as medians of those that come to it, the day with its
        90 % interval."""
        found = []
        for k, name in enumerate(self.names):
            here = np.isfinite(self.day[:, k])
            low, middle, high = _quantiles(self.day[here, k])
            stopped = {
                word: float(np.mean((self.stopped == k) & (self.decision == code)))
                for code, word in enumerate(DECISIONS)
            }
            found.append(
                {
                    "look": name,
                    "reached": float(np.mean(here)),
                    "day": middle,
                    "day_low": low,
                    "day_high": high,
                    "information": _median(self.information[here, k]),
                    "boundary": _median(self.boundary[here, k]),
                    "patients": _median(self.patients[here, k]),
                    "events": _median(self.events[here, k]),
                    **stopped,
                }
            )
        return found

    def summary(self) -> dict[str, float]:
        """Shares of trials that end in favour ("power"), against the arm ("harm") and for futility, with the
        standard error of the power by the number of trials; the patients, events and days that are expected;
        and the same of a trial of one analysis at the end ("fixed power", "fixed patients", "fixed events",
        "fixed days")."""
        from scipy.special import ndtri

        trials = np.arange(self.stopped.size)
        power, harm, futility = (float(np.mean(self.decision == code)) for code in (1, 2, 3))
        reach = -float(ndtri(self.alpha / 2.0))
        mean = {
            name: float(np.mean(values[trials, self.stopped]))
            for name, values in (("patients", self.patients), ("events", self.events), ("days", self.day))
        }
        return {
            "power": power,
            "power_se": math.sqrt(power * (1.0 - power) / trials.size),
            "harm": harm,
            "futility": futility,
            **mean,
            "fixed power": float(np.mean(self.end[:, 2] >= reach)),
            "fixed patients": float(np.mean(self.end[:, 5])),
            "fixed events": float(np.mean(self.end[:, 6])),
            "fixed days": float(np.mean(self.end[:, 0])),
        }


def _quantiles(values: Floats) -> tuple[float, float, float]:
    if not values.size:
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)


def _median(values: Floats) -> float:
    """Of boundaries too, which may be infinite: quantiles draw a line between them."""
    return float(np.median(values)) if values.size else math.nan
