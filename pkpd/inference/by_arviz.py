"""What ArviZ does for posterior draws, the same before and after its version 1: its groups of named arrays,
R-hat and effective sample sizes (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021, Bayesian Anal 16:667)
and leave-one-out cross-validation by Pareto-smoothed importance sampling (Vehtari, Gelman & Gabry 2017, Stat
Comput 27:1413).

Before version 1 groups are an ``InferenceData``, from then on a tree of xarray.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkpd.core.extras import optional

Array = NDArray[np.float64]
Groups = Mapping[str, Mapping[str, NDArray[Any]]]


def inference_data(groups: Groups, dims: Mapping[str, list[str]], coords: Mapping[str, Sequence[Any]]) -> Any:
    """Groups of arrays, (chain, draw, ...) or of observed data (...), by the names of their further axes."""
    arviz = optional("arviz", "sample")
    named: dict[str, Any] = {"dims": dict(dims), "coords": {name: list(of) for name, of in coords.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are more chains than draws
        if int(arviz.__version__.partition(".")[0]) < 1:
            return arviz.from_dict(**groups, **named)
        return arviz.from_dict(groups, **named)


class Mixing(NamedTuple):
    """Of each parameter, (n,): R-hat by ranks, and the effective number of draws for its middle and for its
    5 % tails; nan where chains are too short to tell."""

    r_hat: Array
    ess_bulk: Array
    ess_tail: Array


def mixing(values: Array) -> Mixing:
    """How well chains have mixed; values : (chains, draws, n)."""
    arviz, xarray = optional("arviz", "sample"), optional("xarray", "sample")
    data = xarray.Dataset({"x": (("chain", "draw", "parameter"), values)})
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one chain there is no R-hat
        found = arviz.rhat(data), arviz.ess(data, method="bulk"), arviz.ess(data, method="tail")
    return Mixing(*(np.asarray(each["x"].values, np.float64) for each in found))


class LooEstimate(NamedTuple):
    """The expected log predictive density of what is left out, its standard error, the effective number of
    parameters, and of each block (n_blocks,) its share and how heavy the tail of its weights is (Pareto k),
    which is trusted up to ``good_k``."""

    elpd: float
    se: float
    p: float
    each: Array
    pareto_k: Array
    good_k: float


def leave_one_out(x: Array, log_likelihood: Array) -> LooEstimate:
    """Of draws x (chains, draws, n) with the log likelihood of blocks (chains, draws, n_blocks)."""
    arviz = optional("arviz", "sample")
    data = inference_data(
        {"posterior": {"x": x}, "log_likelihood": {"block": log_likelihood}},
        {"x": ["parameter"], "block": ["of"]},
        {},
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights with heavy tails are told by whoever asks
        found = arviz.loo(data, var_name="block", pointwise=True)
    old = hasattr(found, "elpd_loo")
    return LooEstimate(
        float(found.elpd_loo if old else found.elpd),
        float(found.se),
        float(found.p_loo if old else found.p),
        np.asarray(found.loo_i if old else found.elpd_i, np.float64),
        np.asarray(found.pareto_k, np.float64),
        float(found.good_k),
    )
