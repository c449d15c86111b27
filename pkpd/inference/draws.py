"""Draws from the posterior of a fit: kept, read again, summed up, and handed on in place of the normal
approximation.

    draws = PosteriorDraws.read("results/my_fit")
    draws["CL"].median, draws.points(25, seed=1)

What is read needs neither nutpie nor ArviZ; ``to_arviz`` and ``loo`` do.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core import html
from pkpd.core.arguments import PATH, takes
from pkpd.core.errors import DataError
from pkpd.inference import FitResult
from pkpd.inference.belonging import BELONGING
from pkpd.inference.by_arviz import inference_data, leave_one_out

Array = NDArray[np.float64]

FILE = "draws.npz"
"""What draws are called in the folder of a fit's results."""
PRIOR_DRAWS = 1000
"""Of each prior, for ArviZ."""
_STATISTIC = "statistic "
"""Begins the names of what the sampler told, among the arrays of a file."""


@dataclass(frozen=True)
class SampledEstimate:
    """One estimated number in its posterior.

    Attributes
    ----------
    name, kind, unit, scale, prior : as in ``Estimate``.
    centre, prior_sd : the normal prior on the scale of the search (inf: none or uniform).
    lowest, highest : its bounds there.
    fitted, fitted_sd : the normal approximation of the fit there.
    mean, sd, median, lower, upper : as a person reads it; the 95 % interval leaves out 2.5 % on either side.
    r_hat : near 1 where chains agree (at most 1.01).
    ess_bulk, ess_tail : how many independent draws would be as good, for the middle and for the tails.
    """

    name: str
    kind: str
    unit: str
    scale: str
    prior: str
    centre: float
    prior_sd: float
    lowest: float
    highest: float
    fitted: float
    fitted_sd: float
    mean: float
    sd: float
    median: float
    lower: float
    upper: float
    r_hat: float
    ess_bulk: float
    ess_tail: float

    @property
    def effective(self) -> float:
        """Of the two the fewer; 0 where they are not known."""
        found = min(self.ess_bulk, self.ess_tail)
        return found if np.isfinite(found) else 0.0

    def prior_density(self, x: Array) -> Array | None:
        """Of the prior, on the scale of the search; None where there is none."""
        if np.isfinite(self.prior_sd):
            return _normal(x, self.centre, self.prior_sd)
        if not self.prior.startswith("uniform"):
            return None
        values = shown(self.kind, self.scale, x)
        slope = {"log": values, "logit": values * (1 - values)}.get(self.scale, np.ones_like(x))
        low, high = shown(self.kind, self.scale, np.array([self.lowest, self.highest]))
        return slope / (high - low)


