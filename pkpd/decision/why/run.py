"""From a model or a fit to the explanation of a curve.

The terms of a rate become outputs of a derived model, and the integrator reads the area under each of them
from one time to the next: the totals are as exact as the curve itself, and the steps are those of the curve.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import library
from pkpd.core.arguments import ABSENT, CALLABLE, COUNT, MAPPING, NUMBER, PATH, TEXT, WHOLE, of, takes
from pkpd.core.errors import InputError
from pkpd.core.names import question_or_list
from pkpd.core.progress import Progress
from pkpd.decision.comparison.scene import Scene, horizon
from pkpd.decision.criteria import criteria_of
from pkpd.decision.endpoints import Regimen, grid
from pkpd.decision.evidence import Standing
from pkpd.decision.why.explanation import LEVELS, Account, Contribution, Explanation, Share
from pkpd.decision.why.ledger import LedgerLine, Quantity, Sheet, quantities, sheet
from pkpd.dosing import EventTable, Schedule, time_units_per_day
from pkpd.dosing.taking import GivenDoses, TakenSchedule, exact_doses
from pkpd.inference.population import Population, virtual_subjects
from pkpd.inference.spec import FitSpec
from pkpd.inference.unfitted import read_fit_or_model
from pkpd.model.check import Model
from pkpd.model.terms import Equations
from pkpd.solver import Options, Reading, Solution, solve
from pkpd.solver.kernel import Kernel, cautions_of, load
from pkpd.solver.options import SIMULATION

Floats = NDArray[np.float64]

MOST_TIMES = 500
STILL = 1e-4
"""By how much of its size a term may move without doses in a system that rests: more than the tolerance of
a year, less than anyone would call a course."""
NOTHING = 1e-9
"""Of the largest total: a term that adds less is left out."""
OPEN = 1e-3
"""Of the largest change: what the terms of a quantity without doses may miss of it by the tolerance."""


@takes(
    of=PATH,
    schedule=TEXT | of(Schedule, TakenSchedule),
    output=TEXT | ABSENT,
    subjects=WHOLE,
    seed=WHOLE,
    parameters=MAPPING | ABSENT,
    until_days=NUMBER | ABSENT,
    threads=COUNT | ABSENT,
    progress=CALLABLE | ABSENT,
)
def why(
    of: str | os.PathLike[str],
    schedule: str | GivenDoses,
    output: str | None = None,
    *,
    subjects: int = 100,
    seed: int = 1,
    parameters: Mapping[str, float | str] | None = None,
    until_days: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Why a curve looks as it does: what each term of its differential equation added to it.

    The rate of an output is the sum of the terms of its states' equations, each times the output's slope by
    that state. A term's total is its integral beyond what the term is without doses; the totals add up to the
    difference that the doses make. Where the states of the output exchange with others, there is a second
    account of their sum.

    Parameters
    ----------
    of : a model or a fit, by name or path. People of a fit differ as it has estimated, those of a model as
        its file says.
    schedule : in the schedule language; doses may be missed, late or doubled on stated days.
    output : of the model, or a state; by default the first output that states change.
    subjects : people for the intervals, besides the typical person; 1 is that person alone.
    seed : of who they are.
    parameters : values that replace those of the fit or model, by name.
    until_days : the horizon; by default to 28 days after the treatment.
    threads : how many work at a time; by default as many as this process may use cores.
    progress : called with (what, share, remark).

    Returns
    -------
    Explanation : its accounts over time, and by term what was added during the treatment and after it.

    Raises
    ------
    InputError : an unknown model, output or parameter; an output that no state changes; a schedule that does
        not fit.
    SolverError : the typical person could not be integrated.

    Examples
    --------
    >>> import pkpd
    >>> found = pkpd.why("indirect_response_1", "100 mg iv once", "R", subjects=1)
    >>> account = found.accounts[0]
    >>> added = sum(term.total[0, -1] for term in account.terms)
    >>> bool(abs(added - account.change[0, -1]) < 1e-4 * abs(account.change[0]).max())
    True
    """
    spec = _spec_of(of)
    kernel = load(spec.main.model)
    model = kernel.model
    plan = exact_doses(schedule)
    events = plan.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    if not len(events):
        raise InputError("without a dose there is nothing to explain: write a schedule with doses")
    until = _until(plan, until_days)
    name = output if output is not None else _first(kernel, model)
    found = quantities(model, name)
    made = sheet(model, found)
    typical, values, notes = _people(of, kernel, subjects, seed, dict(parameters or {}))
    criteria = criteria_of(spec, kernel)
    scene = Scene(os.fspath(of), typical, criteria=criteria, fitted=not spec.unfitted)
    clock = _Clock.of(plan, events, until, kernel.TIME_UNIT)
    work = _Work(load(made.model), made, values, events, clock, threads)
    work.run(progress)
    stand = [scene.standing(plan, quantity.name) for quantity in found]
    accounts = tuple(map(work.account, itertools.count(), found, stand))
    from pkpd import __version__

    return Explanation(
        model=kernel.NAME,
        output=name,
        schedule=plan,
        days=clock.times / clock.per_day,
        treated_days=float(clock.times[clock.end] / clock.per_day),
        accounts=accounts,
        subjects=len(values) - 1 or 1,
        rests=work.rests,
        behind=scene.behind,
        reading=_reading(len(values) - 1, work.rests),
        warnings=(*notes, *cautions_of(kernel)),
        provenance={
            "fit": os.fspath(of),
            "fitted": scene.fitted,
            "model": kernel.NAME,
            "model_hash": kernel.HASH,
            "output": name,
            "schedule": str(plan),
            "seed": seed,
            "subjects": subjects,
            "parameters": dict(parameters or {}),
            "until_days": until,
            "rtol": SIMULATION,
            "versions": {"pkpd": __version__, "numpy": np.__version__},
        },
    )


