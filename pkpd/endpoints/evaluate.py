"""Outputs of a model -> endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.dosing import Schedule
from pkpd.endpoints import curve
from pkpd.endpoints.endpoint import (
    ONE_DAY,
    ONE_INJECTION,
    TEN_PERCENT,
    TENTH,
    TENTH_OF_BASELINE,
    Endpoint,
)
from pkpd.endpoints.regimen import Regimen, by_size, doses
from pkpd.errors import InputError, ScheduleError

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
"""Of the highest value: of peaks that differ by less, as those of one cycle after another do, the first is the peak. Output times meet a peak that well."""
CHUNK = 128
"""Subjects at a time: what is computed in between stays in the cache."""

_NO_DOSE = "no value without doses"
_NO_BASELINE = "no value where the baseline is 0"
_CCL2 = (
    "a sketch: only p values of CCL2 are published, its parameters are assumed and identified by no data; "
    "the direction is that of IMODALS and MIROCALS, the size means nothing"
)


def evaluate(
    times: ArrayLike,
    outputs: ArrayLike,
    rest: ArrayLike,
    names: Sequence[str],
    units: Sequence[str],
    schedule: Schedule,
    time_unit: str,
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
    times : (n_times,), ascending, in ``time_unit``, such as ``grid`` makes; the last is the horizon, which all schedules that are compared share.
    outputs : (n_subjects, n_times, n_outputs), nan for a failed subject, whose endpoints are then nan; an output at a dose's own instant is after the dose.
    rest : (n_subjects, n_outputs) or (n_outputs,), the outputs without any drug: each subject's baseline.
    names, units : of the outputs, (n_outputs,).
    roles : role -> name of an output, for models that name them otherwise: ``{"exposure": "C"}``; roles are those of ``ROLES``, and those whose
        output the model does not have give no endpoints.
    above : x of "days above +x %", in percent of a subject's own baseline.
    sizes : "m2" and "kg" -> body surface area in m2, weight in kg, one number or (n_subjects,); needed where doses are per m2 or per kg.
    dose_unit : in which doses are added up, the same for all schedules that are compared; by default that of the schedule's first dose.
    dose_units : ``kernel.DOSE_UNITS``, where a schedule may hold mass and activity, which only a model converts.
    given : (n_subjects, n_doses), what each dose of the schedule was multiplied by, 0 where it was not given; by default all were given as they are
        written. Treatment, cycles and last dose are those of the schedule all the same.

    Returns
    -------
    endpoint -> (n_subjects,) float64. Where a value is nan or inf, ``Endpoint.missing`` says why; ``quantiles`` takes both.

    Raises
    ------
    InputError : shapes that do not fit, times that do not ascend, an unknown role or output, a body size that is missing.
    """
    t, y, base = _checked(times, outputs, rest, names, units)
    if not (np.isfinite(above) and above > 0):
        raise InputError(f"above must be a rise in percent, larger than 0, not {above!r}")
    columns = _columns(names, roles or {})
    regimen = Regimen.of(schedule, time_unit)
    if regimen.times.size and not t[0] <= regimen.first <= regimen.last <= t[-1]:
        raise InputError(
            f"the doses, from {regimen.first:g} to {regimen.last:g} {time_unit}, are not within the times, {t[0]:g} to {t[-1]:g} {time_unit}: "
            "a horizon before the last dose says nothing of what follows it"
        )
    shares = None if given is None else np.asarray(given, dtype=np.float64)
    if shares is not None and shares.shape != (len(y), regimen.times.size):
        raise InputError(
            f"given has shape {shares.shape}; it must be ({len(y)}, {regimen.times.size}): one for each subject and dose"
        )
    count = np.full(len(y), float(regimen.times.size)) if shares is None else _count(shares)
    chunks: list[Values] = []
    for first in range(0, len(y), CHUNK):
        part = slice(first, first + CHUNK)
        curves = {role: np.ascontiguousarray(y[part, :, i]) for role, i in columns.items()}
        rests = {role: base[part, i] for role, i in columns.items()}
        labels = {role: (names[i], units[i]) for role, i in columns.items()}
        chunk: Values = {}
        if "exposure" in columns:
            name, unit = labels["exposure"]
            chunk |= _exposure(
                t, curves["exposure"], rests["exposure"], name, unit, regimen, time_unit, count[part]
            )
        chunk |= _tregs(t, curves, rests, labels, regimen, above)
        chunk |= _selectivity(t, curves, rests, labels, regimen)
        chunks.append(chunk)
    found = {endpoint: np.concatenate([chunk[endpoint] for chunk in chunks]) for endpoint in chunks[0]}
    return found | _burden(schedule, regimen, dose_unit, dose_units, sizes or {}, count, shares)


