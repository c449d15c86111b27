"""What an endpoint is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GROUPS = ("exposure", "regulatory T cells", "selectivity", "tolerability", "burden")
"""In the order in which people are shown them."""


@dataclass(frozen=True)
class Endpoint:
    """One number of a subject under a schedule, such as the peak of Tregs.

    name : of its own among all endpoints; unit : "1" where it has none; definition : one sentence that says exactly what is computed;
    better : +1 where more is wanted, -1 where less is wanted, 0 where neither is; group : one of ``GROUPS``; missing : when a subject has no
    value (nan) or one beyond the horizon (inf), and why; empty where every subject has a value; remark : what whoever reads the number has to know.
    """

    name: str
    unit: str
    definition: str
    better: int
    group: str
    missing: str = ""
    remark: str = ""


def quantiles(values: ArrayLike, levels: Sequence[float]) -> Floats:
    """Quantiles over subjects, (n_levels,), of values of which some are missing.

    nan (no value) is left out; inf ("not within the horizon") counts as larger than any number, so that a quantile can itself be inf. Each
    quantile is the value of a subject (the inverse of the empirical distribution), never between a number and inf. nan where nobody has a value.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return np.full(len(levels), np.nan)
    # np.quantile(..., method="inverted_cdf"), which takes ten times as long for some hundreds of values
    places = np.ceil(known.size * np.asarray(levels) - 1.0).astype(np.int64)
    found: Floats = np.sort(known)[np.maximum(places, 0)]
    return found