def kernel_of(of: str | os.PathLike[str]) -> Kernel:
    """Of a model or the model of a fit. Raises ``InputError`` where there is none."""
    return load(_spec_of(of).main.model)


def _spec_of(of: str | os.PathLike[str]) -> FitSpec:
    name = os.fspath(of)
    known = [*library.models(), *library.fits()]
    if isinstance(of, str) and name not in known and not any(mark in name for mark in ("/", os.sep, ".")):
        raise InputError(
            f'there is no model or fit "{name[:80]}"; {question_or_list(name, known)} (one of your own is a '
            "path such as ./my.model or ./my_fit)"
        )
    return read_fit_or_model(of)


def _until(plan: Schedule, until_days: float | None) -> float:
    if until_days is None:
        return horizon([plan])
    last = float(plan.doses()[-1].time_days)
    if not (math.isfinite(until_days) and until_days > last):
        raise InputError(
            f"the horizon of {until_days:g} days is not after the last dose, on day {last:g}: what it does "
            "would not be seen"
        )
    return until_days


def _first(kernel: Kernel, model: Model) -> str:
    equations = Equations(model)
    for output in model.outputs:
        if equations.states_of(output.expression):
            return output.name
    raise InputError(f"{kernel.NAME}: no state changes an output, so that there is nothing to explain")


def _people(
    of: Any, kernel: Kernel, subjects: int, seed: int, given: Mapping[str, Any]
) -> tuple[Population, Floats, tuple[str, ...]]:
    """The typical person, (1 + n, n_params) of it and n others (none of 1), and what is to be said of
    them."""
    kinds = dict(zip(kernel.PARAMETERS, kernel.KINDS, strict=True))
    who: dict[str, Any] = {
        "covariates": {name: value for name, value in given.items() if kinds.get(name) == "covariate"},
        "parameters": {name: value for name, value in given.items() if kinds.get(name) != "covariate"},
    }
    typical = virtual_subjects(of, 1, vary=(), **who)
    if subjects == 1:
        return typical, typical.values, typical.notes
    some = virtual_subjects(of, subjects, seed=seed, vary=("between",), **who)
    return typical, np.vstack([typical.values, some.values]), some.notes


