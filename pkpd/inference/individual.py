"""Measured values of one person and a fit -> what the person's parameters may be, and the curves that follow:
empirical Bayes from the fit's population (Sheiner & Beal 1982, J Pharm Sci 71:1344).

    found = individualise("low_dose_il2", "her.csv", "1 MIU sc daily x5")
    print(found.summary())

The prior is the fit's population: between-subject spreads and correlations, the uncertainty of the estimates
as draws of them, and where asked a new study. The error of a measurement is the fit's ([noise] in fit.toml).
A model, not medical advice.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import ABSENT, COUNT, LIST, MAPPING, PATH, TEXT, WHOLE, of, takes
from pkpd.core.errors import InputError, SolverError
from pkpd.core.progress import Progress, quiet
from pkpd.dosing import Schedule
from pkpd.dosing.taking import GivenDoses, TakenSchedule, exact_doses
from pkpd.inference import FitResult
from pkpd.inference.draws import PosteriorDraws
from pkpd.inference.measurements import Measurement, check_measurements, read_measurements
from pkpd.inference.person import EffectsPrior, Modes, modes, sampled
from pkpd.inference.population import (
    Population,
    check_study,
    covariate_of,
    drawn_points,
    fitted_model,
    typical_and_spread,
    varied,
)
from pkpd.inference.subject import SubjectLikelihood
from pkpd.inference.summary.samples import Noise
from pkpd.model.correlation import correlation_matrix
from pkpd.simulation.profile import ADVICE, check_count, typical_values
from pkpd.solver.kernel import Kernel, cautions_of

Floats = NDArray[np.float64]

PERSON = "person"
"""What stands in ``Population.vary`` where the subjects are draws of one person."""
FEW = 200  # effective draws, below which it is said
PER_SUBJECT = 4  # weighted draws for each that is kept
LEVELS = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Individual:
    """What measurements say of one person.

    Attributes
    ----------
    fit : its name, or its folder.
    given : the doses that the person had.
    measurements : in the model's units.
    before, after : draws of what the person's parameters may be, (n_subjects, n_params) each in ``values``:
        from the population, and with the measurements.
    names : (n_etas,), of the parameters that differ between people.
    eta : (n_etas,), the most probable ETAs, at the estimates under which the measurements are most probable.
    eta_covariance : (n_etas, n_etas), of the ETAs there (Laplace).
    effective : how many independent draws the weighted ones are worth that ``after`` is taken from.
    predicted_before, predicted_after : (n_subjects, n_measurements), what the model has where there is a
        measurement, without its error.
    errors : (n_measurements,), the SD of the error of each measurement, where the median of ``after`` is.
    notes : sentences that a reader needs.

    Examples
    --------
    >>> import pkpd
    >>> from pkpd.inference.measurements import Measurement
    >>> seen = [Measurement(0.0, "treg_pct", 5.0), Measurement(7 * 24.0, "treg_pct", 8.0)]  # h, percent
    >>> her = pkpd.individualise("low_dose_il2", seen, "1 MIU sc daily x5", subjects=100, draws=5)
    >>> her
    <Individual of low_dose_il2: 2 measurements; klymph, ka, tlag, CL, K, pct0 differ between people>
    >>> her.after.values.shape == her.before.values.shape == (100, len(her.after.kernel.PARAMETERS))
    True
    """

    fit: str
    given: Schedule
    measurements: tuple[Measurement, ...]
    before: Population
    after: Population
    names: tuple[str, ...]
    eta: Floats
    eta_covariance: Floats
    effective: float
    predicted_before: Floats
    predicted_after: Floats
    errors: Floats
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        n = len(self.measurements)
        return (
            f"<Individual of {self.fit}: {n} measurement{'s' * (n != 1)}; {', '.join(self.names)} differ "
            "between people>"
        )

    def _repr_html_(self) -> str:
        columns = ("parameter", "unit", "people, median", "90 %", "this person, median", "90 %", "learned, %")
        rows = [
            (
                row["name"],
                row["unit"],
                row["before"][1],
                html.interval(*_middle_first(row["before"])),
                row["after"][1],
                html.interval(*_middle_first(row["after"])),
                100 * row["learned"],
            )
            for row in self.parameters()
        ]
        return html.table(repr(self)[1:-1], columns, rows, " ".join((*self.notes, ADVICE)))

    @property
    def kernel(self) -> Kernel:
        """Of the model."""
        return self.after.kernel

    def parameters(self) -> list[dict[str, Any]]:
        """Of each parameter that differs: ``name``, ``unit``, 5 %, 50 % and 95 % of the population ``before``
        and of the person ``after``, and the share of the variance of its logarithm that the measurements took
        away, ``learned`` (at least 0)."""
        found = []
        for name in self.names:
            place = self.kernel.PARAMETERS.index(name)
            old, new = self.before.values[:, place], self.after.values[:, place]
            variance = float(np.var(np.log(old)))
            found.append(
                {
                    "name": name,
                    "unit": self.kernel.UNITS[place],
                    "before": np.quantile(old, LEVELS).tolist(),
                    "after": np.quantile(new, LEVELS).tolist(),
                    "learned": max(0.0, 1.0 - float(np.var(np.log(new))) / variance) if variance else 0.0,
                }
            )
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Of each measurement: ``output``, ``unit``, ``time``, ``value``, the SD of its ``error``, and 5 %,
        50 % and 95 % of what the model has there ``before`` and ``after``, without that error."""
        units = dict(zip(self.kernel.OUTPUTS, self.kernel.OUTPUT_UNITS, strict=True))
        return [
            {
                "output": one.output,
                "unit": units[one.output],
                "time": one.time,
                "value": one.value,
                "error": float(self.errors[i]),
                "before": np.nanquantile(self.predicted_before[:, i], LEVELS).tolist(),
                "after": np.nanquantile(self.predicted_after[:, i], LEVELS).tolist(),
            }
            for i, one in enumerate(self.measurements)
        ]

    def summary(self) -> str:
        """What there is to say, as lines."""
        lines = [f"{self.fit}, {self.kernel.NAME}: after {self.given}"]
        for row in self.parameters():
            unit = "" if row["unit"] == "1" else f" {row['unit']}"
            own, people = (
                f"{middle:.3g} ({low:.3g} to {high:.3g})"
                for low, middle, high in (row["after"], row["before"])
            )
            lines.append(
                f"{row['name']}: {own}{unit}, of people {people}; learned {100 * row['learned']:.0f} %"
            )
        return "\n".join((*lines, *self.notes, ADVICE))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "fit": self.fit,
            "model": self.kernel.NAME,
            "given": str(self.given),
            "time_unit": self.kernel.TIME_UNIT,
            "measurements": self.rows(),
            "parameters": self.parameters(),
            "eta": dict(zip(self.names, self.eta.tolist(), strict=True)),
            "covariance_of_eta": self.eta_covariance.tolist(),
            "effective_draws": self.effective,
            "draws": len(self.after),
            "notes": list(self.notes),
        }


