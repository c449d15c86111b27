"""How the residuals of rows are distributed when the model is right: by simulated trials.

The errors that are derived from a row's columns are exact for many normal patients. Real arms are small,
their own SD is uncertain (so that the mean is Student's t), what they show is skewed (so that the SD errs by
more than 1/sqrt(2(n-1))), and the numbers of one arm come from the same patients. So trials are drawn: n
patients out of those that the model predicts for the arm, each with its measurement errors, the same patients
and the same measurements for every row of the arm; each prints what the row prints, and has residuals u
against the population it came from. Of these follow

    z_i = g_i(u_i)    residuals on a scale where they are standard normal: g is the monotone curve through the
                      quantiles of u and those of the normal distribution (pivotal inference: an interval z^2
                      <= 3.84 has the coverage that it says; for normal patients g of a mean is
                      Phi^-1(F_t(u)))
    R = corr(z)       among rows that share patients; the objective is z' R^-1 z

Both are taken at a reference point, that of the estimate before, and held there: generalised least squares,
whose estimating equations are unbiased whatever R is (Carroll & Ruppert 1988, Transformation and Weighting in
Regression, sec. 2.3; Davidian & Giltinan 1995, Nonlinear Models for Repeated Measurement Data, sec. 2.3).
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.kinds import KINDS
from pkpd.inference.summary.kinds.kind import SURVIVAL
from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.samples import Noise, measurements, observed, time_of
from pkpd.inference.summary.terms import Measured, Term

Array = NDArray[np.float64]

TRIALS = 8000
LEAST_TOLD = 0.5
"""Share of trials that must print a row in its form (a range with a lower end above 0, say) to tell of it."""
MOST_PATIENTS = 200
"""Of a simulated trial: of more, residuals are as good as normal, and correlations the same."""
ROUNDING = 0.05
"""Share of a residual's variance that is its own: printed numbers are rounded, and no two numbers of an arm
say the same to the last digit."""
_LEVELS = np.array([-2.6, -2.2, -1.8, -1.4, -1.0, -0.6, -0.2, 0.2, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6])
"""Normal quantiles through which a score goes."""
ALIKE = 1e-6
"""Patients who differ by less than this share of their numbers, a hundredth of the tolerance that they are
integrated with, are all alike: the model says nothing of how they scatter."""
_NOISE = 3 / math.sqrt(TRIALS)
"""Correlations below this are noise of the trials."""
_BEYOND = 2.0
"""How far a curve goes on as a straight line behind the first and last of them."""


@dataclass(frozen=True)
class Score:
    """The monotone curve g: u -> z, straight beyond its ends.

    Attributes
    ----------
    knots : (n_levels,) of u, ascending, at the normal quantiles ``_LEVELS``.
    """

    knots: tuple[float, ...]

    @classmethod
    def of(cls, u: Array) -> Score | None:
        """Through the quantiles of u, (B,), of the trials that print such a row (the others are not finite);
        None where these are few or all the same."""
        from scipy.special import ndtr

        told = u[np.isfinite(u)]
        if told.size < LEAST_TOLD * u.size:
            return None
        knots = np.quantile(told, ndtr(_LEVELS))
        return cls(tuple(float(knot) for knot in knots)) if np.all(np.diff(knots) > 0) else None

    @cached_property
    def _curve(self) -> Any:
        from scipy.interpolate import PchipInterpolator

        u, z = np.array(self.knots), _LEVELS
        first = (u[1] - u[0]) / (z[1] - z[0]) * _BEYOND
        last = (u[-1] - u[-2]) / (z[-1] - z[-2]) * _BEYOND
        u = np.concatenate([[u[0] - first], u, [u[-1] + last]])
        return PchipInterpolator(u, np.concatenate([[z[0] - _BEYOND], z, [z[-1] + _BEYOND]]))

    @cached_property
    def _pieces(self) -> tuple[list[float], list[list[float]]]:
        """Where the curve's cubics begin and end, and their coefficients: one number is a hundredth of the
        work of an array's."""
        return self._curve.x.tolist(), self._curve.c.T.tolist()

    def __call__(self, u: float) -> tuple[float, float]:
        """z and dz/du."""
        ends, cubics = self._pieces
        inside = min(max(u, ends[0]), ends[-1])
        i = min(bisect_right(ends, inside), len(cubics)) - 1
        a3, a2, a1, a0 = cubics[i]
        d = inside - ends[i]
        slope = (3 * a3 * d + 2 * a2) * d + a1
        return ((a3 * d + a2) * d + a1) * d + a0 + slope * (u - inside), slope

    def at(self, u: Array) -> Array:
        """z of many."""
        ends = self._curve.x[[0, -1]]
        slopes = self._curve(ends, 1)
        inside = np.clip(u, *ends)
        beyond = np.where(u < ends[0], slopes[0], slopes[1]) * (u - inside)
        return np.asarray(self._curve(inside) + beyond)

    def inverse(self, z: float) -> float:
        """The u of a z within the levels."""
        from scipy.optimize import brentq

        ends, _ = self._pieces
        return float(brentq(lambda u: self(u)[0] - z, ends[0], ends[-1]))

    @cached_property
    def constant(self) -> float:
        """What a score adds to -2 log likelihood, so that its middle counts as it did: -2 log dz/du there."""
        return -2 * math.log(self(self.inverse(0.0))[1])


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row sees in the patients of one arm at the reference: its numbers ``y`` (K, w) and baseline (K,)
    as ``samples.sample`` has them. ``patients`` says who they are: rows of the same ones share them.
    """

    y: Array
    baseline: Array | None
    noise: Noise
    patients: Hashable
    output: str
    n: int


@dataclass(frozen=True)
class Sampling:
    """Scores of residuals and their correlations.

    Attributes
    ----------
    at : (n,) the point where trials were simulated.
    ids : of the rows.
    scores : of each residual of each row (None: it is its own).
    correlation : (M, M) of all residuals in their order.
    """

    at: tuple[float, ...]
    ids: tuple[str, ...]
    scores: tuple[tuple[Score | None, ...], ...]
    correlation: Array

    def kept(self, ids: Sequence[str]) -> Sampling:
        """That of some of the rows, in this order."""
        sizes = [len(each) for each in self.scores]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        places = [self.ids.index(name) for name in ids]
        index = [k for i in places for k in range(starts[i], starts[i + 1])]
        return Sampling(
            self.at, tuple(ids), tuple(self.scores[i] for i in places), self.correlation[np.ix_(index, index)]
        )

    def stated(self) -> dict[str, Any]:
        """In plain lists: the knots of every score, and what is correlated as (i, j, correlation), j < i."""
        lower = np.argwhere(np.tril(self.correlation, -1))
        return {
            "at": list(self.at),
            "rows": list(self.ids),
            "knots": [[None if one is None else list(one.knots) for one in mine] for mine in self.scores],
            "correlated": [[int(i), int(j), float(self.correlation[i, j])] for i, j in lower],
        }

    @classmethod
    def of_stated(cls, stated: Mapping[str, Any]) -> Sampling:
        """From ``stated``, bit for bit."""
        scores = tuple(
            tuple(None if knots is None else Score(tuple(knots)) for knots in row) for row in stated["knots"]
        )
        correlation = np.eye(sum(map(len, scores)))
        for i, j, r in stated["correlated"]:
            correlation[i, j] = correlation[j, i] = r
        return cls(tuple(stated["at"]), tuple(stated["rows"]), scores, correlation)

    @cached_property
    def _factor(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.correlation))

    def whitened(self, residuals: Array) -> Array:
        """L^-1 z, R = L L', of residuals (M,) or their derivatives (M, n): squares add up to z' R^-1 z, and
        each is what a residual adds to those before it."""
        from scipy.linalg import solve_triangular

        return (
            np.asarray(solve_triangular(self._factor, residuals, lower=True)) if residuals.size else residuals
        )

    def coloured(self, residuals: Array) -> Array:
        """The way back from ``whitened``."""
        return np.asarray(self._factor @ residuals) if residuals.size else residuals

    @cached_property
    def _inverse(self) -> Array:
        return np.asarray(np.linalg.inv(self.correlation))

    def squares_of(self, residuals: Array) -> tuple[float, Array]:
        """z' R^-1 z of residuals (M,) that are not scored, and its gradient by them (M,)."""
        z, slope = self.scored_of(residuals)
        turned = self._inverse @ z
        return float(z @ turned), 2 * turned * slope

    @cached_property
    def constant(self) -> float:
        """log det R, which belongs to -2 log likelihood."""
        return 2 * float(np.log(np.diag(self._factor)).sum())

    @cached_property
    def _cubics(self) -> tuple[Array, Array, Array]:
        """Of all scores: where cubics begin (M, n_pieces), where the last ends (M,), and coefficients (M,
        n_pieces, 4); of a residual without a score those of the line z = u."""
        flat = [score for mine in self.scores for score in mine]
        count = _LEVELS.size + 1
        starts, ends = np.tile(np.linspace(-1.0, 1.0, count), (len(flat), 1)), np.full(len(flat), 2.0)
        coefficients = np.zeros((len(flat), count, 4))
        coefficients[..., 2], coefficients[..., 3] = 1.0, starts
        for k, score in enumerate(flat):
            if score is not None:
                curve = score._curve
                starts[k], ends[k], coefficients[k] = curve.x[:-1], curve.x[-1], curve.c.T
        return starts, ends, coefficients

    def scored_of(self, residuals: Array) -> tuple[Array, Array]:
        """All residuals (M,) scored, and the slopes of the scores there."""
        starts, ends, coefficients = self._cubics
        inside = np.clip(residuals, starts[:, 0], ends)
        piece = np.maximum((inside[:, None] >= starts).sum(axis=1) - 1, 0)
        everyone = np.arange(len(residuals))
        a3, a2, a1, a0 = coefficients[everyone, piece].T
        d = inside - starts[everyone, piece]
        slope = (3 * a3 * d + 2 * a2) * d + a1
        return ((a3 * d + a2) * d + a1) * d + a0 + slope * (residuals - inside), slope

    def scored(self, row: int, term: Term) -> Term:
        """A row's term with its residuals scored."""
        residuals, by_s, by_v = term.residuals.copy(), term.by_s.copy(), term.by_v.copy()
        constant = term.constant
        for i, score in enumerate(self.scores[row]):
            if score is None:
                continue
            residuals[i], slope = score(float(term.residuals[i]))
            by_s[i] *= slope
            by_v[i] *= slope
            constant += score.constant
        return Term(
            residuals,
            by_s,
            by_v,
            term.predicted,
            term.predicted_s,
            term.predicted_v,
            constant,
            term.labels,
        )


