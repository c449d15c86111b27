"""What was read off the courses of a model's outputs -> endpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core.errors import InputError, ScheduleError
from pkpd.decision.endpoints.asked import Answers, Asked, Question, Read, divided
from pkpd.decision.endpoints.endpoint import (
    ONE_DAY,
    ONE_INJECTION,
    TEN_PERCENT,
    TENTH,
    TENTH_OF_BASELINE,
    Endpoint,
)
from pkpd.decision.endpoints.regimen import Regimen, by_size, doses
from pkpd.dosing import Schedule

Floats = NDArray[np.float64]
Values = dict[Endpoint, Floats]

ROLES = {
    "exposure": "il2",
    "treg_pct": "treg_pct",
    "treg_count": "treg_count",
    "nk": "nk",
    "cd56bright": "cd56bright",
    "ccl2": "ccl2",
}
"""What an output is to the endpoints -> its name, unless stated otherwise."""

BACK = 0.10
"""Of baseline: how near to it a cell count is "back"."""
RISE = 0.001
"""Of baseline: a smaller rise or fall is none, but what a solver's tolerance leaves of a course at rest."""
AS_HIGH = 5e-3
"""Of the highest value: of peaks that differ by less, as those of one cycle after another do, the first is
the peak."""
MOST_INTERVALS = 200
"""Between doses, of which each has a peak of its own; more are looked at several at a time."""

_NO_DOSE = "no value without doses"
_NO_BASELINE = "no value where the baseline is 0"
_CCL2 = (
    "a sketch: only p values of CCL2 are published, its parameters are assumed and identified by no data; "
    "the direction is that of IMODALS and MIROCALS, the size means nothing"
)


def questions(
    rest: ArrayLike,
    names: Sequence[str],
    units: Sequence[str],
    schedule: Schedule,
    time_unit: str,
    until: float,
    *,
    roles: Mapping[str, str] | None = None,
    above: float = 50.0,
) -> list[Question]:
    """What has to be read off the courses from their beginning to ``until`` for the endpoints of these
    subjects: fields of ``pkpd.solver.Reading``, in the order in which ``evaluate`` takes the answers.
        Arguments: see there."""
    base = _rests(rest, names, units)
    asked = Asked(len(base))
    _of_courses(
        asked,
        base,
        names,
        units,
        _regimen(schedule, time_unit, until),
        time_unit,
        until,
        roles or {},
        above,
        None,
    )
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
    *,
    roles: Mapping[str, str] | None = None,
    above: float = 50.0,
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
    roles : role -> name of an output, for models that name them otherwise: ``{"exposure": "C"}``; roles are
        those of ``ROLES``, and those whose output the model does not have give no endpoints.
    above : x of "days above +x %", in percent of a subject's own baseline.
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
    InputError : shapes that do not fit, doses beyond the horizon, an unknown role or output, a body size that
        is missing.
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
    found = _of_courses(answers, base, names, units, regimen, time_unit, until, roles or {}, above, count)
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
    roles: Mapping[str, str],
    above: float,
    count: Floats | None,
) -> Values:
    """All that depends on the courses; count : (n_subjects,), doses given."""
    if not (np.isfinite(above) and above > 0):
        raise InputError(f"above must be a rise in percent, larger than 0, not {above!r}")
    columns = _columns(names, roles)
    rests = {role: base[:, i] for role, i in columns.items()}
    labels = {role: (names[i], units[i]) for role, i in columns.items()}
    found: Values = {}
    if "exposure" in columns:
        doses_given = np.full(len(base), np.nan) if count is None else count
        found |= _exposure(
            read, rests["exposure"], *labels["exposure"], regimen, time_unit, until, doses_given
        )
    found |= _tregs(read, rests, labels, regimen, until, above)
    found |= _selectivity(read, rests, labels, regimen, until)
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


def _columns(names: Sequence[str], roles: Mapping[str, str]) -> dict[str, int]:
    for role, name in roles.items():
        if role not in ROLES:
            raise InputError(f'there is no role "{role}"; roles are {", ".join(ROLES)}')
        if name not in names:
            raise InputError(
                f'{role} cannot be "{name}", which is no output of the model; it has {", ".join(names)}'
            )
    return {role: list(names).index(name) for role, name in (ROLES | dict(roles)).items() if name in names}