def _count(given: Floats) -> Floats:
    """(n_subjects,) how many doses were given; nan where that is not known."""
    return np.where(np.isnan(given).any(axis=1), np.nan, np.count_nonzero(given > 0.0, axis=1))


def _checked(
    times: ArrayLike, outputs: ArrayLike, rest: ArrayLike, names: Sequence[str], units: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    t, y = np.asarray(times, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    if y.ndim != 3 or t.shape != y.shape[1:2] or not y.shape[0] or not len(names) == len(units) == y.shape[2]:
        raise InputError(
            f"outputs have shape {y.shape}; with {t.size} times, {len(names)} names and {len(units)} units they must be "
            f"(n_subjects, {t.size}, {len(names)})"
        )
    if t.size < 2 or not (np.all(np.isfinite(t)) and np.all(t[1:] > t[:-1])):
        raise InputError("the times of endpoints must be finite and ascend, at least two")
    base = np.asarray(rest, dtype=np.float64)
    if base.shape not in ((y.shape[2],), (y.shape[0], y.shape[2])):
        raise InputError(
            f"the outputs at rest have shape {base.shape}; they must be ({y.shape[0]}, {y.shape[2]})"
        )
    return t, y, np.broadcast_to(base, (y.shape[0], y.shape[2]))


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
    times: Floats,
    y: Floats,
    rest: Floats,
    name: str,
    unit: str,
    regimen: Regimen,
    time_unit: str,
    count: Floats,
) -> Values:
    none = np.full(len(y), np.nan)
    dosed = regimen.times.size > 0
    over = np.maximum(y - rest[:, None], 0.0)
    rows = np.arange(len(y))
    top = np.argmax(y, axis=1)
    cmax = y[rows, top]
    area = curve.exposure(times, over)
    since, first_area, half_life, trough = none, none, none, none
    if dosed:
        dose_before = regimen.times[np.maximum(np.searchsorted(regimen.times, times, side="right") - 1, 0)]
        since = np.where(cmax > (1.0 + RISE) * rest, (times - dose_before)[top], np.nan)
        instants = np.unique(regimen.times)
        i = int(np.searchsorted(times, regimen.first))
        j = curve.before(times, instants[1]) + 1 if instants.size > 1 else times.size
        first_area = curve.exposure(times[i:j], over[:, i:j])
        k = int(np.searchsorted(times, regimen.last))
        tail = over[:, k:]
        if tail.shape[1]:
            floor = np.maximum(tail.max(axis=1) / 1000.0, 10.0 * rest)
            half_life = curve.half_life(times[k:], tail, floor)
        before = curve.before(times, regimen.last)
        if instants.size > 1 and before >= 0:
            trough = y[:, before].copy()
    rule = f"the area under {name} above its baseline, by the linear-up log-down trapezoid,"
    area_unit = f"{unit}*{time_unit}"
    return {
        Endpoint("Cmax", unit, f"The highest {name} at any output time, baseline included.", 0, "exposure"): cmax,
        Endpoint(
            "Tmax", time_unit, f"The time of the highest {name}, from the dose before it.", 0, "exposure",
            missing=f"{_NO_DOSE}, or where {name} does not rise above its baseline by 0.1 percent",
        ): since,
        Endpoint("AUC", area_unit, f"{rule} from the first output time to the horizon.".capitalize(), 0, "exposure"): area,
        Endpoint(
            "AUC per dose", area_unit, f"{rule} to the horizon, divided by the number of doses given.".capitalize(), 0, "exposure",
            missing=_NO_DOSE,
        ): area / count if dosed else none,
        Endpoint(
            "AUC first interval", area_unit, f"{rule} from the first dose to just before the second (of one dose: to the horizon).".capitalize(),
            0, "exposure", missing=_NO_DOSE,
        ): first_area,
        Endpoint(
            "half-life", time_unit,
            f"The terminal half-life: log-linear regression of {name} above its baseline over the last points after the last dose: the last thirtyfold of its "
            "fall, at least three points, none above half of the highest after that dose, none below a thousandth of it or ten times the baseline.",
            0, "exposure", missing=f"{_NO_DOSE}, or where fewer than three points are that high or they do not fall",
            remark="where the fall bends even on a logarithmic scale, as under uptake by receptors, it depends on when samples are taken",
        ): half_life,
        Endpoint(
            "trough", unit, f"{name} at the last output time before the last dose, baseline included.", 0, "exposure",
            missing="no value with fewer than two doses",
        ): trough,
    }  # fmt: skip


def _tregs(
    times: Floats,
    curves: Mapping[str, Floats],
    rests: Mapping[str, Floats],
    labels: Mapping[str, tuple[str, str]],
    regimen: Regimen,
    above: float,
) -> Values:
    found: Values = {}
    shares = [role for role in ("treg_pct", "treg_count") if role in curves]
    for role in shares[:1]:
        found |= _course(times, curves[role], rests[role], *labels[role], regimen, above)
    for role in shares[1:]:  # what the share does not say: how many there are
        (name, unit), rest = labels[role], rests[role]
        _, y = _from_first_dose(times, curves[role], regimen)
        peak, average = y.max(axis=1), curve.mean(times, curves[role], *_treatment(times, regimen))
        group = "regulatory T cells"
        found |= {
            Endpoint("Treg count peak", unit, f"The highest {name} from the first dose to the horizon.", 1, group, relevant=TENTH): peak,
            Endpoint("Treg count peak fold", "1", f"The highest {name} from the first dose to the horizon, over the subject's baseline.", 1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE): curve.divided(peak, rest),
            Endpoint("Treg count mean fold", "1", f"The mean of {name} over the treatment ({_TREATMENT}), over the subject's baseline.", 1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE): curve.divided(average, rest),
        }  # fmt: skip
    return found


_TREATMENT = (
    "from the first dose to one usual interval after the last one, or with several cycles to one cycle length after the start of the last; "
    "without doses the whole horizon"
)


def _from_first_dose(times: Floats, y: Floats, regimen: Regimen) -> tuple[Floats, Floats]:
    i = int(np.searchsorted(times, regimen.first)) if regimen.times.size else 0
    return times[i:], y[:, i:]


def _treatment(times: Floats, regimen: Regimen) -> tuple[float, float]:
    return (regimen.first, regimen.end) if regimen.times.size else (times[0], times[-1])


def _course(
    times: Floats, y: Floats, rest: Floats, name: str, unit: str, regimen: Regimen, above: float
) -> Values:
    """All that is asked of the course of Tregs."""
    none = np.full(len(y), np.nan)
    per_day = regimen.per_day
    since, during = _from_first_dose(times, y, regimen)
    peak = during.max(axis=1)
    top = np.argmax(during >= (1.0 - AS_HIGH) * peak[:, None], axis=1)
    to_peak = np.where(peak > (1.0 + RISE) * rest, (since[top] - since[0]) / per_day, np.nan)
    _, area = curve.above(times, y - rest[:, None])
    long, _ = curve.above(times, y - (1.0 + above / 100.0) * rest[:, None])
    average = curve.mean(times, y, *_treatment(times, regimen))
    trough, back, rebound, last_to_first = none, none, none, none
    if regimen.times.size:
        cycles = regimen.cycles
        before = curve.before(times, cycles[-1] if cycles.size > 1 else regimen.last)
        if np.unique(regimen.times).size > 1 and before >= 0:
            trough = y[:, before].copy()
        after, washout = curve.window(times, y, regimen.last, times[-1])
        if after.size > 1:
            distance = np.abs(washout - rest[:, None]) - BACK * rest[:, None]
            back = (curve.last_time_outside(after, distance) - regimen.last) / per_day
        after, washout = curve.window(times, y, regimen.last + regimen.interval, times[-1])
        if after.size > 1:
            fall = curve.divided(rest - washout.min(axis=1), rest)
            rebound = 100.0 * np.where(fall <= RISE, 0.0, fall)
        if cycles.size > 1 and cycles[-1] < times[-1]:
            stop = np.searchsorted(times, [cycles[1], regimen.end])
            first, last = np.searchsorted(times, cycles[[0, -1]])
            gains = (y[:, first : stop[0]].max(axis=1) - rest, y[:, last : stop[1] + 1].max(axis=1) - rest)
            last_to_first = np.where(gains[0] > RISE * rest, curve.divided(gains[1], gains[0]), np.nan)
    fold = "over the subject's baseline"
    at_trough = (
        f"{name} just before the first dose of the last cycle, or with one cycle just before the last dose"
    )
    few = "no value with fewer than two doses"
    group = "regulatory T cells"
    return {
        Endpoint("Treg peak", unit, f"The highest {name} from the first dose to the horizon.", 1, group, relevant=TENTH): peak,
        Endpoint("Treg peak fold", "1", f"The highest {name} from the first dose to the horizon, {fold}.", 1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE): curve.divided(peak, rest),
        Endpoint("Treg trough", unit, f"{at_trough}.", 1, group, missing=few, relevant=TENTH): trough,
        Endpoint("Treg trough fold", "1", f"{at_trough}, {fold}.", 1, group, missing=few, relevant=TENTH_OF_BASELINE): curve.divided(trough, rest),
        Endpoint("Treg mean fold", "1", f"The mean of {name} over the treatment ({_TREATMENT}), {fold}.", 1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE): curve.divided(average, rest),
        Endpoint("Treg AUC above baseline", f"{unit}*d", f"The area between {name} and the subject's baseline, where it is above, from the first output time to the horizon, by trapezoids.", 1, group, relevant=TENTH): area / per_day,
        Endpoint(f"Treg days above +{above:g} %", "d", f"The time to the horizon during which {name} is above {100 + above:g} percent of the subject's baseline.", 1, group, relevant=ONE_DAY): long / per_day,
        Endpoint("Treg time to peak", "d", f"The time from the first dose to the first {name} that is at most 0.5 percent below the highest.", 0, group, missing=f"no value where {name} does not rise above its baseline by 0.1 percent"): to_peak,
        Endpoint(
            "Treg days to return", "d", f"The time from the last dose after which {name} stays within {100 * BACK:g} percent of the subject's baseline, on either side, to the horizon.",
            0, group, missing=f"{_NO_DOSE}; infinite, which means not within the horizon, where {name} is still outside at the end",
        ): back,
        Endpoint(
            "Treg rebound", "percent", f"By how many percent of the subject's baseline {name} falls below it at its lowest, from one usual interval after the last dose to the horizon; 0 where it does not, by more than 0.1 percent.",
            -1, group, missing=f"{_NO_DOSE}, or where the horizon ends before", relevant=TEN_PERCENT,
        ): rebound,
        Endpoint(
            "Treg last to first cycle", "1", f"The rise of {name} over baseline at the peak of the last cycle, over that of the first: below 1 is tachyphylaxis. A new cycle begins after a gap between doses of more than three usual (median) ones.",
            1, group, missing=f"no value with a single cycle, or where {name} does not rise by 0.1 percent in the first", relevant=TENTH_OF_BASELINE,
        ): last_to_first,
    }  # fmt: skip


def _selectivity(
    times: Floats,
    curves: Mapping[str, Floats],
    rests: Mapping[str, Floats],
    labels: Mapping[str, tuple[str, str]],
    regimen: Regimen,
) -> Values:
    found: Values = {}
    group = "selectivity"

    def mean_fold(role: str) -> Floats:
        return curve.divided(curve.mean(times, curves[role], *_treatment(times, regimen)), rests[role])

    tregs = "treg_count" if "treg_count" in curves else "treg_pct"
    for role, shown in (("nk", "NK"), ("cd56bright", "CD56bright NK")):
        if role not in curves:
            continue
        _, y = _from_first_dose(times, curves[role], regimen)
        peak = curve.divided(y.max(axis=1), rests[role])
        found[
            Endpoint(f"{shown} peak fold", "1", f"The highest number of {shown} cells from the first dose to the horizon, over the subject's baseline.", -1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE)
        ] = peak  # fmt: skip
        average = mean_fold(role)
        found[
            Endpoint(f"{shown} mean fold", "1", f"The mean number of {shown} cells over the treatment ({_TREATMENT}), over the subject's baseline.", -1, group, missing=_NO_BASELINE, relevant=TENTH_OF_BASELINE)
        ] = average  # fmt: skip
        if tregs in curves:
            found[
                Endpoint(f"Treg gain over {shown}", "1", f"The mean fold of {labels[tregs][0]} over the treatment, divided by that of {shown} cells: 1 is no selectivity, below 1 is the wrong way.", 1, group, missing=_NO_BASELINE, relevant=TENTH)
            ] = curve.divided(mean_fold(tregs), average)  # fmt: skip
    if "ccl2" in curves:
        found[
            Endpoint("CCL2 change", "percent", f"The mean of plasma CCL2 over the treatment ({_TREATMENT}), as a change from the subject's baseline.", -1, group, missing=_NO_BASELINE, remark=_CCL2, relevant=TEN_PERCENT)
        ] = 100.0 * (mean_fold("ccl2") - 1.0)  # fmt: skip
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
        Endpoint("injections per 28 days", "1", f"The number of doses given, infusions included, {per}.", -1, "burden", relevant=ONE_INJECTION): count / regimen.months,
        Endpoint("injections", "1", "The number of doses given, infusions included.", -1, "burden", relevant=ONE_INJECTION): count,
        Endpoint("dose per 28 days", unit, f"The sum of all doses given, those per body size by the subject's own, {per}.", -1, "burden", missing=mixed, relevant=TENTH): total / regimen.months,
        Endpoint("total dose", unit, "The sum of all doses given, those per body size by the subject's own.", -1, "burden", missing=mixed, relevant=TENTH): total,
    }  # fmt: skip