def are_told_of(row: Row, patients: Sequence[int | None]) -> bool:
    """Whether trials tell of a row, with so many patients in each of its arms."""
    return KINDS[row.statistic].simulated and bool(patients) and all((n or 0) >= 2 for n in patients)


def sampling_of(
    rows: Sequence[tuple[Measured, Term | None, Sequence[Seen]]],
    at: Sequence[float],
    seed: int,
    declared: Mapping[frozenset[str], float] = MappingProxyType({}),
) -> Sampling:
    """From rows as they are predicted at the reference.

    Parameters
    ----------
    rows : of each what it prints, its term, and what it sees in each of its arms; of one that trials do not
        tell of the first alone is looked at.
    at : the reference.
    seed : of the trials; those of a study do not depend on other studies.
    declared : correlations between the first residuals, the locations, of two rows, by their ids, in place of
        those of the trials.
    """
    scores: list[tuple[Score | None, ...]] = []
    shapes: list[list[Array | None]] = []  # normal scores of the trials, (B,) for each residual
    who: list[frozenset[Hashable]] = []
    drawn = Trials([seed])
    for measured, term, seen in rows:
        kind = KINDS[measured.row.statistic]
        found = None
        if term is not None and are_told_of(measured.row, [one.n for one in seen]):
            found = kind.pivots(measured, term, *(drawn.of(measured, one) for one in seen))
        pivots: list[Array | None] = [None] * measured.n_residuals if found is None else list(found)
        scores.append(tuple(Score.of(u) if u is not None and kind.scored else None for u in pivots))
        shapes.append([None if u is None else _normal_scores(u) for u in pivots])
        who.append(frozenset(one.patients for one in seen))
    ids = tuple(measured.row.id for measured, _, _ in rows)
    correlation = _as_declared(_correlation(shapes, who), ids, [len(mine) for mine in shapes], declared)
    return Sampling(tuple(at), ids, tuple(scores), correlation)