def _middle_first(band: Sequence[float]) -> tuple[float, float, float]:
    return band[1], band[0], band[2]


@takes(
    fit=PATH | of(FitResult, words="the result of a fit"),
    measurements=PATH | LIST,
    schedule=TEXT | of(Schedule, TakenSchedule),
    subjects=WHOLE,
    draws=WHOLE,
    seed=WHOLE,
    vary=TEXT | LIST,
    study=TEXT | ABSENT,
    covariates=MAPPING | ABSENT,
    parameters=MAPPING | ABSENT,
    posterior=PATH | ABSENT | of(PosteriorDraws, words="draws from the posterior"),
    threads=COUNT | ABSENT,
)
def individualise(
    fit: FitResult | str | os.PathLike[str],
    measurements: str | os.PathLike[str] | Sequence[Measurement],
    schedule: str | GivenDoses,
    *,
    subjects: int = 1000,
    draws: int = 25,
    seed: int = 1,
    vary: Collection[str] = ("between", "uncertainty"),
    study: str | None = None,
    covariates: Mapping[str, float | str | tuple[float | str, float]] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    posterior: PosteriorDraws | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Individual:
    """What the measured values of one person say of the person's parameters: empirical Bayes.

    Parameters
    ----------
    fit : the name or folder of a fit with its result beside it, or the result.
    measurements : a table of measured values (`pkpd.inference.measurements`), or a list of ``Measurement``;
        an empty one gives the population.
    schedule : the doses that the person had, in the schedule language, with those that were missed, late or
        doubled; days of the measurements count from its day 0.
    subjects : how many draws of this person are kept.
    draws : of the estimates, without "uncertainty" and "study" one.
    seed : of all draws.
    vary : what is not known of a person: "between" (always), "uncertainty" of the estimates, "study", as in
        ``virtual_subjects``.
    study : a study of the fit, with its own estimated effects.
    covariates : what is known of the person: values of covariates and parameters, in the model's units or
        texts such as "1.7 m^2" or "Mosteller(70 kg, 172 cm)". What goes together with one is known better.
    parameters : typical values that replace those of the fit.
    posterior : draws from the posterior of the fit, in place of the normal approximation.
    threads : how many work at a time; no result depends on it.
    progress : called with (what, share, remark).

    Returns
    -------
    Individual : the most probable ETAs with their covariance, and draws of the parameters before and after.

    Raises
    ------
    InputError : or one of its kinds: unknown names, wrong values, a table that is wrong (each field with its
        line and column), a schedule that the model cannot be given.
    SolverError : no draw can be simulated.

    Examples
    --------
    >>> import pkpd
    >>> nothing = pkpd.individualise("low_dose_il2", [], "none", subjects=200, vary=["between"])
    >>> bool(abs(nothing.eta).max() < 1e-6)  # without measurements the population is all that is known
    True
    """
    progress = progress or quiet
    check_count(subjects, seed)
    chosen = varied(vary)
    result, spec, kernel = fitted_model(fit)
    if "between" not in chosen:
        raise InputError('a person differs from others by what people differ by: vary by "between"')
    check_study(result, study, chosen)
    noise = {name: Noise(**numbers) for name, numbers in result.noise.items() if name in kernel.OUTPUTS}
    had = exact_doses(schedule)
    events = had.events_for(kernel)
    if isinstance(measurements, str | os.PathLike):
        measured = read_measurements(measurements, kernel, noise)
    else:
        measured = tuple(measurements)
        check_measurements(measured, kernel, noise)
    notes: list[str] = []
    n_draws = max(1, draws) if {"uncertainty", "study"} & set(chosen) else 1
    points = drawn_points(result, chosen, n_draws, seed, posterior, notes)
    typical, spread = typical_and_spread(result, spec, kernel, chosen, points, seed, study, notes)
    for name, value in typical_values_of(kernel, parameters).items():
        typical[:, kernel.PARAMETERS.index(name)] = value
    prior = prior_of(kernel, result, typical, spread, covariates or {})
    likelihood = SubjectLikelihood(kernel, events, measured, noise, prior.names, threads)
    progress("looking for what is most probable", 0.0, "")
    best = modes(prior, likelihood)
    if not np.isfinite(best.value).any():
        raise SolverError("the model cannot be simulated at what the fit has for this person")
    progress("drawing", 0.4, "")
    weighted = sampled(prior, likelihood, best, PER_SUBJECT * subjects, seed)
    kept = weighted.resampled(subjects)
    values = prior.values(weighted.draw[kept], weighted.z[kept])
    if weighted.effective < FEW:
        notes.append(
            f"The {subjects:,} draws of this person are taken from some worth {weighted.effective:.0f}: "
            "ends of intervals are rough; more subjects make them better."
        )
    before = Population(
        kernel, prior.values(*prior.drawn(subjects, seed)), _zeros(subjects), chosen, seed, ()
    )
    after = Population(kernel, values, _zeros(subjects), (PERSON,), seed, tuple(notes))
    predicted = likelihood.predicted(before.values), likelihood.predicted(values)
    eta, covariance = _most_probable(prior, best)
    return Individual(
        fit=result.name if isinstance(fit, FitResult) else os.fspath(fit),
        given=had,
        measurements=measured,
        before=before,
        after=after,
        names=prior.names,
        eta=eta,
        eta_covariance=covariance,
        effective=weighted.effective,
        predicted_before=predicted[0],
        predicted_after=predicted[1],
        errors=likelihood.sd(np.nanmedian(predicted[1], axis=0)) if measured else np.empty(0),
        notes=(*notes, *_far(measured, predicted[1], likelihood), *cautions_of(kernel)),
    )


def _zeros(n: int) -> NDArray[np.int64]:
    return np.zeros(n, dtype=np.int64)


def _most_probable(prior: EffectsPrior, best: Modes) -> tuple[Floats, Floats]:
    """ETAs and their covariance of the draw of the estimates under which the mode is highest."""
    d = int(np.nanargmin(np.where(np.isfinite(best.value), best.value, np.nan)))
    spread = prior.spread[d]
    return spread * best.z[d], spread[:, None] * best.covariance[d] * spread


def typical_values_of(kernel: Kernel, parameters: Mapping[str, float | str] | None) -> dict[str, float]:
    """Replaced typical values by name, checked and in the model's units."""
    values = typical_values(kernel, parameters)
    return {name: float(values[kernel.PARAMETERS.index(name)]) for name in parameters or {}}


def prior_of(
    kernel: Kernel,
    result: FitResult,
    typical: Floats,
    spread: Floats,
    covariates: Mapping[str, float | str | tuple[float | str, float]],
) -> EffectsPrior:
    """The prior of a person's effects at draws of the estimates, each (n_draws, n_params), given what is
    known of the person: a known value says also of others what the model's correlations say."""
    typical = typical.copy()
    given: list[int] = []
    z_given: dict[int, Floats] = {}  # (n_draws,), of what differs between people
    for name, value in covariates.items():
        place, median, sd = covariate_of(kernel, result, name, value)
        if sd:
            raise InputError(f"{name} = {value!r}: of one person it is a value, without a spread")
        given.append(place)
        if spread[:, place].all():
            z_given[place] = np.log(median / typical[:, place]) / spread[:, place]
        typical[:, place] = median
    differ = [place for place in range(kernel.n_params) if place not in given and spread[:, place].any()]
    if not differ:
        raise InputError(f"nothing of {kernel.NAME} differs between people that is not given")
    places, by = np.array(differ, dtype=np.int64), np.array(list(z_given), dtype=np.int64)
    correlation = correlation_matrix(kernel.PARAMETERS, kernel.CORRELATIONS)
    mean, covariance = np.zeros((len(typical), places.size)), correlation[np.ix_(places, places)]
    if by.size:
        slope = correlation[np.ix_(places, by)] @ np.linalg.inv(correlation[np.ix_(by, by)])
        mean = np.stack(list(z_given.values()), axis=1) @ slope.T
        covariance = np.asarray(covariance - slope @ correlation[np.ix_(by, places)])
    return EffectsPrior(kernel, places, typical, spread[:, places], mean, covariance)


def _far(measured: Sequence[Measurement], predicted: Floats, likelihood: SubjectLikelihood) -> list[str]:
    """Measurements that this person is not expected to have, whoever the person is."""
    found: list[str] = []
    if not measured:
        return found
    unit = likelihood.kernel.TIME_UNIT
    with np.errstate(invalid="ignore"):
        off = (likelihood.y - predicted) / likelihood.sd(predicted)
    for one, nearest in zip(measured, np.nanmin(np.abs(off), axis=0), strict=True):
        if nearest > 3.0:
            found.append(
                f"{one.output} = {one.value:.4g} at {one.time:g} {unit} is more than three SDs of its error "
                "away from what the model can have: is the value, its unit or its time right?"
            )
    return found