def _reading(people: int, rests: bool) -> tuple[str, ...]:
    said = [
        "What a term added is its integral over time beyond what it is without doses; the totals of all "
        "terms add up to the difference that the doses make.",
        "How a difference divides among terms nobody has measured.",
    ]
    if people:
        said.append(
            f"Numbers are of the typical person; intervals hold 90 % of {people:,} virtual people, each "
            "number for itself."
        )
    if rests:
        said.append(
            "Where several factors of a term change, each has the mean of what its change makes over all "
            "orders in which they may change."
        )
    else:
        said.append(
            "Without doses this model does not rest: terms are compared with their own course without doses."
        )
    return tuple(said)


@dataclass(frozen=True)
class _Clock:
    """times : (n_times,), in the model's time unit; end : the place of the end of the treatment."""

    times: Floats
    per_day: float
    end: int

    @classmethod
    def of(cls, plan: Schedule, events: EventTable, until: float, unit: str) -> _Clock:
        per_day = time_units_per_day(unit)
        end = min(Regimen.of(plan, unit).end, until * per_day)
        times = grid(events, until * per_day, per_day)
        if times.size > MOST_TIMES:
            some = np.unique(np.linspace(0, times.size - 1, MOST_TIMES).astype(np.int64))
            times = times[some]
        times = np.unique(np.concatenate([times, [end]]))
        return cls(times, per_day, int(np.searchsorted(times, end)))