def without_trials(rows: Sequence[Measured], declared: Mapping[frozenset[str], float]) -> Sampling:
    """Residuals with the errors of their columns, correlated as is declared and in no other way."""
    ids = tuple(measured.row.id for measured in rows)
    scores: tuple[tuple[Score | None, ...], ...] = tuple((None,) * measured.n_residuals for measured in rows)
    sizes = [len(mine) for mine in scores]
    return Sampling((), ids, scores, _as_declared(np.eye(sum(sizes)), ids, sizes, declared))


def _as_declared(
    correlation: Array, ids: Sequence[str], sizes: Sequence[int], declared: Mapping[frozenset[str], float]
) -> Array:
    """Correlations of residuals, so many of each row, with what is declared between the first ones of two
    rows."""
    first = dict(zip(ids, np.cumsum([0, *sizes]), strict=False))
    for pair, value in declared.items():
        if pair <= first.keys():
            i, j = (first[name] for name in pair)
            correlation[i, j] = correlation[j, i] = value
    return _positive(correlation)


class Trials:
    """The patients of simulated trials and the errors of their measurements, drawn once for all rows."""

    def __init__(self, seed: Sequence[int], count: int = TRIALS, most: int = MOST_PATIENTS) -> None:
        self.seed, self.count, self.most = seed, count, most
        self.known: dict[Hashable, Any] = {}
        self.together: dict[Hashable, tuple[list[tuple[Any, ...]], Array]] = {}

    def _drawn(self, key: Hashable, n: int, kind: Literal["random", "standard_normal"]) -> Any:
        """(B, n) numbers that belong to a key; the first of more patients are those of fewer."""
        if key not in self.known or len(self.known[key]) < n:
            generator = np.random.default_rng([*self.seed, zlib.crc32(repr(key).encode())])
            self.known[key] = getattr(generator, kind)((n, self.count), np.float32)
        return self.known[key][:n].T

    def of(self, measured: Measured, seen: Seen) -> Array:
        """What a row sees in the patients of every trial, (B, n), who differ."""
        found = self.seen(measured, seen)
        return self.scattered(measured.row.id, found) if alike(found, seen) else found

    def seen(self, measured: Measured, seen: Seen) -> Array:
        """What it sees in them, (B, n); of events who has had none so far."""
        n = min(seen.n, self.most)
        share = self._drawn(
            seen.patients, n, "random"
        )  # uniform: rows of an arm take the same patients of any K
        people = np.minimum((share * len(seen.y)).astype(int), len(seen.y) - 1)
        if KINDS[measured.row.statistic].of_events and seen.output.startswith(
            SURVIVAL
        ):  # one number for all times: who has had it stays so
            fate = self._drawn((seen.patients, seen.output, "event"), n, "random")
            return np.asarray(fate < seen.y[people, 0])
        errors = [self._error(seen, name, n) for name in measurements(measured.row)]
        baseline = None if seen.baseline is None else seen.baseline[people]
        return observed(measured.row, seen.y[people], baseline, seen.noise, errors)

    def _error(self, seen: Seen, name: tuple[Any, ...], n: int) -> Array:
        """Standard normal errors of a measurement, (B, n), correlated with those of the patients' others."""
        mine = (seen.patients, seen.output)
        own: Array = self._drawn((*mine, name), n, "standard_normal")
        if seen.noise.correlation == 0:
            return own
        names, factor = self.together.setdefault(mine, ([], np.zeros((0, 0))))
        if name not in names:  # one more row of the Cholesky factor of the correlations
            *_, now = seen.noise.correlations([time_of(each) for each in [*names, name]])
            shared = np.linalg.lstsq(factor, now[:-1])[0] if names else np.zeros(0)
            rest = math.sqrt(max(1.0 - float(shared @ shared), 0.0))
            names.append(name)
            self.together[mine] = names, np.block([[factor, np.zeros((shared.size, 1))], [shared, rest]])
        weights = self.together[mine][1][names.index(name)]
        found = np.zeros_like(own)
        for weight, each in zip(weights, names, strict=True):
            if weight:
                found = found + np.float32(weight) * self._drawn((*mine, each), n, "standard_normal")
        return found

    def scattered(self, row: str, found: Array) -> Array:
        """Of a model without differences between patients: normal ones, others for every row; the scale does
        not matter to residuals. Rounding by which patients differ all the same is left out."""
        middle = float(np.median(found))
        return middle + 1e-3 * (abs(middle) or 1.0) * self._drawn(row, found.shape[1], "standard_normal")