class LeftOutDensity(NamedTuple):
    """How well blocks of rows are predicted by draws without them: ``elpd``, the expected log predictive
    density, with its standard error ``se``; ``p``, the effective number of parameters; ``blocks``: the rows
    of each, joined by +; of each its ``shares`` of elpd. By LOO also ``pareto_k`` (above ``good_k`` a share
    is not trusted); by WAIC ``pareto_k`` is empty."""

    elpd: float
    se: float
    p: float
    blocks: tuple[str, ...]
    shares: tuple[float, ...]
    pareto_k: tuple[float, ...] = ()
    good_k: float = np.inf

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Blocks that single draws would decide on."""
        return tuple(name for name, k in zip(self.blocks, self.pareto_k) if not k <= self.good_k)


@dataclass(frozen=True, eq=False)
class PosteriorDraws:
    """Draws from the posterior of a fit: what ``posterior_draws`` gives, and ``read`` gets back.

    Attributes
    ----------
    fit, title : of the fit.
    estimates : of each number that was estimated its posterior in figures, and how well chains agree.
    x : (n_chains, n_draws, n_estimates), on the scales of the search, in the order of the fit's estimates.
    log_likelihood : (n_chains, n_draws, n_rows), of each row given those before it that share its patients.
    rows, observed, blocks : (n_rows,) their names, what was observed, and which share patients.
    statistics : what the sampler tells of each draw, (n_chains, n_draws) each: ``diverging``, ``energy``,
        ``lp`` and the like, by ArviZ's names.
    interrupted : whether there were to be more.
    notes : sentences that a reader needs, whether chains agree first.
    provenance : what it was made from.

    Raises ``DataError``, in ``read``, for a file that has no draws.

    Examples
    --------
    >>> import pkpd
    >>> pkpd.PosteriorDraws.read("results/no_such_fit")
    Traceback (most recent call last):
    ...
    pkpd.core.errors.DataError: there is no results/no_such_fit: `pkpd sample` writes it
    """

    fit: str
    title: str
    estimates: tuple[SampledEstimate, ...]
    x: Array
    log_likelihood: Array
    rows: tuple[str, ...]
    observed: tuple[float, ...]
    blocks: tuple[int, ...]
    statistics: dict[str, NDArray[Any]]
    interrupted: bool
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        return (
            f"<PosteriorDraws of {self.fit}: {self.x.shape[0]} chains of {self.x.shape[1]:,} draws, "
            f"{len(self.estimates)} estimates; summary() has them>"
        )

    def _repr_html_(self) -> str:
        columns = ("estimate", "median", "unit", "95 % from", "to", "R-hat", "effective draws")
        rows = [(e.name, e.median, e.unit, e.lower, e.upper, e.r_hat, e.effective) for e in self.estimates]
        return html.table(
            repr(self)[1:-1], columns, rows, " ".join((*self.notes, "A model, not medical advice."))
        )

    def __getitem__(self, name: str) -> SampledEstimate:
        for estimate in self.estimates:
            if estimate.name == name:
                return estimate
        raise KeyError(name)

    @property
    def values(self) -> Array:
        """The draws as a person reads them, in the model's units, (n_chains, n_draws, n_estimates): study
        effects on a log scale as factors, on others as shifts."""
        columns = [shown(e.kind, e.scale, self.x[..., k]) for k, e in enumerate(self.estimates)]
        return np.stack(columns, axis=-1) if columns else self.x

    def points(self, count: int, seed: int = 0) -> Array:
        """Some draws in random order, (count, n_estimates) on the scales of the search; the first of more are
        those of fewer. Of more than there are, some come again."""
        flat = self.x.reshape(-1, len(self.estimates))
        order = np.random.default_rng(seed).permutation(len(flat))
        return np.asarray(flat[order[np.arange(count) % len(flat)]])

    def drawn(self, count: int = 121) -> list[dict[str, Any]]:
        """What the figures of ``pkpd.present.plot.draws`` take."""
        found = []
        for k, e in enumerate(self.estimates):
            x = self.x[..., k]
            middle, half = float(x.mean()), 4 * float(x.std())
            at = np.linspace(max(middle - half, e.lowest), min(middle + half, e.highest), count)
            known = 0 < e.fitted_sd < np.inf
            found.append(
                {
                    "name": e.name,
                    "unit": e.unit,
                    "scale": "natural" if e.kind == "study effect" and e.scale != "log" else e.scale,
                    "x": x,
                    "at": at,
                    "values": shown(e.kind, e.scale, at),
                    "posterior": _density(x.ravel(), at),
                    "prior": e.prior_density(at),
                    "normal": _normal(at, e.fitted, e.fitted_sd) if known else None,
                }
            )
        return found

    def summary(self) -> str:
        """A line for each estimate, and the notes."""
        lines = [
            f"{e.name}: {e.median:.3g}, 95 % {e.lower:.3g} to {e.upper:.3g} {'' if e.unit == '1' else e.unit}"
            f"; R-hat {e.r_hat:.3f}, {e.effective:,.0f} effective draws"
            for e in self.estimates
        ]
        return "\n".join([self.title, *lines, *self.notes])

    def check_of(self, result: FitResult) -> None:
        """Raise ``DataError`` unless the draws are of this result's model, data and fit.toml."""
        about = {key: result.provenance.get(key) for key in BELONGING}
        names = [estimate.name for estimate in result.estimates]
        if about != {key: self.provenance.get(key) for key in BELONGING} or names != [
            estimate.name for estimate in self.estimates
        ]:
            raise DataError(
                f"these draws of the fit {self.fit} do not belong to the result of the fit {result.name}: "
                "another model, other data or another fit.toml; draw again with `pkpd sample`"
            )

    # -- rows that are left out

    @property
    def block_names(self) -> tuple[str, ...]:
        """Of each block the names of its rows, joined by +."""
        names: dict[int, list[str]] = {}
        for row, block in zip(self.rows, self.blocks, strict=True):
            names.setdefault(block, []).append(row)
        return tuple("+".join(names[block]) for block in sorted(names))

    @property
    def block_log_likelihood(self) -> Array:
        """(n_chains, n_draws, n_blocks): of rows that share patients together."""
        found = np.zeros((*self.x.shape[:2], len(set(self.blocks))))
        for k, block in enumerate(self.blocks):
            found[..., block] += self.log_likelihood[..., k]
        return found

    def loo(self) -> LeftOutDensity:
        """Each block of rows left out in turn: how likely it is by the others' posterior, by Pareto-smoothed
        importance sampling. What a study effect is stays known from the study's other rows.

        Raises ``MissingExtraError`` without ArviZ.
        """
        found = leave_one_out(self.x, self.block_log_likelihood)
        shares, pareto_k = tuple(map(float, found.each)), tuple(map(float, found.pareto_k))
        return LeftOutDensity(found.elpd, found.se, found.p, self.block_names, shares, pareto_k, found.good_k)

    def waic(self) -> LeftOutDensity:
        """The same by the widely applicable information criterion (Watanabe 2010, J Mach Learn Res 11:3571;
        -2 elpd is WAIC), which is less robust than ``loo``."""
        log_likelihood = self.block_log_likelihood.reshape(-1, len(set(self.blocks)))
        p = log_likelihood.var(axis=0, ddof=1)
        shares = np.logaddexp.reduce(log_likelihood, axis=0) - np.log(len(log_likelihood)) - p
        se = float(np.sqrt(shares.size * shares.var()))
        return LeftOutDensity(
            float(shares.sum()), se, float(p.sum()), self.block_names, tuple(map(float, shares))
        )

    # -- files

    def to_arviz(self) -> Any:
        """For ArviZ: an ``InferenceData`` before its version 1, from then on a ``DataTree``, with the groups
        posterior (a variable for each estimate, as a person reads it), sample_stats, log_likelihood
        (``row``, and ``block`` of rows that share patients), observed_data and prior.

        Raises ``MissingExtraError`` without ArviZ.
        """
        names = [estimate.name.replace("/", "_") for estimate in self.estimates]  # a slash would be a group
        values = self.values
        groups: dict[str, dict[str, NDArray[Any]]] = {
            "posterior": {name: values[..., k] for k, name in enumerate(names)},
            "sample_stats": self.statistics,
            "log_likelihood": {"row": self.log_likelihood, "block": self.block_log_likelihood},
            "observed_data": {"row": np.array(self.observed)},
        }
        drawn = zip(names, self._prior_draws(), strict=True)
        if prior := {name: found[None] for name, found in drawn if found is not None}:
            groups["prior"] = prior
        return inference_data(
            groups,
            {"row": ["of_row"], "block": ["of_block"]},
            {"of_row": self.rows, "of_block": self.block_names},
        )

    def _prior_draws(self) -> list[Array | None]:
        generator = np.random.default_rng(0)
        found: list[Array | None] = []
        for e in self.estimates:
            if np.isfinite(e.prior_sd):
                x = np.clip(generator.normal(e.centre, e.prior_sd, PRIOR_DRAWS), e.lowest, e.highest)
                found.append(shown(e.kind, e.scale, x))
            elif e.prior.startswith("uniform"):
                low, high = shown(e.kind, e.scale, np.array([e.lowest, e.highest]))
                found.append(generator.uniform(low, high, PRIOR_DRAWS))
            else:
                found.append(None)
        return found

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as .npz: whole or not at all."""
        from pkpd.core.files import check_target, replacing, to_json

        told = {
            key: getattr(self, key)
            for key in ("fit", "title", "rows", "blocks", "interrupted", "notes", "provenance")
        } | {"estimates": [dataclasses.asdict(estimate) for estimate in self.estimates]}
        arrays: dict[str, Any] = {_STATISTIC + name: found for name, found in self.statistics.items()}
        with replacing(check_target(Path(path), (".npz",))) as temporary:
            np.savez_compressed(
                temporary,
                x=self.x,
                log_likelihood=self.log_likelihood,
                observed=np.array(self.observed),
                about=np.array(to_json(told)),
                **arrays,
            )

    @staticmethod
    @takes(path=PATH)
    def read(path: str | os.PathLike[str]) -> PosteriorDraws:
        """Read what ``write`` wrote; path : the file, or the folder that it lies in as draws.npz."""
        file = Path(path).expanduser()
        file = file / FILE if file.is_dir() else file
        try:
            with np.load(file, allow_pickle=False) as arrays:
                told = json.loads(str(arrays["about"]))
                statistics = {
                    name.removeprefix(_STATISTIC): arrays[name]
                    for name in arrays.files
                    if name.startswith(_STATISTIC)
                }
                x, log_likelihood, observed = (
                    np.asarray(arrays[key], np.float64) for key in ("x", "log_likelihood", "observed")
                )
            estimates = tuple(_estimate(each) for each in told.pop("estimates"))
            for key in ("rows", "blocks", "notes"):
                told[key] = tuple(told[key])
            if x.shape[2] != len(estimates) or log_likelihood.shape != (*x.shape[:2], len(told["rows"])):
                raise ValueError(f"arrays of shapes {x.shape} and {log_likelihood.shape}")
            return PosteriorDraws(
                estimates=estimates,
                x=x,
                log_likelihood=log_likelihood,
                observed=tuple(map(float, observed)),
                statistics=statistics,
                **told,
            )
        except FileNotFoundError:
            raise DataError(f"there is no {file}: `pkpd sample` writes it") from None
        except (OSError, EOFError, ValueError, TypeError, LookupError, zipfile.BadZipFile) as error:
            raise DataError(f"{file} has no posterior draws: {error}") from None


def of_result(given: PosteriorDraws | str | os.PathLike[str], result: FitResult) -> PosteriorDraws:
    """Draws, or those of a file or folder, which must belong to a result. Raises ``DataError``."""
    draws = given if isinstance(given, PosteriorDraws) else PosteriorDraws.read(given)
    draws.check_of(result)
    return draws


def _estimate(values: dict[str, Any]) -> SampledEstimate:
    """From its JSON, in which a number that JSON does not have is null."""
    missing: dict[str, Any] = {"prior_sd": np.inf, "fitted_sd": np.inf, "lowest": -np.inf, "highest": np.inf}
    return SampledEstimate(
        **{key: missing.get(key, np.nan) if value is None else value for key, value in values.items()}
    )


def _density(x: Array, at: Array) -> Array:
    """Of draws x (n_draws,), smoothed by normal kernels; none where all are the same."""
    from scipy.stats import gaussian_kde

    return np.asarray(gaussian_kde(x)(at)) if np.ptp(x) > 0 else np.zeros_like(at)


def _normal(x: Array, mean: float, sd: float) -> Array:
    """The normal density."""
    return np.asarray(np.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi)))


def shown(kind: str, scale: str, x: Array) -> Array:
    """As ``Coordinate.shown``, of many."""
    from scipy.special import expit

    if scale == "natural" or (kind == "study effect" and scale != "log"):
        return x
    return np.asarray(np.exp(x) if scale == "log" else expit(x))
