"""FitResult -> what the fitted model says about the trial arms: dose-response curves and time courses, ready
to draw.

Everything here is plain values (dicts, lists, numbers), so that it can be kept beside the result and drawn
again without simulating. Arms are simulated as populations of quasi-random subjects with the study's own
effects, like those of the fit.

    panels   dose-response of one reported quantity: ``title, output, unit, dose_unit, log, curves, points``;
             a curve has ``dose, median, low, high`` (the mean over subjects and its 95 % interval by the
             parameters' uncertainty), a point ``dose, value, interval, n, study, arm, row, provenance, use``
    courses  one study: ``study, part`` ("first week" for what rises and falls between doses, else "whole
             course"), ``arms`` (label -> ``times, names, units, time_unit, dose_times`` and ``median, low,
             high``, (n_times, n_names): median and 5 % to 95 % of subjects) and ``points`` (``arm, output,
             time, value, interval, n, provenance``)
    visits   one arm of which means and SDs were reported at several times: ``title, output, unit, time_unit,
             times`` and ``statistics``, of the mean and of the SD: ``name, fitted`` (with the study's own
             effects), ``typical`` (of a study without), ``bands`` (``name, low, high``: 95 % of what is
             expected, each band of its name and all before it) and ``points``
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core.arguments import ABSENT, COUNT, PATH, of, takes
from pkpd.core.errors import DataError
from pkpd.core.normal import Z95
from pkpd.core.progress import Progress, quiet
from pkpd.dosing import EventTable, Schedule
from pkpd.inference import FitResult, FitSpec, System, between_at, in_units, quasi_normals, typical_at
from pkpd.inference.draws import PosteriorDraws, of_result
from pkpd.inference.population import laplace
from pkpd.inference.summary import samples
from pkpd.inference.summary.arms import look as look_of
from pkpd.inference.summary.arms import times_of
from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.reading import read_data
from pkpd.inference.summary.rows import Override, Row, Stratum
from pkpd.inference.summary.spreads import form_of, natural_spread
from pkpd.inference.truncated import ends_of, into_stratum
from pkpd.model.correlation import correlation_matrix
from pkpd.simulation.profile import correlated, scattered
from pkpd.solver import Options, Reading, Solution, solve

Array = NDArray[np.float64]

SUBJECTS = 128
DRAWS = 20
DRAW_SUBJECTS = 8
DOSES = (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25)
"""Doses of a curve, in units of the largest dose reported."""
DRAWN = (0, 2, 4, 6, 9, 10)
"""Those of DOSES at which the uncertainty of the parameters is carried through; it is smooth in between."""
MOST_PANELS = 6
LONGEST_DAYS = 400.0
_NOT_IN_DOSE_RESPONSE = ("range", "ratio", "lower_bound", "upper_bound")
_NOT_IN_COURSES = ("range", "ratio", "dose_for_effect")
"""Kinds of rows whose value is a level, and which these figures leave out all the same."""
BETWEEN_VISITS = 48
"""Steps between the first and the last visit at which an arm is looked at."""
TRIALS = 2000
"""Simulated for the sampling error of an arm's mean and SD."""
SPIKE = 3.0
"""An output whose peak within a dosing interval is this many times its trough is shown for the first week
only."""


