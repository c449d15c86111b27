"""Figures of posterior draws show every estimate with what is known of it, and ranks that are flat where
chains agree."""

import numpy as np
import pytest

from pkpd.core.errors import InputError
from pkpd.present.plot import posterior_figure, rank_figure
from pkpd.present.plot.draws import rank_histogram


def drawn(name, x, **changes):
    at = np.linspace(-4.0, 4.0, 41)
    density = np.exp(-(at**2) / 2)
    densities = {"posterior": density, "prior": density, "normal": None}
    estimate = {"name": name, "unit": "L/h", "scale": "log", "x": x, "at": at, "values": np.exp(at)}
    return estimate | densities | changes


def test_each_estimate_has_its_posterior_and_what_there_is_of_prior_and_approximation():
    x = np.random.default_rng(1).standard_normal((2, 50))
    figure = posterior_figure([drawn("CL", x), drawn("V", x, prior=None, normal=np.ones(41))])
    lines = [{line.get_gid() for line in axis.get_lines()} for axis in figure.axes]
    assert lines == [{"posterior", "prior"}, {"posterior", "normal"}]
    with pytest.raises(InputError):
        posterior_figure([])


def test_ranks_are_flat_where_chains_agree_and_apart_where_they_do_not():
    x = np.random.default_rng(2).standard_normal((4, 2000))
    assert np.abs(rank_histogram(x) - 1).max() < 0.6  # 100 draws a bin: six standard errors
    apart = rank_histogram(np.stack([x[0] - 10, x[1] + 10]))
    np.testing.assert_array_equal(apart[:, 0], [2, 0])
    np.testing.assert_array_equal(apart[:, -1], [0, 2])
    assert len(rank_figure([drawn("CL", x)]).axes) == 1
