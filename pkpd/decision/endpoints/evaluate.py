"""What was read off the courses of a model's outputs -> endpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.endpoints.asked import Answers, Question, Questions, Read
from pkpd.decision.endpoints.declared import Declared, bind
from pkpd.decision.endpoints.endpoint import ONE_DOSE, TENTH, Endpoint
from pkpd.decision.endpoints.functionals import TREATMENT, Course
from pkpd.decision.endpoints.regimen import Regimen, by_size, doses
from pkpd.dosing import Schedule
from pkpd.dosing.words import INJECTED, TAKEN

Floats = NDArray[np.float64]
Values = dict[Endpoint, Floats]

BURDEN = "burden"
"""The group of what a schedule asks of whoever is treated, which every model has."""


def questions(
    rest: ArrayLike,
    names: Sequence[str],
    units: Sequence[str],
    schedule: Schedule,
    time_unit: str,
    until: float,
    endpoints: Sequence[Declared],
    begin: float = -math.inf,
) -> list[Question]:
    """What has to be read off the courses from their beginning to ``until`` for the endpoints of these
    subjects: fields of ``pkpd.solver.Reading``, in the order in which ``evaluate`` takes the answers.
        Arguments: see there."""
    base = _rests(rest, names, units)
    asked, unknown = Questions(len(base)), np.full(len(base), np.nan)
    regimen = _regimen(schedule, time_unit, until)
    _of_courses(asked, base, names, units, regimen, time_unit, until, endpoints, unknown, begin)
    return asked.questions


def evaluate(
    values: ArrayLike,
    times: ArrayLike,
    rest: ArrayLike,
    names: Sequence[str],
    units: Sequence[str],
    schedule: Schedule,
    time_unit: str,
    until: float,
    endpoints: Sequence[Declared],
    begin: float = -math.inf,
    *,
    sizes: Mapping[str, ArrayLike] | None = None,
    dose_unit: str | None = None,
    dose_units: Mapping[str, Mapping[str, float]] | None = None,
    given: ArrayLike | None = None,
) -> Values:
    """Endpoints of every subject, in the order in which people are shown them.

    Parameters
    ----------
    values, times : (n_subjects, n_questions), the answers to ``questions`` with the same arguments, such as
        ``Solution.readings`` has them; nan for a failed subject, whose endpoints are then nan.
    rest : (n_subjects, n_outputs) or (n_outputs,) where there is one subject, the outputs without any drug:
        each subject's baseline.
    names, units : of the outputs, (n_outputs,).
    until : the horizon in ``time_unit``, which all schedules that are compared share.
    endpoints : as they are written down; those whose output the model does not have give none.
    begin : from when on courses are judged, where doses were given before those of the schedule; windows that
        an endpoint states in days stay.
    sizes : "m2" and "kg" -> body surface area in m2, weight in kg, one number or (n_subjects,); needed where
        doses are per m2 or per kg.
    dose_unit : in which doses are added up, the same for all schedules that are compared; by default that of
        the schedule's first dose.
    dose_units : ``kernel.DOSE_UNITS``, where a schedule may hold mass and activity, which only a model
        converts.
    given : (n_subjects, n_doses), what each dose of the schedule was multiplied by, 0 where it was not given;
        by default all were given as they are written. Treatment, cycles and last dose are those of the
        schedule all the same.

    Returns
    -------
    endpoint -> (n_subjects,) float64. Where a value is nan or inf, ``Endpoint.missing`` says why;
    ``quantiles`` takes both.

    Raises
    ------
    InputError : shapes that do not fit, doses beyond the horizon, a unit that is not the output's, a body
        size that is missing.
    """
    base = _rests(rest, names, units)
    regimen = _regimen(schedule, time_unit, until)
    n_subjects = len(base)
    shares = None if given is None else np.asarray(given, dtype=np.float64)
    if shares is not None and shares.shape != (n_subjects, regimen.times.size):
        raise InputError(
            f"given has shape {shares.shape}; it must be ({n_subjects}, {regimen.times.size}): one "
            "for each subject and dose"
        )
    read, when = np.asarray(values, dtype=np.float64), np.asarray(times, dtype=np.float64)
    answers = Answers(read, when)
    count = np.full(n_subjects, float(regimen.times.size)) if shares is None else _count(shares)
    found = _of_courses(answers, base, names, units, regimen, time_unit, until, endpoints, count, begin)
    if not read.shape == when.shape == (n_subjects, answers.given):
        raise InputError(
            f"the answers have shapes {read.shape} and {when.shape}; to these questions they have "
            f"({n_subjects}, {answers.given})"
        )
    return found | _burden(schedule, regimen, dose_unit, dose_units, sizes or {}, count, shares)


def _of_courses(
    read: Read,
    base: Floats,
    names: Sequence[str],
    units: Sequence[str],
    regimen: Regimen,
    time_unit: str,
    until: float,
    endpoints: Sequence[Declared],
    count: Floats,
    begin: float,
) -> Values:
    """All that depends on the courses; count : (n_subjects,), doses given."""
    found: Values = {}
    for bound in bind(tuple(endpoints), tuple(names), tuple(units), time_unit):
        course = Course(read, bound.output, base[:, bound.column], count, regimen, until, begin)
        found[bound.endpoint] = bound.value(course, found)
    return found


_known_regimen = lru_cache(maxsize=64)(Regimen.of)  # the same for every chunk of subjects


def _regimen(schedule: Schedule, time_unit: str, until: float) -> Regimen:
    regimen = _known_regimen(schedule, time_unit)
    if regimen.times.size and not regimen.last <= until:
        raise InputError(
            f"the doses, from {regimen.first:g} to {regimen.last:g} {time_unit}, do not end before "
            f"the horizon, {until:g} {time_unit}: "
            "a horizon before the last dose says nothing of what follows it"
        )
    return regimen


def _count(given: Floats) -> Floats:
    """(n_subjects,) how many doses were given; nan where that is not known."""
    return np.where(np.isnan(given).any(axis=1), np.nan, np.count_nonzero(given > 0.0, axis=1))


def _rests(rest: ArrayLike, names: Sequence[str], units: Sequence[str]) -> Floats:
    base = np.asarray(rest, dtype=np.float64)
    base = base[None] if base.ndim == 1 else base
    if base.ndim != 2 or not len(names) == len(units) == base.shape[1]:
        raise InputError(
            f"the outputs at rest have shape {np.shape(rest)}; with {len(names)} names and "
            f"{len(units)} units they must be (n_subjects, {len(names)})"
        )
    return base


def _burden(
    schedule: Schedule,
    regimen: Regimen,
    dose_unit: str | None,
    dose_units: Mapping[str, Mapping[str, float]] | None,
    sizes: Mapping[str, ArrayLike],
    count: Floats,
    given: Floats | None,
) -> Values:
    """count : (n_subjects,) doses given; given : (n_subjects, n_doses) as in ``evaluate``."""
    n_subjects = count.size
    try:
        _, amounts, unit = doses(schedule, dose_unit, dose_units)
        total = by_size(amounts.sum(axis=0, keepdims=True), sizes, n_subjects)[:, 0]
        if given is not None:  # by what is missing: who was given all has the same to the last digit
            total = total - (by_size(amounts, sizes, n_subjects) * (1.0 - given)).sum(axis=1)
    except ScheduleError:
        total, unit = np.full(n_subjects, np.nan), dose_unit or schedule.parts[0].unit
    called = _what_doses_are_called(dose_units or {part.route: {} for part in schedule.parts})
    per = f"divided by the length of the treatment ({TREATMENT}; at least 28 days) in periods of 28 days"
    mixed = "no value where doses are in units that cannot be added up"
    return {
        Endpoint(
            f"{called} per 28 days",
            "1",
            f"The number of doses given, infusions included, {per}.",
            -1,
            BURDEN,
            relevant=ONE_DOSE[called],
        ): count / regimen.months,
        Endpoint(
            called,
            "1",
            "The number of doses given, infusions included.",
            -1,
            BURDEN,
            relevant=ONE_DOSE[called],
        ): count,
        Endpoint(
            "dose per 28 days",
            unit,
            f"The sum of all doses given, those per body size by the subject's own, {per}.",
            -1,
            BURDEN,
            missing=mixed,
            relevant=TENTH,
        ): total / regimen.months,
        Endpoint(
            "total dose",
            unit,
            "The sum of all doses given, those per body size by the subject's own.",
            -1,
            BURDEN,
            missing=mixed,
            relevant=TENTH,
        ): total,
    }


def _what_doses_are_called(routes: Iterable[str]) -> str:
    """Injections, if a drug with these routes is not taken otherwise as well; a route by any other name says
    nothing of it."""
    names = {route.lower() for route in routes}
    return "doses" if names and (names & TAKEN or not names & INJECTED) else "injections"
