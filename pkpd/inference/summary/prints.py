"""What a trial of n patients would have printed, in the form of a row: x (B, n) -> columns (B,)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.inference.summary.rows import Row
from pkpd.inference.summary.spreads import Form, form_of, t95

Array = NDArray[np.float64]


def natural_columns(row: Row, location: Array, x: Array) -> dict[str, Any]:
    """Beside a mean or median."""
    n = x.shape[1]
    sd = x.std(axis=1, ddof=1)
    columns: dict[str, Any] = {"value": location}
    kind = row.spread_type
    if kind == "SD":
        columns["spread"] = sd
    elif kind == "CV":
        columns["spread"] = 100 * sd / x.mean(axis=1)
    elif kind == "SE":
        columns["spread"] = sd / math.sqrt(n)
    elif kind == "CI95":
        half = t95(n) * sd / math.sqrt(n)
        columns |= interval_columns(form_of(row), location - half, location + half, half)
    elif kind in ("IQR", "range"):
        columns |= _ends(row, x)
    return columns


def log_columns(row: Row, x: Array) -> dict[str, Any]:
    """Beside a geometric mean."""
    n = x.shape[1]
    logs = np.log(np.maximum(x, 1e-9 * abs(row.value)))
    level, sd = np.exp(logs.mean(axis=1)), logs.std(axis=1, ddof=1)
    columns: dict[str, Any] = {"value": level}
    kind = row.spread_type
    if kind == "SD":
        columns["spread"] = x.std(axis=1, ddof=1)
    elif kind == "CV":
        columns["spread"] = 100 * np.sqrt(np.expm1(sd**2))
    elif kind == "SE":
        columns["spread"] = level * sd / math.sqrt(n)
    elif kind == "CI95":
        half = t95(n) * sd / math.sqrt(n)
        ends = level * np.exp(-half), level * np.exp(half)
        columns |= interval_columns(form_of(row), *ends, level * np.sinh(half))
    elif kind in ("IQR", "range"):
        columns |= _ends(row, x)
    return columns


def range_columns(x: Array) -> dict[str, Any]:
    """Smallest and largest."""
    return {"lower": x.min(axis=1), "upper": x.max(axis=1)}


def _ends(row: Row, x: Array) -> dict[str, Array]:
    if row.spread_type == "range":
        lower, upper = x.min(axis=1), x.max(axis=1)
    else:
        lower, upper = np.quantile(x, [0.25, 0.75], axis=1)
    return interval_columns(form_of(row), lower, upper, upper - lower)


def interval_columns(form: Form, lower: Array, upper: Array, width: Array) -> dict[str, Array]:
    """As the row prints one."""
    return {"lower": lower, "upper": upper} if form.ends else {"spread": width}