@takes(
    result=of(FitResult, words="the result of a fit"),
    spec=of(FitSpec, words="what a fit folder says"),
    posterior=PATH | ABSENT | of(PosteriorDraws, words="draws from the posterior"),
    threads=COUNT | ABSENT,
)
def predict(
    result: FitResult,
    spec: FitSpec,
    *,
    posterior: PosteriorDraws | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What a report draws beside the result: ``{"dose_response": [panel, ...], "courses": [study, ...],
    "visits": [arm, ...], "model": {...}}``.

    Parameters
    ----------
    result : of ``fit``, or read by ``FitResult.read_json``.
    spec : what the fit's folder says, ``pkpd.inference.read_fit(result.name)``.
    posterior : draws from the posterior of the fit (``posterior_draws``), their file, or the folder that it
        lies in, from which intervals are made in place of the normal approximation.
    threads : how many work at a time, by default as many as this process may use cores.
    progress : called now and then with (what, share from 0 to 1, remark).

    Returns
    -------
    dict : plain values that JSON can hold.
        "dose_response" has a dict per panel: ``title``, ``output``, ``unit``, ``dose_unit``, ``curves`` (each
        with ``dose``, ``median``, ``low`` and ``high``), and the observed ``points``. "courses" has a dict
        per figure of a study: the observed ``points``, and ``arms``, by label, each with ``times``,
        (n_times,) in ``time_unit``, and ``median``, ``low`` and ``high`` (the middle 90 % of people),
        (n_times, n_names), of its ``names`` in its ``units``. "visits" has a dict per arm with means and SDs
        at several times, see the top of this file. "model" has ``equations``, ``text``,
        ``sources`` and ``descriptions`` of the parameters.

    Raises
    ------
    InputError : or one of its kinds: data or a model that cannot be read.
    PkpdError : an arm that cannot be simulated.

    Examples
    --------
    Of two rows of a fit alone, to be quick:

    >>> import dataclasses, pkpd
    >>> from pkpd.core.library import root
    >>> from pkpd.inference import read_fit
    >>> result = pkpd.FitResult.read_json(root() / "fits" / "low_dose_il2" / "result.json")
    >>> few = dataclasses.replace(result, rows=result.rows[:2])
    >>> curves = pkpd.predict(few, read_fit("low_dose_il2"))
    >>> sorted(curves)
    ['courses', 'dose_response', 'model', 'visits']
    >>> panel = curves["dose_response"][0]
    >>> panel["dose_unit"], panel["unit"]
    ('MIU', 'percent')
    """
    tell = progress or quiet
    system = System.of(spec.main)
    known = {row.id for row in result.rows}  # without those that were left out or could not be predicted
    rows = [row for row in in_units(read_data(spec.data), system).rows if row.id in known]
    draws = None if posterior is None else of_result(posterior, result)
    arms = _Arms(result, spec, system, threads, draws)
    dosed = [study for study in _studies(rows) if any(_has_dose(row) for row in rows if row.study == study)]
    courses = []
    for k, study in enumerate(dosed):
        tell("time courses", k / max(1, len(dosed)), study)
        courses += _courses(arms, study, rows)
    tell("dose-response", 0.0, "")
    return {
        "dose_response": _dose_response(arms, rows, tell),
        "courses": courses,
        "visits": _visits(arms, rows),
        "model": _model_facts(spec.main.model),
    }


def _model_facts(name: str) -> dict[str, Any]:
    """The model as it was fitted: equations as text, the file, its sources, and what each parameter means."""
    from pkpd.model.check import read_model
    from pkpd.model.extend import model_text
    from pkpd.model.text import expression_text

    model = read_model(*model_text(name))
    lines = [(d.name, expression_text(d.expression), d.unit) for d in model.definitions]
    lines += [(f"d {name}", expression_text(tree), "") for name, tree in model.equations.items()]
    lines += [(o.name, expression_text(o.expression), o.unit) for o in model.outputs]
    width = max(len(left) for left, _, _ in lines)
    return {
        "equations": "\n".join(
            f"{left:<{width}} = {right}" + (f"  [{unit}]" if unit else "") for left, right, unit in lines
        ),
        "text": model.text,
        "sources": list(model.sources),
        "descriptions": {p.name: p.description for p in model.parameters},
    }


def _studies(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.study for row in rows))


def _has_dose(row: Row) -> bool:
    return bool(Schedule.parse(row.schedule).n_doses)


class _Arms:
    """Simulates arms of a fit at its estimates, or at draws from their uncertainty."""

    def __init__(
        self,
        result: FitResult,
        spec: FitSpec,
        system: System,
        threads: int | None,
        posterior: PosteriorDraws | None = None,
    ) -> None:
        self.result, self.spec, self.system, self.threads = result, spec, system, threads
        self.posterior = posterior
        self._drawn: dict[int, list[Array]] = {}
        self._looked: dict[tuple[bytes, ...], Array] = {}
        self.outputs = list(system.output_units)
        self.observed = {row.id: row for row in result.rows}

    def draws(self, count: int) -> list[Array]:
        """Points around the optimum, of the posterior where there are draws; none where there are neither
        these nor a covariance."""
        if count not in self._drawn:
            seed = self.spec.options.seed
            if self.posterior is not None:
                self._drawn[count] = list(self.posterior.points(count, seed))
            else:
                z = quasi_normals(count, len(self.result.estimates), seed + 1)
                self._drawn[count] = list(laplace(self.result, z, principal=True))
        return self._drawn[count]

    def subjects(self, study: str, overrides: Iterable[Any], count: int, x: Array | None = None) -> Array:
        """Parameters of an arm's subjects, (count, n_params), at a point; None: the optimum."""
        estimates = self.result.estimates
        point = [estimate.x for estimate in estimates] if x is None else x
        known = typical_at(estimates, point, self.result.values, study)
        given = list(overrides)
        known |= {item.name: item.value for item in given if isinstance(item, Override)}
        between = between_at(estimates, point, self.result.between)
        kernel = self.system.kernel
        typical = np.array([known[name] for name in kernel.PARAMETERS])
        spread, z = np.zeros(kernel.n_params), np.zeros((count, kernel.n_params))
        columns = [kernel.PARAMETERS.index(name) for name in between]
        spread[columns] = list(between.values())
        spread[self.system.same_in_arm(given)] = 0.0
        numbers = quasi_normals(count, len(between), self.spec.options.seed)
        z[:, columns] = correlated(list(between), self.system.correlations, numbers)
        together = correlation_matrix(kernel.PARAMETERS, self.system.correlations)
        for item in given:
            if isinstance(item, Stratum):
                place = kernel.PARAMETERS.index(item.name)
                ends = ends_of(item.lower, item.upper, typical[place], spread[place])
                z, _ = into_stratum(z, place, ends, together[place])
        return scattered(kernel, typical, spread, z)

    def events(self, schedule: Schedule) -> EventTable:
        s = self.system
        return schedule.events(s.time_unit, s.routes, s.dose_units, s.sizes)

    def run(self, subjects: Array, schedule: Schedule, times: Array, factors: Array | None = None) -> Array:
        """Outputs (n_subjects, n_times, n_outputs), each subject's doses times its factor (n_subjects,); nan
        for a subject that could not be integrated."""
        return np.asarray(self._solve(subjects, schedule, times, factors).outputs)

    def _solve(
        self, subjects: Array, schedule: Schedule, times: Array, factors: Array | None, **how: Any
    ) -> Solution:
        events = self.events(schedule)
        by_dose = None if factors is None else np.repeat(factors[:, None], len(events), axis=1)
        options = Options(rtol=self.spec.options.rtol, threads=self.threads)
        return solve(self.system.kernel, subjects, events, times, options=options, factors=by_dose, **how)

    def look(
        self, subjects: Array, schedule: Schedule, row: Row, baseline: Array | None, factors: Array | None
    ) -> Array:
        """What a row takes of its output (n_subjects, 1 or 2), as ``samples.reduce`` has it; baseline and
        factors of doses : (n_subjects,)."""
        seen = look_of(row, row.output)
        if seen is None:
            column = self.outputs.index(row.output)
            return self._run_once(subjects, schedule, np.array(times_of(row)), factors)[:, :, column]
        level = baseline if seen.from_baseline else None
        reading = Reading(seen.kind, seen.output, seen.start, seen.stop, level)
        read = self._solve(subjects, schedule, np.array([row.stop]), factors, readings=[reading]).readings
        assert read is not None
        times = np.where(np.isnan(read.times) & np.isfinite(read.values), 0.0, read.times)
        return np.column_stack([read.values, times])

    def _run_once(self, subjects: Array, schedule: Schedule, times: Array, factors: Array | None) -> Array:
        """As ``run``, and the outputs are kept: several panels look at the same patients."""
        arrays = (subjects, times, np.empty(0) if factors is None else factors)
        key = (str(schedule).encode(), *(array.tobytes() for array in arrays))
        if key not in self._looked:
            self._looked[key] = self.run(subjects, schedule, times, factors)
        return self._looked[key]

    def means(self, row: Row, subjects: Array, schedule: Schedule, factors: Array | None = None) -> Array:
        """What a row reports, on average over the subjects of each of many arms, in one solve.

        subjects : (..., n_subjects, n_params) of arms (...); factors : (...,), what each arm's doses are
            multiplied by.
        """
        everybody = subjects.reshape(-1, subjects.shape[-1])
        count = subjects.shape[-2]
        by_subject = None if factors is None else np.repeat(np.ravel(factors), count)
        baseline = None
        if row.measure != "value":
            baseline = self.at_rest(everybody)[:, self.outputs.index(row.output)]
        values = self.look(everybody, schedule, row, baseline, by_subject)
        sampled = samples.sample(row, values, baseline, samples.Noise()).s.reshape(subjects.shape[:-1])
        return np.asarray(np.nanmean(sampled, axis=-1))

    def at_rest(self, subjects: Array) -> Array:
        """Outputs before any dose, (n_subjects, n_outputs)."""
        return self.run(subjects, Schedule.none(), np.zeros(1))[:, 0]


def _relative(measure: str, values: Array, rest: Array) -> Array:
    """Values (n_subjects, n_times) as a change, percent change or fold of each subject's own baseline
    (n_subjects,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        match measure:
            case "change":
                return values - rest[:, None]
            case "percent_change":
                return 100 * (values / rest[:, None] - 1)
            case "fold":
                return values / rest[:, None]
    return values


def _words(output: str, measure: str) -> str:
    return {"value": output, "change": f"change of {output}"}.get(
        measure, f"{'percent change' if measure == 'percent_change' else 'fold change'} of {output}"
    )


def _point(arms: _Arms, row: Row) -> dict[str, Any] | None:
    """What was reported, on the scale of its own unit, as the result has it."""
    found = arms.observed.get(row.id)
    if found is None:
        return None
    if row.statistic == "lower_bound":
        interval: list[float | None] = [found.observed, None]
    elif row.statistic == "upper_bound":
        interval = [None, found.observed]
    else:
        interval = [found.observed_lower, found.observed_upper]
    return {
        "row": row.id,
        "study": row.study,
        "arm": row.arm,
        "n": row.n,
        "value": found.observed,
        "interval": interval,
        "provenance": row.provenance,
        "use": found.use,
    }


# --- dose-response --------------------------------------------------------------------------------


def _dose(schedule: Schedule) -> tuple[float, str] | None:
    """Amount and unit of every dose, if all are the same; 0 for none."""
    doses = schedule.doses()
    if not doses:
        return 0.0, ""
    amounts = {(float(dose.amount), dose.unit, dose.per) for dose in doses}
    if len(amounts) > 1:
        return None
    ((amount, unit, per),) = amounts
    return amount, f"{unit}/{per}" if per else unit


def _dose_response(arms: _Arms, rows: Sequence[Row], progress: Progress) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[tuple[Row, float]]] = {}
    placebo: dict[tuple[Any, ...], list[tuple[Row, float]]] = {}
    for row in rows:
        if not KINDS[row.statistic].of_level or row.statistic in _NOT_IN_DOSE_RESPONSE:
            continue
        schedule = Schedule.parse(row.schedule)
        amount = _dose(schedule)
        if amount is None:
            continue
        key = (row.study, row.output, row.measure, row.reducer, row.start, row.stop)
        if amount[0] == 0:
            placebo.setdefault(key, []).append((row, 0.0))
        else:
            # once and twice daily are two curves
            times = tuple((dose.time_days, dose.route, dose.duration_days) for dose in schedule.doses())
            groups.setdefault((*key, times), []).append((row, amount[0]))
    wide = {}
    for (*start_of_key, times), members in groups.items():
        everybody = placebo.get(tuple(start_of_key), []) + members
        if len({dose for _, dose in everybody}) > 1 or any(
            row.statistic == "dose_for_effect" for row, _ in everybody
        ):
            wide[(*start_of_key, times)] = everybody
    panels = []
    for k, ((study, output, measure, reducer, start, stop, _), members) in enumerate(wide.items()):
        progress("dose-response", k / len(wide), study)
        panel = _dose_panel(arms, [row for row, _ in members])
        if panel is None:
            continue
        how = "" if reducer == "at" else f"{reducer}, "
        title = f"{study}: {how}{_when(arms, start, stop)}"
        panels.append(panel | {"title": title, "output": _words(output, measure)})
    return panels + _bath_panels(arms, rows)


def _when(arms: _Arms, start: float, stop: float) -> str:
    """A time or window in words: day 7, hours 0 to 12."""
    day = _per_day(arms)
    unit, size = ("day", day) if stop >= 2 * day else ("hour", day / 24)
    if start == stop:
        return f"{unit} {start / size:.3g}"
    return f"{unit}s {start / size:.3g} to {stop / size:.3g}"


def _dose_panel(arms: _Arms, rows: Sequence[Row]) -> dict[str, Any] | None:
    largest, unit, source = 0.0, "", None
    for row in rows:
        amount, name = _dose(Schedule.parse(row.schedule)) or (0.0, "")
        if row.statistic == "dose_for_effect" and len(rows) == 1:
            amount *= 2  # room to the right of the dose that was looked for
        if amount > largest:
            largest, unit, source = amount, name, row
    if source is None:
        return None
    base = Schedule.parse(source.schedule)
    own = _dose(base)
    assert own is not None
    doses = np.array(DOSES) * largest
    like = replace(source, statistic="mean")
    points = []
    for row in rows:
        point = _point(arms, row)
        if point is None:
            continue
        if row.statistic == "dose_for_effect":
            points.append(
                point
                | {
                    "dose": point["value"],
                    "value": row.effect,
                    "dose_interval": point["interval"],
                    "interval": None,
                }
            )
        else:
            points.append(point | {"dose": (_dose(Schedule.parse(row.schedule)) or (0.0, ""))[0]})

    def curve(amounts: Array, points: Sequence[Array | None], count: int) -> Array:
        people = np.stack([arms.subjects(source.study, source.overrides, count, x) for x in points])
        arms_of = np.broadcast_to(people[:, None], (len(points), amounts.size, *people.shape[1:]))
        return arms.means(like, arms_of, base, np.tile(amounts / own[0], (len(points), 1)))

    return {
        "dose_unit": unit,
        "unit": arms.observed[source.id].unit
        if source.statistic != "dose_for_effect"
        else _unit_of(arms, source.output, source.measure),
        "log": False,
        "curves": [
            {"label": arms.system.name, "dose": doses.tolist()} | _with_band(arms, curve, doses, DRAWN)
        ],
        "points": points,
    }


def _unit_of(arms: _Arms, output: str, measure: str) -> str:
    if measure == "percent_change":
        return "percent"
    return "1" if measure == "fold" else str(arms.system.output_units[output])


CurveAt = Callable[[Array, Sequence[Array | None], int], Array]
"""(doses, points, subjects in an arm) -> (n_points, n_doses), of points around the optimum, None for it."""


def _with_band(arms: _Arms, curve: CurveAt, grid: Array, drawn_at: Sequence[int]) -> dict[str, Any]:
    """The curve at the estimates, and its 95 % interval over draws from the parameters' uncertainty."""
    (middle,) = curve(grid, [None], 2 * arms.spec.options.subjects)
    some = grid[list(drawn_at)]
    points = arms.draws(DRAWS)
    drawn = curve(some, points, DRAW_SUBJECTS) if points else np.empty((0, some.size))
    values = drawn[np.isfinite(drawn).all(axis=1)]  # a draw far out may not be integrable
    if len(values) < DRAWS // 2:
        return {"median": middle.tolist(), "low": None, "high": None}
    # draws use fewer subjects: their spread is taken, around the curve itself; of what is positive as a
    # factor
    around = middle[list(drawn_at)]
    positive = np.all(values > 0, axis=0) & (around > 0)
    with np.errstate(all="ignore"):
        half = np.where(positive, _half(np.log(values), arms), _half(values, arms))
        ends = (np.where(positive, around * np.expm1(sign * half), sign * half) for sign in (-1, 1))
    low, high = (middle + np.interp(grid, some, end) for end in ends)
    return {"median": middle.tolist(), "low": low.tolist(), "high": high.tolist()}


def _half(values: Array, arms: _Arms) -> Array:
    """Half the width of a 95 % interval from draws, (n_draws, n): by their SD, which the outermost of twenty
    would understate.

    Draws of few estimates are balanced to their exact covariance; the SD of others is itself uncertain, so
    that Student's quantile counts.
    """
    from scipy.special import stdtrit

    count = len(values)
    if arms.posterior is None and count == DRAWS and len(arms.result.estimates) < DRAWS - 1:
        return np.asarray(Z95 * np.std(values, axis=0))
    return np.asarray(float(stdtrit(count - 1, 0.975)) * np.std(values, axis=0, ddof=1))


def _bath_panels(arms: _Arms, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Experiments without doses in which one parameter is set to several values: concentration-response in
    vitro."""
    groups: dict[tuple[Any, ...], dict[str, list[tuple[Row, Override]]]] = {}
    for row in rows:
        bath = row.overrides[0] if len(row.overrides) == 1 else None
        if isinstance(bath, Override) and not _has_dose(row) and row.statistic in ("mean", "median"):
            key = (row.study, bath.name, row.measure, row.reducer, row.start, row.stop)
            groups.setdefault(key, {}).setdefault(row.output, []).append((row, bath))
    panels = []
    for (study, name, measure, *_), outputs in groups.items():
        for output, members in outputs.items():
            first, set_to = members[0]
            baths = sorted({bath.value for _, bath in members})
            if len(baths) < 3 or min(baths) <= 0:
                continue
            grid = np.geomspace(min(baths), max(baths), 25)

            def curve(
                baths: Array,
                points: Sequence[Array | None],
                count: int,
                row: Row = first,
                of: Override = set_to,
            ) -> Array:
                settings = [[of._replace(value=float(bath))] for bath in baths]
                people = [
                    [arms.subjects(row.study, setting, count, x) for setting in settings] for x in points
                ]
                return arms.means(row, np.array(people), Schedule.none())

            points = [
                point | {"dose": bath.value}
                for row, bath in members
                if (point := _point(arms, row)) is not None
            ]
            panels.append(
                {
                    "title": f"{study}: {output}",
                    "output": _words(output, measure),
                    "unit": arms.observed[first.id].unit if first.id in arms.observed else "",
                    "dose_name": name,
                    "dose_unit": set_to.unit,
                    "log": True,
                    "curves": [
                        {"label": arms.system.name, "dose": grid.tolist()}
                        | _with_band(arms, curve, grid, range(0, grid.size, 3))
                    ],
                    "points": points,
                }
            )
    return panels


# --- means and SDs over visits ---------------------------------------------------------------------


def _visits(arms: _Arms, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A visual predictive check of arms: what of a new study of as many patients was to be expected, as means
    and SDs, beside what was reported."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.statistic == "mean" and row.reducer == "at" and (row.n or 0) > 1:
            key = (row.study, row.schedule, row.overrides, row.output, row.measure)
            groups.setdefault(key, []).append(row)
    return [_visited(arms, group) for group in groups.values() if len({row.start for row in group}) > 1]


def _visited(arms: _Arms, rows: Sequence[Row]) -> dict[str, Any]:
    first, visits = rows[0], sorted({row.start for row in rows})
    day, span = _per_day(arms), visits[-1] - visits[0]
    step = span / BETWEEN_VISITS
    if (
        span > 4 * day
    ):  # at the same time of every day: otherwise daily doses make a pattern that is not there
        step = math.ceil(step / day) * day
    times = np.unique([*visits, *(visits[0] + step * np.arange(math.ceil(span / step)))])
    per_shown = day if visits[-1] > 4 * day else 1.0
    patients = np.interp(times, visits, [min(r.n or 2 for r in rows if r.start == t) for t in visits])
    estimates, best = arms.result.estimates, np.array([e.x for e in arms.result.estimates])
    own = np.array([e.kind == "study effect" and e.study == first.study for e in estimates], dtype=bool)
    typical = np.where(own, 0.0, best)
    drawn = [np.where(own, 0.0, x) for x in arms.draws(DRAWS)]
    of_fit, expected = (
        _mean_and_sd(*_patients(arms, first, times, [x], SUBJECTS))[:, 0] for x in (best, typical)
    )
    some = SUBJECTS // 2
    unknown = {"parameters": _mean_and_sd(*_patients(arms, first, times, drawn, some))}
    if own.any():
        sds = np.array(
            [e.x_sd / e.shrinkage if mine else 0.0 for e, mine in zip(estimates, own, strict=True)]
        )
        z = np.zeros((DRAWS, best.size))
        z[:, own] = quasi_normals(DRAWS, int(own.sum()), arms.spec.options.seed + 2)
        effects = list(typical + z * np.nan_to_num(sds))
        unknown["study effect"] = _mean_and_sd(*_patients(arms, first, times, effects, some))
    s, v = (part[0] for part in _patients(arms, first, times, [typical], SUBJECTS))
    trials = _ends_of_trials(s, v, patients, arms.spec.options.seed)
    statistics = []
    for k, name in enumerate(("mean", "SD")):
        centre = expected[k]
        factor = (
            min(np.min(part) for part in (centre, trials[k], *(values[k] for values in unknown.values()))) > 0
        )
        on_scale, back = (np.log, np.exp) if factor else (np.positive, np.positive)
        middle, squares, bands = on_scale(centre), np.zeros((2, times.size)), []
        for part, values in unknown.items():
            squares += _half(on_scale(values[k]), arms) ** 2 if len(drawn) else 0.0
            bands.append(_band(part, middle, squares, back))
        squares += (on_scale(trials[k]) - middle) ** 2
        bands.append(_band("sampling", middle, squares, back))
        points = [
            point | {"time": row.start / per_shown}
            for row in rows
            if (point := _visit(arms, row, name)) is not None
        ]
        statistics.append(
            {
                "name": name,
                "fitted": of_fit[k].tolist(),
                "typical": centre.tolist(),
                "bands": bands,
                "points": points,
            }
        )
    return {
        "title": f"{first.study}, {' / '.join(dict.fromkeys(row.arm for row in rows))}",
        "output": _words(first.output, first.measure),
        "unit": _unit_of(arms, first.output, first.measure),
        "time_unit": arms.system.time_unit if per_shown == 1 else "d",
        "times": (times / per_shown).tolist(),
        "statistics": statistics,
    }


def _patients(
    arms: _Arms, row: Row, times: Array, points: Sequence[Array], count: int
) -> tuple[Array, Array]:
    """What is measured in an arm's patients at points around the optimum, and the variance of its error,
    (n_points, count, n_times) each."""
    shape = (len(points), count, times.size)
    if not points:
        return np.empty(shape), np.empty(shape)
    people = np.concatenate([arms.subjects(row.study, row.overrides, count, x) for x in points])
    column = arms.outputs.index(row.output)
    outputs = arms.run(people, Schedule.parse(row.schedule), times)[:, :, column]
    baseline = None if row.measure == "value" else arms.at_rest(people)[:, column]
    noise = samples.Noise(**arms.result.noise.get(row.output, {}))
    seen = [samples.sample(row, outputs[:, t : t + 1], baseline, noise) for t in range(times.size)]
    values, variances = (np.stack([getattr(x, name) for x in seen], axis=-1) for name in "sv")
    return values.reshape(shape), variances.reshape(shape)


def _mean_and_sd(s: Array, v: Array) -> Array:
    """Over patients, (2, n_points, n_times)."""
    return np.array([np.nanmean(s, axis=1), np.sqrt(np.nanvar(s, axis=1) + np.nanmean(v, axis=1))])


def _ends_of_trials(s: Array, v: Array, patients: Array, seed: int) -> Array:
    """Between which ends mean and SD of as many patients lie in 95 % of trials, (2, low and high, n_times):
    trials are simulated, as the SD of few patients who are not normal has no formula."""
    generator, most = np.random.default_rng(seed), int(patients.max())
    who = generator.integers(len(s), size=(TRIALS, most))
    errors = generator.standard_normal((TRIALS, most))
    ends = np.empty((2, 2, patients.size))
    for t, n in enumerate(patients.astype(int)):
        some = who[:, :n]
        seen = s[some, t] + np.sqrt(v[some, t]) * errors[:, :n]
        of_trials = np.array([np.nanmean(seen, axis=1), np.nanstd(seen, axis=1, ddof=1)])
        ends[:, :, t] = np.nanquantile(of_trials, (0.025, 0.975), axis=1).T
    return ends


def _band(name: str, middle: Array, squares: Array, back: Callable[[Array], Array]) -> dict[str, Any]:
    """From squares of the distance to its ends, (2, n_times)."""
    below, above = np.sqrt(squares)
    return {"name": name, "low": back(middle - below).tolist(), "high": back(middle + above).tolist()}


def _visit(arms: _Arms, row: Row, name: str) -> dict[str, Any] | None:
    """A reported mean or SD with its 95 % interval; None where it was not."""
    point = _point(arms, row)
    if point is None or name == "mean":
        return point
    if row.spread_type not in ("SD", "CV", "IQR"):
        return None
    spread = natural_spread(row, form_of(row))
    if not (math.isfinite(spread.error) and spread.sd > 0):
        return None
    ends = [spread.sd * math.exp(sign * Z95 * spread.error) for sign in (-1, 1)]
    return point | {"value": spread.raw, "interval": ends}


# --- time courses ---------------------------------------------------------------------------------


def _courses(arms: _Arms, study: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    own = [row for row in rows if row.study == study]
    keys = list(dict.fromkeys((row.output, row.measure) for row in own if not _is_constant(row, rows)))
    unknown = [name for name in arms.spec.shown if name not in arms.outputs]
    if unknown:
        raise DataError(
            f"{arms.spec.folder / 'fit.toml'}: [report] outputs: {arms.system.name} has no output "
            f'"{unknown[0]}"; '
            f"it has {', '.join(arms.outputs)}"
        )
    others = arms.spec.shown or _frequent(rows)
    if max(row.stop for row in own) <= _per_day(arms):
        others = ()  # a study of pharmacokinetics alone
    for output in others:
        if output not in (name for name, _ in keys):
            keys.append((output, "value"))
    keys = keys[:MOST_PANELS]
    members: dict[tuple[Any, ...], list[Row]] = {}
    for row in own:
        members.setdefault((row.schedule, row.overrides), []).append(row)
    if not any(_has_dose(row) for row in own) or not keys:
        return []
    end = _horizon(arms, own)
    simulated = [_simulated(arms, study, group, key, end) for key, group in members.items()]
    spiky = {
        key: any(_is_spiky(arm["week"][:, :, arms.outputs.index(key[0])], arm) for arm in simulated)
        for key in keys
    }
    figures = []
    for part, chosen in (("first week", True), ("whole course", False)):
        wanted = [key for key in keys if spiky[key] == chosen]
        if wanted:
            figures.append({"study": study, "part": part} | _figure(arms, simulated, wanted, week=chosen))
    return figures


def _figure(
    arms: _Arms, simulated: list[dict[str, Any]], keys: list[tuple[str, str]], week: bool
) -> dict[str, Any]:
    """Courses of every arm for these outputs, and the numbers reported for them."""
    columns = [arms.outputs.index(output) for output, _ in keys]
    drawn: dict[str, Any] = {}
    points = []
    for arm in simulated:
        times, values = (arm["week_times"], arm["week"]) if week else (arm["times"], arm["long"])
        shown = np.stack(
            [
                _relative(measure, values[:, :, column], arm["rest"][:, column])
                for (_, measure), column in zip(keys, columns, strict=True)
            ],
            axis=-1,
        )
        low, median, high = _quantiles(shown)
        drawn[arm["label"]] = {
            "times": times.tolist(),
            "median": median.tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
            "names": [_words(*key) for key in keys],
            "units": [_unit_of(arms, *key) for key in keys],
            "time_unit": arms.system.time_unit,
            "dose_times": [time for time in arm["dose_times"] if time <= times[-1]],
        }
        for row in arm["rows"]:
            key = (row.output, row.measure)
            if key not in keys or row.reducer in ("auc", "tmax", "half_life") or row.start > times[-1]:
                continue
            if not KINDS[row.statistic].of_level or row.statistic in _NOT_IN_COURSES:
                continue
            point = _point(arms, row)
            if point is not None:
                middle = (row.start + min(row.stop, float(times[-1]))) / 2
                points.append(point | {"arm": arm["label"], "output": _words(*key), "time": middle})
    return {"arms": drawn, "points": points}


def _quantiles(values: Array) -> Array:
    """5 %, middle and 95 % of subjects (first axis), without those that are nan."""
    levels = (0.05, 0.5, 0.95)
    if np.isnan(values).any():
        return np.asarray(np.nanquantile(values, levels, axis=0))
    return np.asarray(np.quantile(values, levels, axis=0))  # a hundredth of the other's time


def _frequent(rows: Sequence[Row]) -> tuple[str, ...]:
    """The four outputs with most rows under treatment."""
    count: dict[str, int] = {}
    for row in rows:
        if _has_dose(row) and not _is_constant(row, rows):
            count[row.output] = count.get(row.output, 0) + 1
    return tuple(sorted(count, key=lambda name: -count[name])[:4])


def _is_constant(row: Row, rows: Sequence[Row]) -> bool:
    """Whether an output is only ever looked at without doses and without change over time, as a lag or an in
    vitro curve."""
    return not any(_has_dose(other) and other.stop > 0 for other in rows if other.output == row.output)


def _per_day(arms: _Arms) -> float:
    """Model time units in a day."""
    from pkpd.core import units

    return units.factor("d", arms.system.time_unit)


def _horizon(arms: _Arms, rows: Iterable[Row]) -> float:
    """How long the arms of a study are shown: two weeks after the last dose, or to the last number."""
    day = _per_day(arms)
    ends = [14 * day]
    for row in rows:
        doses = arms.events(Schedule.parse(row.schedule)).time
        ends += [row.stop, 14 * day + (float(doses[-1]) if len(doses) else 0.0)]
    return min(max(ends), LONGEST_DAYS * day)


def _simulated(arms: _Arms, study: str, rows: list[Row], key: tuple[Any, ...], end: float) -> dict[str, Any]:
    schedule = Schedule.parse(key[0])
    doses = arms.events(schedule).time
    day = _per_day(arms)
    # a step that falls on the same times of every day: otherwise daily doses make a pattern that is not there
    step = day / 6 if end <= 30 * day else day / 2 if end <= 120 * day else day
    times = np.arange(int(end / step) + 1) * step
    last_dose = float(doses[-1]) if len(doses) else 0.0
    # what is over soon is not drawn small at the left of a week
    soon = max(2 * max(row.stop for row in rows), min(last_dose, 6 * day) + day)
    week = np.linspace(0, min(end, 7 * day, soon), 169)
    subjects = arms.subjects(study, key[1], SUBJECTS)
    both = np.unique(np.concatenate([times, week]))
    outputs = arms.run(subjects, schedule, both)
    return {
        "label": " / ".join(dict.fromkeys(row.arm for row in rows)),
        "rows": rows,
        "times": times,
        "long": outputs[:, np.searchsorted(both, times)],
        "week_times": week,
        "week": outputs[:, np.searchsorted(both, week)],
        "rest": arms.at_rest(subjects),
        "dose_times": doses.tolist(),
        "day": day,
    }


def _is_spiky(values: Array, course: dict[str, Any]) -> bool:
    """Whether an output rises and falls within a dosing interval; ``values`` (n_subjects, n_times) over the
    first week."""
    if not course["dose_times"]:
        return False
    times, day = course["week_times"], course["day"]
    middle = np.nanmedian(values, axis=0)
    first = (times <= day) & (times >= course["dose_times"][0])
    before_next = middle[np.searchsorted(times, day) - 1]
    peak = np.nanmax(middle[first]) if np.any(first) else 0.0
    return bool(peak > SPIKE * max(before_next, 1e-300) and peak > 0)