def alike(x: Array, seen: Seen) -> bool:
    """Whether patients do not differ: a change that is nothing but rounding of what it is a change of is the
    same for all. Events are drawn, so that patients differ whose probabilities do not."""
    if x.dtype == bool:
        return False
    levels = (x, seen.y) if seen.baseline is None else (x, seen.y, seen.baseline)
    return bool(np.ptp(x) <= ALIKE * max(np.abs(each).max() for each in levels))


def _normal_scores(u: Array) -> Array | None:
    """By ranks, of equal ones by the middle; 0 in trials that do not print such a row, None where these are
    most, or all the same."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    told = np.isfinite(u)
    if told.mean() < LEAST_TOLD or np.ptp(u[told]) == 0:
        return None
    z = np.zeros(u.size)
    z[told] = ndtri((rankdata(u[told]) - 0.5) / told.sum())
    return z


def _correlation(shapes: Sequence[Sequence[Array | None]], who: Sequence[frozenset[Hashable]]) -> Array:
    """(M, M): that of normal scores where two rows share patients, else 0."""
    flat = [(r, z) for r, mine in enumerate(shapes) for z in mine]
    found = np.eye(len(flat))
    for i, (r, first) in enumerate(flat):
        for j, (q, second) in enumerate(flat[:i]):
            if first is not None and second is not None and who[r] & who[q]:
                shared = float(first @ second) / math.sqrt(float(first @ first) * float(second @ second))
                if abs(shared) > _NOISE:
                    found[i, j] = found[j, i] = (1 - ROUNDING) * shared
    return found


def _positive(correlation: Array) -> Array:
    """The same, drawn towards none where it is not safely positive definite (pairs are estimated one by
    one)."""
    if not correlation.size:
        return correlation
    least = float(np.linalg.eigvalsh(correlation)[0])
    if least >= ROUNDING / 2:
        return correlation
    share = (1 - ROUNDING / 2) / (1 - least)
    return np.asarray(share * correlation + (1 - share) * np.eye(correlation.shape[0]))