class _Work:
    """The derived model, solved without and with doses."""

    def __init__(
        self,
        kernel: Kernel,
        made: Sheet,
        values: Floats,
        events: EventTable,
        clock: _Clock,
        threads: int | None,
    ) -> None:
        self.kernel, self.made, self.events, self.clock = kernel, made, events, clock
        self.threads = threads
        self.values = np.hstack([values, np.zeros((len(values), len(made.rests)))])
        self.first_rest = values.shape[1]
        self.summed = [
            name
            for terms, parts in zip(made.terms, made.parts, strict=True)
            for name in (*terms, *itertools.chain(*parts))
        ]
        self.rests = False

    def run(self, progress: Progress | None) -> None:
        before = self._solved(EventTable.empty(), ())
        columns = [self._column(output) for _, output in self.made.rests]
        watched = [*columns, *(self._column(total) for total in self.made.totals)]
        still = before.outputs[:, :, watched]
        known = np.isfinite(still).all(axis=(1, 2))
        moved = np.ptp(still[known], axis=1) if known.any() else np.full((1, len(watched)), np.inf)
        size = np.abs(still[known]).max(axis=1) if known.any() else moved
        self.rests = bool((moved <= STILL * size + 1e-300).all())
        if self.rests:
            self.values[:, self.first_rest :] = before.outputs[:, 0, columns]
        asked = [
            Reading("area", name, start, stop)
            for name in self.summed
            for start, stop in itertools.pairwise(self.clock.times.tolist())
        ]
        self.without = before if self.rests else self._solved(EventTable.empty(), asked)
        self.within = self._solved(self.events, asked, progress)
        if self.within.status[0]:
            self.within.check()
        self.areas = self._totals(self.within)
        if not self.rests:
            self.areas = self.areas - self._totals(self.without)

    def _solved(
        self, events: EventTable, asked: Sequence[Reading], progress: Progress | None = None
    ) -> Solution:
        how = Options(rtol=SIMULATION, threads=self.threads)
        times = self.clock.times
        return solve(self.kernel, self.values, events, times, options=how, readings=asked, progress=progress)

    def _totals(self, solution: Solution) -> Floats:
        """(n_subjects, n_summed, n_times) since the beginning."""
        assert solution.readings is not None
        areas = solution.readings.values.reshape(len(self.values), len(self.summed), -1)
        return np.concatenate([np.zeros((*areas.shape[:2], 1)), np.cumsum(areas, axis=2)], axis=2)

    def _column(self, name: str) -> int:
        return self.kernel.OUTPUTS.index(name)

    def _course(self, solution: Solution, name: str) -> Floats:
        return np.asarray(solution.outputs[:, :, self._column(name)])

    # -- results

    def account(self, place: int, quantity: Quantity, standing: Standing) -> Account:
        total = self.made.totals[place]
        course, rest = self._course(self.within, total), self._course(self.without, total)
        change = course - rest
        terms = [
            self._term(entry, name, parts, factors)
            for entry, name, parts, factors in zip(
                quantity.entries,
                self.made.terms[place],
                self.made.parts[place],
                self.made.factors[place],
                strict=True,
            )
        ]
        summed = sum(self.areas[:, self.summed.index(name)] for name in self.made.terms[place])
        left = change - summed
        largest = float(np.nanmax(np.abs(change[0]))) or 1.0
        if quantity.dosed or float(np.abs(left[0]).max()) > OPEN * largest:
            words = "doses" if quantity.dosed else "jumps of the output"
            none = np.full(course.shape[1], np.nan)
            terms.append(self._contribution(words, "", "doses", left, none))
            left = np.zeros_like(left)
        size = max((float(np.abs(term.total[0]).max()) for term in terms), default=0.0)
        kept = [term for term in terms if float(np.nanmax(np.abs(term.total))) > NOTHING * size]
        return Account(
            name=quantity.name,
            description=quantity.description,
            unit=quantity.unit,
            course=self._band(course),
            rest=rest[0],
            change=self._band(change),
            treated=self._share(change, 0, self.clock.end),
            after=self._share(change, self.clock.end, -1),
            terms=tuple(kept),
            open=float(np.abs(left[0]).max()) / largest,
            standing=standing,
        )

    def _term(
        self, entry: LedgerLine, name: str, parts: Sequence[str], factors: Sequence[str]
    ) -> Contribution:
        pieces: list[Contribution] = []
        if self.rests and parts:
            for factor, part, output in zip(entry.factors, parts, factors, strict=True):
                course = self._course(self.within, output)[0]
                start = self._course(self.without, output)[0, 0]
                relative = course / start if start else None
                pieces.append(self._read(factor.words, factor.text, entry.kind, part, (), relative))
        return self._read(entry.words, entry.text, entry.kind, name, tuple(pieces))

    def _read(
        self,
        words: str,
        text: str,
        kind: str,
        name: str,
        parts: tuple[Contribution, ...],
        factor: Floats | None = None,
    ) -> Contribution:
        rate = self._course(self.within, name)[0]
        if not self.rests:
            rate = rate - self._course(self.without, name)[0]
        total = self.areas[:, self.summed.index(name)]
        return self._contribution(words, text, kind, total, rate, parts, factor)

    def _contribution(
        self,
        words: str,
        text: str,
        kind: str,
        total: Floats,
        rate: Floats,
        parts: tuple[Contribution, ...] = (),
        factor: Floats | None = None,
    ) -> Contribution:
        end = self.clock.end
        treated, after = self._share(total, 0, end), self._share(total, end, -1)
        return Contribution(
            words, text, kind, self._band(total), rate, treated, after, parts=parts, factor=factor
        )

    def _band(self, values: Floats) -> Floats:
        """(3, n_times): the typical person, and quantiles of the others."""
        others = values[1:][np.isfinite(values[1:]).all(axis=1)]
        if not len(others):
            return np.vstack([values[0], np.full((2, values.shape[1]), np.nan)])
        return np.vstack([values[0], np.quantile(others, LEVELS, axis=0)])

    def _share(self, total: Floats, start: int, end: int) -> Share:
        # at the beginning the first dose has not been given, whatever the output there says
        added = total[:, end] - (total[:, start] if start else 0.0)
        typical, low, high = self._band(added[:, None])[:, 0]
        return Share(float(typical), float(low), float(high))
