"""A fit -> virtual subjects: how people differ, how sure the fit is, and how studies differ, each switched on
by name.

    people = virtual_subjects("low_dose_il2", 1000, seed=1, vary=("between", "uncertainty"),
    covariates={"BSA": (1.9, 0.1)})

A subject's parameters are P = TVP exp(ETA) with ETA normal, of variance matrix OMEGA: solved, they give its
IPRED, and without "between", where every ETA is 0, PRED at the draw of the estimates.

They are subjects of a model, drawn from what a fit to published summaries says; no statement about a patient.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpd.core import html, library
from pkpd.core.arguments import (
    ABSENT,
    COUNT,
    FLAG,
    LIST,
    MAPPING,
    NUMBER,
    NUMBERS,
    PATH,
    TEXT,
    TEXTS,
    WHOLE,
    of,
    takes,
)
from pkpd.core.errors import InputError
from pkpd.core.extras import optional
from pkpd.core.names import question_or_list
from pkpd.core.progress import Progress, counting
from pkpd.core.sketch import Sketch
from pkpd.dosing import EventTable
from pkpd.inference import FitResult, FitSpec, between_at, read_fit, typical_at
from pkpd.inference.belonging import check_belongs, version_words
from pkpd.inference.draws import PosteriorDraws, of_result
from pkpd.inference.unfitted import own_values, read_fit_or_model
from pkpd.model.correlation import correlation_matrix
from pkpd.simulation.profile import check_count, correlated, normals, scattered, typical_values, value_of
from pkpd.solver import Options, solve, spread, usable_cores
from pkpd.solver.kernel import Kernel, cautions_of, load
from pkpd.solver.options import BANDS

Floats = NDArray[np.float64]

# Subjects integrated together: enough to fill lanes, and their paths are small; the same whatever the threads
CHUNK = 64
VARIATION = ("between", "uncertainty", "study")
RESPONDERS = ("low", "moderate", "high")
SUBJECT, ESTIMATES, STUDY = range(3)  # streams of ``simulate.normals``
CLIPPED = 0.01  # of the subjects, moved onto a bound: from there on it is said
PEOPLE = {"m2": (0.15, 3.5), "kg": (1.5, 400.0)}
"""Body surface areas and weights that people have, from newborns to the largest adults: round numbers, to be
told of what is none. What lies outside is computed all the same."""


@dataclass(frozen=True)
class Population:
    """Virtual subjects of a fitted model.

    Attributes
    ----------
    kernel : of the model.
    values : (n_subjects, n_params), in the order of ``kernel.PARAMETERS`` and the model's units.
    draw : (n_subjects,), which draw of the estimates (and of a new study) a subject has, all 0 without both.
    vary : what subjects differ by, in the order of ``VARIATION``.
    seed : of the draws.
    notes : sentences that a reader of results needs.
    person : (n_subjects,), the number of the person that a subject is, to whom belongs what chance does in
        it, such as which doses are missed; None where each is one of its own, in order.

    Examples
    --------
    >>> import pkpd
    >>> population = pkpd.virtual_subjects("low_dose_il2", 4, draws=2, seed=1)
    >>> population
    <Population of il2_treg: 4 subjects who differ by between and uncertainty, 2 draws, seed 1>
    >>> population.draw.tolist()
    [0, 1, 0, 1]
    >>> population.values.shape == (4, len(population.kernel.PARAMETERS))
    True
    """

    kernel: Kernel
    values: Floats
    draw: NDArray[np.int64]
    vary: tuple[str, ...]
    seed: int
    notes: tuple[str, ...]
    person: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        differ = " and ".join(self.vary) or "nothing"
        return (
            f"<Population of {self.kernel.NAME}: {len(self):,} subjects who differ by {differ}, "
            f"{np.unique(self.draw).size} draws, seed {self.seed}>"
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(n_subjects,), which person each subject is."""
        return np.arange(len(self), dtype=np.int64) if self.person is None else self.person

    def some(self, chosen: NDArray[Any]) -> Population:
        """Those at these places, or for which this is true; each stays the person that it is."""
        return replace(self, values=self.values[chosen], draw=self.draw[chosen], person=self.numbers[chosen])

    def _repr_html_(self) -> str:
        differ = np.flatnonzero(np.ptp(self.values, axis=0) > 0.0)
        rows = [
            (
                self.kernel.PARAMETERS[place],
                self.kernel.UNITS[place],
                *map(float, np.quantile(self.values[:, place], (0.05, 0.5, 0.95))),
            )
            for place in differ
        ]
        same = f"The other {self.kernel.n_params - differ.size} parameters are the same in all."
        cautions = cautions_of(self.kernel)
        note = " ".join((*self.notes, same, *cautions, "A model, not medical advice."))
        return html.table(repr(self)[1:-1], ("parameter", "unit", "5 %", "median", "95 %"), rows, note)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: a variable for each parameter, (subject,), with its unit, and which draw of
        the estimates a subject has as a coordinate.

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        return xarray.Dataset(
            {
                name: ("subject", self.values[:, place], {"units": self.kernel.UNITS[place]})
                for place, name in enumerate(self.kernel.PARAMETERS)
            },
            coords={"subject": np.arange(len(self)), "draw": ("subject", self.draw)},
            attrs={"model": self.kernel.NAME, "vary": list(self.vary), "seed": self.seed},
        )


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    subjects=WHOLE,
    draws=WHOLE | ABSENT,
    seed=WHOLE,
    vary=TEXT | LIST,
    study=TEXT | ABSENT,
    covariates=MAPPING | ABSENT,
    responders=TEXT | ABSENT,
    parameters=MAPPING | ABSENT,
    posterior=PATH | ABSENT | of(PosteriorDraws, words="draws from the posterior"),
    crossed=FLAG,
)
def virtual_subjects(
    fit: FitResult | str | os.PathLike[str],
    subjects: int,
    *,
    seed: int = 0,
    vary: Collection[str] = ("between", "uncertainty"),
    draws: int | None = None,
    study: str | None = None,
    covariates: Mapping[str, float | str | tuple[float | str, float]] | None = None,
    responders: str | None = None,
    parameters: Mapping[str, float | str] | None = None,
    posterior: PosteriorDraws | str | os.PathLike[str] | None = None,
    crossed: bool = False,
) -> Population:
    """Parameters of people that a fit has not seen.

    Subject k is the same for a seed however many there are: every draw belongs to (seed, subject, parameter)
    through a counter-based generator.

    What lies outside a parameter's bounds is moved onto them, as in the fit.

    Parameters
    ----------
    fit : the name or folder of a fit with its result beside it, ``result.json``; or the result of a fit of
        the library; or a model, by name or as ``./my.model``, whose own values and differences between people
        are then taken, without uncertainty.
    subjects : how many, from 1 on.
    seed : another one gives other people.
    vary : what makes subjects differ. "between": the log-normal spread between people, of the parameters for
        which the fit has estimated it, and of the others that have one in the model file with the SD stated
        there (log-SDs, the square roots of OMEGA's diagonal), with the model's correlations: the fit compares
        its data with people who differ in all of them. "uncertainty": draws from the normal approximation of
        the estimates around the optimum, spreads included. "study": effects of a study that the fit has not
        seen, from the SDs in fit.toml, on the scales that the fit has them on; those that the fit left out
        because they touch no row stay out.
    draws : how many draws of estimates and study effects there are; subject k has draw k modulo ``draws``.
        None: each subject its own.
    study : a study of the fit, with its own estimated effects.
    covariates : what a subject brings along: a value that all have, in the model's units or a text with its
        unit, or (median, log-SD). Covariates of the model, such as the body surface, and parameters that
        differ between people, such as a baseline; the value is then that of the subject, and replaces what
        the fit says about it.
    responders : "low", "moderate" or "high", thirds of the spread between people of the one parameter whose
        spread was fitted and that does not show without drug.
    parameters : typical values that replace those of the fit, by name; people differ around them.
    posterior : draws from the posterior of the fit (``posterior_draws``), their file, or the folder that it
        lies in: "uncertainty" is then theirs, in place of the normal approximation.
    crossed : everybody under every draw: the population has ``subjects`` times ``draws`` members, one person
        after another, so that draws differ by the parameters and by nobody's chance.

    Returns
    -------
    Population : ``values``, (subjects, n_params) in the model's units, which ``solve`` takes with
        ``population.kernel``; and which draw of the estimates each subject has.

    Raises
    ------
    InputError : or one of its kinds: unknown names (with those that are known), values outside their bounds,
        a result that belongs to another model, data or fit.toml.

    Examples
    --------
    >>> import pkpd
    >>> people = pkpd.virtual_subjects("low_dose_il2", 3, vary=["between"], covariates={"BSA": "1.7 m2"})
    >>> people.values[:, people.kernel.PARAMETERS.index("BSA")]  # m2
    array([1.7, 1.7, 1.7])
    """
    check_count(subjects, seed)
    chosen = varied(vary)
    result, spec, kernel = fitted_model(fit)
    if spec.unfitted:
        _check_unfitted(spec, study, posterior, chosen)
        chosen = tuple(name for name in chosen if name != "uncertainty")
    for what, given in (("covariates", covariates), ("parameters", parameters)):
        if given is not None and not isinstance(given, Mapping):
            raise InputError(f'{what} are names with values, such as {{"BSA": 1.9}}, not {given!r:.60}')
    covariates, parameters = dict(covariates or {}), dict(parameters or {})
    check_study(result, study, chosen)
    if twice := sorted(set(covariates) & set(parameters)):
        raise InputError(f"{twice[0]} is given both as a covariate and as a parameter")
    replaced = typical_values(kernel, parameters)  # names and bounds

    n_draws = 1
    if "uncertainty" in chosen or "study" in chosen:
        if draws is not None and draws < 1:
            raise InputError(f"the number of draws must be at least 1, not {draws!r}")
        n_draws = subjects if draws is None else draws if crossed else min(draws, subjects)
    person = np.arange(subjects) if not crossed else np.repeat(np.arange(subjects), n_draws)
    draw = np.arange(person.size, dtype=np.int64) % n_draws
    notes = [words] if (words := version_words(result)) else []
    notes += result.notes if spec.unfitted else ()
    points = drawn_points(result, chosen, n_draws, seed, posterior, notes)
    typical, spread = typical_and_spread(result, spec, kernel, chosen, points, seed, study, notes)
    for place in (kernel.PARAMETERS.index(name) for name in parameters):
        typical[:, place] = replaced[place]
    z = correlated(kernel.PARAMETERS, kernel.CORRELATIONS, normals(seed, subjects, kernel.n_params, SUBJECT))
    for name, brought in covariates.items():
        place, median, sd = covariate_of(kernel, result, name, brought)
        typical[:, place], spread[:, place] = median, sd
    if responders is not None:
        _respond(kernel, result, spec, chosen, covariates, responders, z, notes)
    z = z[person]
    values = scattered(kernel, typical[draw], spread[draw], z)
    moved = np.mean((values == kernel.LOWER) | (values == kernel.UPPER), axis=0) * (
        (kernel.LOWER < kernel.UPPER) & ((np.ptp(typical, axis=0) > 0.0) | (spread > 0.0).any(axis=0))
    )  # one that all have alike stands where it was put
    for place in map(int, np.flatnonzero(moved > CLIPPED)):
        low, high = kernel.LOWER[place], kernel.UPPER[place]
        notes.append(
            f"{100 * moved[place]:.0f} % of the subjects have {kernel.PARAMETERS[place]} at a bound, "
            f"{low:g} or {high:g}{'' if kernel.UNITS[place] == '1' else f' {kernel.UNITS[place]}'}."
        )
    for per, place in kernel.SIZES.items():
        low, high = PEOPLE[per]
        if place >= 0 and (strange := np.mean((values[:, place] < low) | (values[:, place] > high))):
            notes.append(
                f"{100 * strange:.3g} % of the subjects have {kernel.PARAMETERS[place]} outside "
                f"{low:g} to {high:g} {kernel.UNITS[place]}, the sizes of people."
            )
    return Population(kernel, values, draw, chosen, seed, tuple(notes), person if crossed else None)


