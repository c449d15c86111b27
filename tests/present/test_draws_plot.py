"""Figures of posterior draws show every estimate with what is known of it, and ranks that are flat where
chains agree."""

import numpy as np
import pytest

from pkpd.core.errors import InputError
from pkpd.present.plot import going_together, pairs_figure, posterior_figure, rank_figure
from pkpd.present.plot.draws import MOST_DOTS, rank_correlations, rank_histogram


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


def entwined():
    """Draws (2, 900, 4) of estimates: the third falls on a curve as the second rises, two go alone."""
    x = np.random.default_rng(3).standard_normal((2, 900, 4))
    x[..., 2] = -np.exp(x[..., 1])
    return x


def test_pairs_show_draws_divergences_and_the_correlation_of_ranks():
    x, names = entwined(), ("CL", "V", "ka", "k$")
    diverging = np.zeros((2, 900), bool)
    diverging[1, [3, 5, 8]] = True
    figure = pairs_figure(
        [drawn(name, x[..., k]) for k, name in enumerate(names)], diverging=diverging, title="pairs"
    )
    figure.canvas.draw()
    axes = np.array(figure.axes).reshape(4, 4)
    for i in range(4):
        for j in range(i):
            dots = {dot.get_gid(): dot.get_offsets() for dot in axes[i, j].collections}
            assert 0.4 * MOST_DOTS < len(dots["draws"]) <= MOST_DOTS
            np.testing.assert_array_equal(dots["diverging"][:, 0], x[1, [3, 5, 8], j])
            np.testing.assert_array_equal(dots["diverging"][:, 1], x[1, [3, 5, 8], i])
            assert f"{rank_correlations(x.reshape(-1, 4))[i, j]:.2f}".replace("-", "−") == (
                axes[j, i].texts[0].get_text()
            )
    assert axes[1, 2].texts[0].get_text() == "−1.00"
    ends = np.exp(np.quantile(x[..., 0], (0.025, 0.975)))  # as a person reads them, in the grid's precision
    told = [float(label.get_text()) for label in axes[3, 0].get_xticklabels()]
    np.testing.assert_allclose(told, ends, rtol=0.02)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["CL (L/h)", "V (L/h)", "ka (L/h)", r"k\$ (L/h)"]
    with pytest.raises(InputError, match="two estimates or more"):
        pairs_figure([drawn("CL", x[..., 0])])


def test_those_that_go_together_most_are_shown_first():
    x = entwined()
    assert going_together(x, 2) == [1, 2]
    assert set(going_together(x, 3)[:2]) == {1, 2}
    assert sorted(going_together(x, 6)) == [0, 1, 2, 3]
    x[..., 0] = 5.0  # does not move: correlated with nothing
    assert going_together(x, 3) == [1, 2, 3]
    assert np.all(rank_correlations(x.reshape(-1, 4))[0, 1:] == 0)
    assert going_together(x[..., :1], 6) == []


def test_ranks_are_flat_where_chains_agree_and_apart_where_they_do_not():
    x = np.random.default_rng(2).standard_normal((4, 2000))
    assert np.abs(rank_histogram(x) - 1).max() < 0.6  # 100 draws a bin: six standard errors
    apart = rank_histogram(np.stack([x[0] - 10, x[1] + 10]))
    np.testing.assert_array_equal(apart[:, 0], [2, 0])
    np.testing.assert_array_equal(apart[:, -1], [0, 2])
    assert len(rank_figure([drawn("CL", x)]).axes) == 1