def _exposure(
    read: Read,
    rest: Floats,
    name: str,
    unit: str,
    regimen: Regimen,
    time_unit: str,
    until: float,
    count: Floats,
) -> Values:
    none = np.full(len(rest), np.nan)
    dosed = regimen.times.size > 0
    cmax, top = read("max", name)
    area, _ = read("area_above", name, level=rest)
    since, first_area, half_life, trough = none, none, none, none
    if dosed:
        place = np.searchsorted(regimen.times, top, side="right") - 1
        dose_before = regimen.times[np.clip(place, 0, regimen.times.size - 1)]
        since = np.where(cmax > (1.0 + RISE) * rest, top - dose_before, np.nan)
        instants = np.unique(regimen.times)
        first_end = float(instants[1]) if instants.size > 1 else until
        if regimen.first < first_end:
            first_area, _ = read("area_above", name, regimen.first, first_end, rest)
        if regimen.last < until:
            half_life, _ = read("halving", name, regimen.last, level=rest)
        if instants.size > 1:
            trough, _ = read("end", name, stop=regimen.last)
    rule = f"the area under {name} above its baseline"
    area_unit = f"{unit}*{time_unit}"
    return {
        Endpoint("Cmax", unit, f"The highest {name}, baseline included.", 0, "exposure"): cmax,
        Endpoint(
            "Tmax",
            time_unit,
            f"The time of the highest {name}, from the dose before it.",
            0,
            "exposure",
            missing=f"{_NO_DOSE}, or where {name} does not rise above its baseline by 0.1 percent",
        ): since,
        Endpoint(
            "AUC", area_unit, f"{rule} from the beginning to the horizon.".capitalize(), 0, "exposure"
        ): area,
        Endpoint(
            "AUC per dose",
            area_unit,
            f"{rule} to the horizon, divided by the number of doses given.".capitalize(),
            0,
            "exposure",
            missing=_NO_DOSE,
        ): area / count if dosed else none,
        Endpoint(
            "AUC first interval",
            area_unit,
            f"{rule} from the first dose to the second (of one dose: to the horizon).".capitalize(),
            0,
            "exposure",
            missing=_NO_DOSE,
        ): first_area,
        Endpoint(
            "half-life",
            time_unit,
            f"The terminal half-life: the mean time in which {name} above its baseline falls to a "
            "half, from when it is first at a half, a fourth, an eighth and so on of "
            "its highest value after the last dose: of the last five such halvings before the "
            "horizon, without the fall to the first half; none below 1/1024 of the highest or ten "
            "times the baseline.",
            0,
            "exposure",
            missing=f"{_NO_DOSE}, or where it does not fall to a fourth of its highest value before "
            "the horizon",
            remark="where the fall bends even on a logarithmic scale, as under uptake by receptors, "
            "halvings at other heights take another time",
        ): half_life,
        Endpoint(
            "trough",
            unit,
            f"{name} just before the last dose, baseline included.",
            0,
            "exposure",
            missing="no value with fewer than two doses",
        ): trough,
    }


def _tregs(
    read: Read,
    rests: Mapping[str, Floats],
    labels: Mapping[str, tuple[str, str]],
    regimen: Regimen,
    until: float,
    above: float,
) -> Values:
    found: Values = {}
    shares = [role for role in ("treg_pct", "treg_count") if role in rests]
    for role in shares[:1]:
        found |= _course(read, rests[role], *labels[role], regimen, until, above)
    for role in shares[1:]:  # what the share does not say: how many there are
        (name, unit), rest = labels[role], rests[role]
        peak, average = _peak(read, name, regimen), _mean(read, name, regimen, until)
        group = "regulatory T cells"
        found |= {
            Endpoint(
                "Treg count peak",
                unit,
                f"The highest {name} from the first dose to the horizon.",
                1,
                group,
                relevant=TENTH,
            ): peak,
            Endpoint(
                "Treg count peak fold",
                "1",
                f"The highest {name} from the first dose to the horizon, over the subject's baseline.",
                1,
                group,
                missing=_NO_BASELINE,
                relevant=TENTH_OF_BASELINE,
            ): divided(peak, rest),
            Endpoint(
                "Treg count mean fold",
                "1",
                f"The mean of {name} over the treatment ({_TREATMENT}), over the subject's baseline.",
                1,
                group,
                missing=_NO_BASELINE,
                relevant=TENTH_OF_BASELINE,
            ): divided(average, rest),
        }
    return found


_TREATMENT = (
    "from the first dose to one usual interval after the last one, or with several cycles to one "
    "cycle length after the start of the last; "
    "without doses the whole horizon"
)


def _peak(read: Read, name: str, regimen: Regimen) -> Floats:
    """The highest value from the first dose on."""
    return read("max", name, regimen.first if regimen.times.size else -math.inf)[0]


def _mean(read: Read, name: str, regimen: Regimen, until: float) -> Floats:
    """The mean over the treatment, as far as the horizon reaches."""
    start, stop = (regimen.first, min(regimen.end, until)) if regimen.times.size else (0.0, until)
    if start < stop:
        return read("area", name, start, stop)[0] / (stop - start)
    return read("max", name, start)[0]