@dataclass(frozen=True)
class Bands:
    """Quantiles of outputs over subjects.

    times : (n_times,), in ``time_unit``; quantiles : (n_q,); values : (n_q, n_times, n_names), those of the
        subjects that could be integrated, within 0.5 %
    (``sketch``); subjects : how many there were, failed : how many of them could not be integrated;
    cautions : what the model says that a reader of its results must know.
    """

    times: Floats
    time_unit: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    quantiles: Floats
    values: Floats
    subjects: int
    failed: int
    cautions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        levels = ", ".join(f"{100 * level:g} %" for level in self.quantiles)
        return (
            f"<Bands of {', '.join(self.names)}: {levels} of {self.subjects:,} subjects at "
            f"{self.times.size:,} times in {self.time_unit}>"
        )

    def _repr_html_(self) -> str:
        columns = ("output", "unit", self.time_unit, *(f"{100 * level:g} %" for level in self.quantiles))
        rows = [
            (name, unit, float(time), *map(float, self.values[:, j, i]))
            for i, (name, unit) in enumerate(zip(self.names, self.units, strict=True))
            for j, time in enumerate(self.times)
        ]
        failed = [f"{self.failed} subjects could not be integrated."] if self.failed else []
        note = " ".join((*failed, *self.cautions, "A model, not medical advice."))
        return html.table(repr(self)[1:-1], columns, rows, note)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset``: a variable for each output, (quantile, time), with its unit.

        Raises ``MissingExtraError`` where the package xarray is not installed.
        """
        xarray = optional("xarray", "xarray")
        return xarray.Dataset(
            {
                name: (("quantile", "time"), self.values[:, :, i], {"units": self.units[i]})
                for i, name in enumerate(self.names)
            },
            coords={"quantile": self.quantiles, "time": ("time", self.times, {"units": self.time_unit})},
            attrs={"cautions": list(self.cautions)},
        )


@takes(times=NUMBERS, outputs=TEXTS, quantiles=NUMBERS, rtol=NUMBER, threads=COUNT | ABSENT)
def bands(
    population: Population,
    events: EventTable,
    times: ArrayLike,
    outputs: Sequence[str],
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    *,
    rtol: float = BANDS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Bands:
    """Quantile bands of outputs over a population, in memory that does not grow with the number of subjects.

    Subjects are integrated at most 64 at a time and counted in a sketch of each thread; no path is kept. The
    result does not depend on the number of threads.
    times : (n_times,), in the model's time unit, in any order.

    Raises ``InputError`` for an output that the model does not have, and ``SolverError`` where no subject can
    be integrated.
    """
    kernel, n = population.kernel, len(population)
    for name in outputs:
        if name not in kernel.OUTPUTS:
            raise InputError(f'{kernel.NAME} has no output "{name}"; it has {", ".join(kernel.OUTPUTS)}')
    columns = [kernel.OUTPUTS.index(name) for name in outputs]
    grid = np.atleast_1d(np.asarray(times, dtype=np.float64))
    free = [Sketch((grid.size, len(columns)))]
    free[0].quantiles(quantiles)  # whether they are ones, asked before the work
    failed: list[int] = []

    def run(first: int, end: int) -> None:
        solution = solve(
            kernel, population.values[first:end], events, grid, options=Options(rtol=rtol, threads=1)
        )
        values = solution.outputs[:, :, columns]
        failed.append(int(np.count_nonzero(~np.isfinite(values).all(axis=(1, 2)))))
        try:
            sketch = free.pop()
        except IndexError:  # all are at work
            sketch = Sketch(values.shape[1:])
        sketch.add(values)
        free.append(sketch)

    spread(run, n, min(threads or usable_cores(), n), CHUNK, counting(progress, "simulating"))
    total = free.pop()
    for sketch in free:
        total.merge(sketch)
    if sum(failed) == n:
        solve(kernel, population.values[0], events, grid, options=Options(rtol=rtol)).check()
    units = tuple(kernel.OUTPUT_UNITS[column] for column in columns)
    return Bands(
        times=grid,
        time_unit=kernel.TIME_UNIT,
        names=tuple(outputs),
        units=units,
        quantiles=np.asarray(quantiles, dtype=np.float64),
        values=total.quantiles(quantiles),
        subjects=n,
        failed=sum(failed),
        cautions=cautions_of(kernel),
    )


def varied(vary: Collection[str]) -> tuple[str, ...]:
    for name in [vary] if isinstance(vary, str) else vary:
        if name not in VARIATION:
            raise InputError(f'subjects cannot vary by "{name}"; {question_or_list(str(name), VARIATION)}')
    return tuple(name for name in VARIATION if name in ([vary] if isinstance(vary, str) else vary))


def fitted_model(fit: FitResult | str | os.PathLike[str]) -> tuple[FitResult, FitSpec, Kernel]:
    """A result, what its folder says, and its model: all three of one state. Of a model that nobody has
    fitted, what its file states."""
    if isinstance(fit, FitResult):
        result, spec = fit, read_fit(fit.name)
    else:
        spec = read_fit_or_model(fit)
        if spec.unfitted:
            kernel = load(spec.main.model)
            return own_values(spec, kernel), spec, kernel
        result = FitResult.read_json(library.fit_result(fit))
    check_belongs(result, spec)
    return result, spec, load(spec.main.model)


def _check_unfitted(spec: FitSpec, study: str | None, posterior: object, chosen: Collection[str]) -> None:
    """Refuse what only a fit has."""
    for asked, what in (
        (study is not None or "study" in chosen, "effects of studies"),
        (posterior is not None, "a posterior"),
    ):
        if asked:
            raise InputError(f"{spec.name} is a model that nobody has fitted: only a fit has {what}")


def check_study(result: FitResult, study: str | None, chosen: tuple[str, ...]) -> None:
    if study is None:
        return
    if "study" in chosen:
        raise InputError(
            f'subjects are either of the study {study} or of a new one (vary by "study"), not both'
        )
    if study not in result.study_values:
        raise InputError(
            f'the fit {result.name} has no study "{study}"; {question_or_list(study, result.study_values)}'
        )


def laplace(result: FitResult, z: Floats, *, principal: bool = False) -> Floats:
    """Points around the optimum, (n_draws, n_estimates) on the scales of the estimates, from standard normal
    numbers z of that shape: the normal approximation of the posterior at its mode (Gelman et al., Bayesian
    Data Analysis, 3rd ed. 2013, section 4.1, equation 4.2).

    By the symmetric root of the covariance, which is unique; principal : by its eigenvectors, each column of
    z along one of them, whose signs (and axes, where variances are equal) are the linear algebra library's
    choice. No points where the result has no covariance.
    """
    centre = np.array([estimate.x for estimate in result.estimates])
    covariance = np.array(result.covariance, dtype=np.float64)
    if covariance.shape != (centre.size, centre.size) or not np.all(np.isfinite(covariance)):
        return np.empty((0, centre.size))
    squares, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(squares, 0.0))
    root = root if principal else root @ vectors.T
    # one by one: a product with all would round differently for another number of draws
    return np.array([centre + root @ point for point in z]).reshape(len(z), centre.size)


def drawn_points(
    result: FitResult,
    chosen: tuple[str, ...],
    n_draws: int,
    seed: int,
    posterior: PosteriorDraws | str | os.PathLike[str] | None,
    notes: list[str],
) -> Floats:
    """Draws of the estimates on their scales, (n_draws, n_estimates): those of the posterior, or of its
    normal approximation; all the optimum without "uncertainty"."""
    estimates = result.estimates
    if posterior is not None:
        draws = of_result(posterior, result)
        if "uncertainty" not in chosen:
            raise InputError(
                'draws from the posterior are uncertainty of the estimates: vary by "uncertainty"'
            )
        return draws.points(n_draws, seed)
    if "uncertainty" not in chosen:
        return np.tile([estimate.x for estimate in estimates], (n_draws, 1))
    points = laplace(result, normals(seed, n_draws, len(estimates), ESTIMATES))
    if not len(points):
        raise InputError(
            f"the result of the fit {result.name} has no covariance of its estimates: vary "
            'without "uncertainty"'
        )
    if free := [estimate.name for estimate in estimates if not np.isfinite(estimate.x_sd)]:
        notes.append(
            f"Neither data nor priors determine {', '.join(free)}: this uncertainty is not carried through."
        )
    return points


def typical_and_spread(
    result: FitResult,
    spec: FitSpec,
    kernel: Kernel,
    chosen: tuple[str, ...],
    points: Floats,
    seed: int,
    study: str | None,
    notes: list[str],
) -> tuple[Floats, Floats]:
    """Typical values and between-subject log-SDs (the square roots of OMEGA's diagonal) of every draw of the
    estimates, each (n_draws, n_params)."""
    estimates, n_draws = result.estimates, len(points)
    effects = {}
    if "study" in chosen:
        fitted = {estimate.target for estimate in estimates if estimate.kind == "study effect"}
        effects = {
            effect.parameter: effect.sd for effect in spec.main.study_effects if effect.parameter in fitted
        }
    new = normals(seed, n_draws, kernel.n_params, STUDY) if effects else None
    typical, spread = np.empty((n_draws, kernel.n_params)), np.zeros((n_draws, kernel.n_params))
    for d, x in enumerate(points):
        shifts = (
            {} if new is None else {n: sd * new[d, kernel.PARAMETERS.index(n)] for n, sd in effects.items()}
        )
        known = typical_at(estimates, x, result.values, study or "", shifts)
        typical[d] = [known[name] for name in kernel.PARAMETERS]
        if "between" in chosen:
            for name, sd in between_at(estimates, x, result.between).items():
                spread[d, kernel.PARAMETERS.index(name)] = sd
    if "between" in chosen and not spec.unfitted:
        fitted = {estimate.target for estimate in estimates if estimate.kind == "between-subject SD"}
        if assumed := [name for name in result.between if name not in fitted]:
            notes.append(
                f"How {', '.join(assumed)} differ between people was not fitted: these SDs are the "
                "model file's own."
            )
    return typical, spread


def covariate_of(
    kernel: Kernel, result: FitResult, name: str, given: float | str | tuple[float | str, float]
) -> tuple[int, float, float]:
    """Place, median and log-SD of a covariate."""
    known = [n for n, kind in zip(kernel.PARAMETERS, kernel.KINDS, strict=True) if kind == "covariate"]
    known += [n for n in result.between if n not in known]
    if name not in known:
        raise InputError(f'{kernel.NAME} has no covariate "{name}"; {question_or_list(name, known)}')
    place = kernel.PARAMETERS.index(name)
    pair = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given, 0.0)
    median, sd = (value_of(kernel, name, pair[0]), pair[1]) if len(pair) == 2 else (np.nan, np.nan)
    if isinstance(sd, str) or not 0.0 <= sd < np.inf:
        raise InputError(f"{name} = {given!r} must be a value, or a median and a log-SD such as (1.9, 0.1)")
    typical_values(kernel, {name: pair[0]})  # bounds
    # not every model states bounds for what a person brings along
    if median < 0.0 < kernel.VALUES[place] or (median == 0.0 and (sd or place in kernel.SIZES.values())):
        raise InputError(f"{name} = {median:g} [{kernel.UNITS[place]}] must be positive")
    return place, float(median), float(sd)


def _respond(
    kernel: Kernel,
    result: FitResult,
    spec: FitSpec,
    chosen: tuple[str, ...],
    covariates: Collection[str],
    responders: str,
    z: Floats,
    notes: list[str],
) -> None:
    """Move the normal numbers of one parameter, in place, into a third of their distribution, and what goes
    together with it accordingly."""
    if responders not in RESPONDERS:
        raise InputError(
            f'there is no class of responders "{responders}"; {question_or_list(responders, RESPONDERS)}'
        )
    if "between" not in chosen:
        raise InputError('responders are thirds of the spread between people: vary by "between"')
    name = _response(kernel, result, spec.responders)
    if name in covariates:
        raise InputError(f"responders are thirds of the spread of {name}, which is given as a covariate")
    place, third, normal = kernel.PARAMETERS.index(name), RESPONDERS.index(responders), NormalDist()
    moved = np.array(
        [normal.inv_cdf(min(max((third + normal.cdf(v)) / 3, 1e-300), 1 - 1e-16)) for v in z[:, place]]
    )
    with_it = correlation_matrix(kernel.PARAMETERS, kernel.CORRELATIONS)[place]
    shift = moved - z[:, place]
    for other in np.flatnonzero(with_it):  # what does not depend on it stays as it is
        z[:, other] += with_it[other] * shift
    z[:, place] = moved
    notes.append(
        f"Responders, {responders}: a third of the model's own spread of {name}, not the classes of "
        "Giovannelli 2021."
    )


def _response(kernel: Kernel, result: FitResult, named: str) -> str:
    """The parameter by which people respond differently: the one that fit.toml names, or the only one whose
    spread was fitted and on which no output at rest depends."""
    fitted = [estimate.target for estimate in result.estimates if estimate.kind == "between-subject SD"]
    if named:
        if named not in fitted:
            raise InputError(
                f'the fit {result.name} names responders = "{named}", whose spread between people it has not '
                f"estimated; {question_or_list(named, fitted)}"
            )
        return named
    places = [kernel.PARAMETERS.index(name) for name in fitted]
    values = np.tile([result.values[name] for name in kernel.PARAMETERS], (1 + len(places), 1))
    for row, place in enumerate(places, start=1):
        other = 1.1 * values[row, place]
        values[row, place] = other if other <= kernel.UPPER[place] else 0.9 * values[row, place]
    rest = solve(kernel, values, EventTable.empty(), [0.0], options=Options(threads=1)).check().outputs[:, 0]
    silent = [
        name
        for name, row in zip(fitted, rest[1:], strict=True)
        if np.allclose(row, rest[0], rtol=1e-6, atol=0.0, equal_nan=True)
    ]
    if len(silent) != 1:
        found = f"there are {', '.join(silent)}" if silent else "there is none"
        raise InputError(
            "classes of responders need one parameter whose spread between people the fit "
            f"{result.name} has estimated and that does not show without drug; {found}. "
            'responders = "..." in fit.toml names one'
        )
    return silent[0]
