"""What an endpoint is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Relevant:
    """The smallest difference between two schedules that counts as one: less is the same.

    size : in the endpoint's unit, or with ``share`` a share of the larger of the two values; reason : why
        this much.
    """

    size: float
    reason: str
    share: bool = False

    def shown(self, unit: str = "") -> str:
        """The size for people: "0.1", "1 d", "10 % of the larger"."""
        if self.share:
            return f"{100 * self.size:g} % of the larger"
        return f"{self.size:g} {unit}".strip()

    def margins(self, one: Floats, other: Floats) -> Floats:
        """The size for each pair of finite values, (n,)."""
        if not self.share:
            return np.full(one.shape, self.size)
        return self.size * np.maximum(np.abs(one), np.abs(other))


_CHOSEN = "a choice of ours that no trial has set"
TENTH = Relevant(
    0.1, f"a tenth, as of baseline, within which a count is taken to be back at it; {_CHOSEN}", share=True
)
ONE_DOSE = {
    called: Relevant(1.0, f"one {called.removesuffix('s')}, of which there is no part")
    for called in ("injections", "doses")
}
"""By what the doses of a drug are called: all of an oral one are not injections."""


@dataclass(frozen=True)
class Endpoint:
    """One number of a subject under a schedule, such as the highest concentration.

    Attributes
    ----------
    name : of its own among all endpoints.
    unit : "1" where it has none.
    definition : one sentence that says exactly what is computed.
    better : +1 where more is wanted, -1 where less is wanted, 0 where neither is.
    group : those of one group are shown together.
    missing : when a subject has no value (nan) or one beyond the horizon (inf), and why; empty where every
        subject has a value.
    remark : what whoever reads the number has to know.
    relevant : the smallest difference that counts as better or worse, None where any does.

    Examples
    --------
    >>> import pkpd
    >>> (arm,) = pkpd.Scene.create("low_dose_il2", subjects=4).arms(["1 MIU sc once"])
    >>> endpoint = next(iter(arm.endpoints))
    >>> endpoint.name, endpoint.unit, endpoint.definition
    ('Cmax', 'IU/mL', 'The highest il2, baseline included.')
    """

    name: str
    unit: str
    definition: str
    better: int
    group: str
    missing: str = ""
    remark: str = ""
    relevant: Relevant | None = None


def quantiles(values: ArrayLike, levels: Sequence[float]) -> Floats:
    """Quantiles over subjects, (n_levels,), of values of which some are missing.

    nan (no value) is left out; inf ("not within the horizon") counts as larger than any number, so that a
    quantile can itself be inf. Each quantile is the value of a subject (the inverse of the empirical
    distribution, definition 1 of Hyndman & Fan, Am Stat 50 (1996) 361), never between a number and inf.
    nan where nobody has a value.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return np.full(len(levels), np.nan)
    # np.quantile(..., method="inverted_cdf"), which takes ten times as long for some hundreds of values
    places = np.ceil(known.size * np.asarray(levels) - 1.0).astype(np.int64)
    found: Floats = np.sort(known)[np.maximum(places, 0)]
    return found