def _intervals(regimen: Regimen, until: float) -> list[tuple[float, float]]:
    """Cycles, or with one cycle the intervals between doses; the last ends at the horizon."""
    if not regimen.times.size:
        return [(-math.inf, math.inf)]
    begins = regimen.cycles if regimen.cycles.size > 1 else np.unique(regimen.times)
    begins = begins[:: -(-begins.size // MOST_INTERVALS)]
    ends = [*begins[1:].tolist(), math.inf]
    return [pair for pair in zip(begins.tolist(), ends, strict=True) if pair[0] < until]


def _course(
    read: Read, rest: Floats, name: str, unit: str, regimen: Regimen, until: float, above: float
) -> Values:
    """All that is asked of the course of Tregs."""
    none = np.full(len(rest), np.nan)
    per_day = regimen.per_day
    peaks = [read("max", name, *interval) for interval in _intervals(regimen, until)]
    heights, when = (np.column_stack(columns) for columns in zip(*peaks, strict=True))
    peak = heights.max(axis=1)
    top = np.argmax(heights >= (1.0 - AS_HIGH) * peak[:, None], axis=1)
    start = regimen.first if regimen.times.size else 0.0
    to_peak = np.where(
        peak > (1.0 + RISE) * rest, (when[np.arange(len(rest)), top] - start) / per_day, np.nan
    )
    area, _ = read("area_above", name, level=rest)
    long, _ = read("time_above", name, level=(1.0 + above / 100.0) * rest)
    average = _mean(read, name, regimen, until)
    trough, back, rebound, last_to_first = none, none, none, none
    if regimen.times.size:
        cycles = regimen.cycles
        if np.unique(regimen.times).size > 1:
            trough, _ = read("end", name, stop=float(cycles[-1] if cycles.size > 1 else regimen.last))
        if regimen.last < until:
            high, _ = read("last_above", name, regimen.last, level=(1.0 + BACK) * rest)
            low, _ = read("last_below", name, regimen.last, level=(1.0 - BACK) * rest)
            outside = np.fmax(np.fmax(high, low), regimen.last)  # nan: never
            back = np.where(np.isnan(peak), np.nan, (outside - regimen.last) / per_day)
        if regimen.last + regimen.interval < until:
            lowest, _ = read("min", name, regimen.last + regimen.interval)
            fall = divided(rest - lowest, rest)
            rebound = 100.0 * np.where(fall <= RISE, 0.0, fall)
        if cycles.size > 1 and cycles[-1] < until:
            gains = [
                read("max", name, start, stop)[0] - rest
                for start, stop in ((cycles[0], cycles[1]), (cycles[-1], min(regimen.end, until)))
            ]
            last_to_first = np.where(gains[0] > RISE * rest, divided(gains[1], gains[0]), np.nan)
    fold = "over the subject's baseline"
    at_trough = (
        f"{name} just before the first dose of the last cycle, or with one cycle just before the last dose"
    )
    few = "no value with fewer than two doses"
    group = "regulatory T cells"
    return {
        Endpoint(
            "Treg peak",
            unit,
            f"The highest {name} from the first dose to the horizon.",
            1,
            group,
            relevant=TENTH,
        ): peak,
        Endpoint(
            "Treg peak fold",
            "1",
            f"The highest {name} from the first dose to the horizon, {fold}.",
            1,
            group,
            missing=_NO_BASELINE,
            relevant=TENTH_OF_BASELINE,
        ): divided(peak, rest),
        Endpoint("Treg trough", unit, f"{at_trough}.", 1, group, missing=few, relevant=TENTH): trough,
        Endpoint(
            "Treg trough fold",
            "1",
            f"{at_trough}, {fold}.",
            1,
            group,
            missing=few,
            relevant=TENTH_OF_BASELINE,
        ): divided(trough, rest),
        Endpoint(
            "Treg mean fold",
            "1",
            f"The mean of {name} over the treatment ({_TREATMENT}), {fold}.",
            1,
            group,
            missing=_NO_BASELINE,
            relevant=TENTH_OF_BASELINE,
        ): divided(average, rest),
        Endpoint(
            "Treg AUC above baseline",
            f"{unit}*d",
            f"The area between {name} and the subject's baseline, where it is above, from the "
            "beginning to the horizon.",
            1,
            group,
            relevant=TENTH,
        ): area / per_day,
        Endpoint(
            f"Treg days above +{above:g} %",
            "d",
            f"The time to the horizon during which {name} is above {100 + above:g} percent of the "
            "subject's baseline.",
            1,
            group,
            relevant=ONE_DAY,
        ): long / per_day,
        Endpoint(
            "Treg time to peak",
            "d",
            f"The time from the first dose to the highest {name} of the first cycle (with one cycle: "
            "of the first interval between doses) whose highest is at most 0.5 percent below the "
            "highest of all.",
            0,
            group,
            missing=f"no value where {name} does not rise above its baseline by 0.1 percent",
        ): to_peak,
        Endpoint(
            "Treg days to return",
            "d",
            f"The time from the last dose after which {name} stays within {100 * BACK:g} percent of "
            "the subject's baseline, on either side, to the horizon.",
            0,
            group,
            missing=f"{_NO_DOSE}; infinite, which means not within the horizon, where {name} is "
            "still outside at the end",
        ): back,
        Endpoint(
            "Treg rebound",
            "percent",
            f"By how many percent of the subject's baseline {name} falls below it at its lowest, "
            "from one usual interval after the last dose to the horizon; 0 where it does not, by "
            "more than 0.1 percent.",
            -1,
            group,
            missing=f"{_NO_DOSE}, or where the horizon ends before",
            relevant=TEN_PERCENT,
        ): rebound,
        Endpoint(
            "Treg last to first cycle",
            "1",
            f"The rise of {name} over baseline at the peak of the last cycle, over that of the "
            "first: below 1 is tachyphylaxis. A new cycle begins after a gap between doses of more "
            "than three usual (median) ones.",
            1,
            group,
            missing=f"no value with a single cycle, or where {name} does not rise by 0.1 percent in "
            "the first",
            relevant=TENTH_OF_BASELINE,
        ): last_to_first,
    }


def _selectivity(
    read: Read,
    rests: Mapping[str, Floats],
    labels: Mapping[str, tuple[str, str]],
    regimen: Regimen,
    until: float,
) -> Values:
    found: Values = {}
    group = "selectivity"

    def mean_fold(role: str) -> Floats:
        return divided(_mean(read, labels[role][0], regimen, until), rests[role])

    tregs = "treg_count" if "treg_count" in rests else "treg_pct"
    for role, shown in (("nk", "NK"), ("cd56bright", "CD56bright NK")):
        if role not in rests:
            continue
        peak = divided(_peak(read, labels[role][0], regimen), rests[role])
        found[
            Endpoint(
                f"{shown} peak fold",
                "1",
                f"The highest number of {shown} cells from the first dose to the horizon, over the "
                "subject's baseline.",
                -1,
                group,
                missing=_NO_BASELINE,
                relevant=TENTH_OF_BASELINE,
            )
        ] = peak
        average = mean_fold(role)
        found[
            Endpoint(
                f"{shown} mean fold",
                "1",
                f"The mean number of {shown} cells over the treatment ({_TREATMENT}), over the "
                "subject's baseline.",
                -1,
                group,
                missing=_NO_BASELINE,
                relevant=TENTH_OF_BASELINE,
            )
        ] = average
        if tregs in rests:
            found[
                Endpoint(
                    f"Treg gain over {shown}",
                    "1",
                    f"The mean fold of {labels[tregs][0]} over the treatment, divided by that of "
                    f"{shown} cells: 1 is no selectivity, below 1 is the wrong way.",
                    1,
                    group,
                    missing=_NO_BASELINE,
                    relevant=TENTH,
                )
            ] = divided(mean_fold(tregs), average)
    if "ccl2" in rests:
        found[
            Endpoint(
                "CCL2 change",
                "percent",
                f"The mean of plasma CCL2 over the treatment ({_TREATMENT}), as a change from the "
                "subject's baseline.",
                -1,
                group,
                missing=_NO_BASELINE,
                remark=_CCL2,
                relevant=TEN_PERCENT,
            )
        ] = 100.0 * (mean_fold("ccl2") - 1.0)
    return found


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
    per = f"divided by the length of the treatment ({_TREATMENT}; at least 28 days) in periods of 28 days"
    mixed = "no value where doses are in units that cannot be added up"
    return {
        Endpoint(
            "injections per 28 days",
            "1",
            f"The number of doses given, infusions included, {per}.",
            -1,
            "burden",
            relevant=ONE_INJECTION,
        ): count / regimen.months,
        Endpoint(
            "injections",
            "1",
            "The number of doses given, infusions included.",
            -1,
            "burden",
            relevant=ONE_INJECTION,
        ): count,
        Endpoint(
            "dose per 28 days",
            unit,
            f"The sum of all doses given, those per body size by the subject's own, {per}.",
            -1,
            "burden",
            missing=mixed,
            relevant=TENTH,
        ): total / regimen.months,
        Endpoint(
            "total dose",
            unit,
            "The sum of all doses given, those per body size by the subject's own.",
            -1,
            "burden",
            missing=mixed,
            relevant=TENTH,
        ): total,
    }
