"""The time at an error is read off a curve and not made up, and ratios are those of one turn."""

import numpy as np
import pytest

from pkpd.bench.curves import Curve, envelope, ratios, seconds_at

ERRORS = 10.0 ** -np.arange(2.0, 9.0)
SECONDS = 1e-3 * ERRORS**-0.2  # a method of fifth order


@pytest.mark.parametrize("target", [1e-3, 3.3e-5, 1e-8])
def test_time_at_an_error_follows_the_order_of_the_method(target):
    assert seconds_at(ERRORS, SECONDS, target) == pytest.approx(1e-3 * target**-0.2, rel=1e-12)


def test_time_at_an_error_is_not_extrapolated():
    assert np.isnan(seconds_at(ERRORS, SECONDS, 1e-9))
    assert seconds_at(ERRORS, SECONDS, 1.0) == pytest.approx(
        SECONDS[0]
    )  # nothing cheaper was tried: more exact than asked
    assert np.isnan(seconds_at([], [], 1e-3))


def test_what_is_beaten_in_error_and_time_does_not_count():
    worse = (np.append(ERRORS, [1e-4, np.nan]), np.append(SECONDS, [1.0, 1e-9]))
    assert list(envelope(*worse)) == list(range(7))
    assert seconds_at(*worse, 1e-4) == pytest.approx(seconds_at(ERRORS, SECONDS, 1e-4))


def test_ratios_are_those_of_the_same_turn():
    """The machine is twice as slow in every other turn; the ratio does not know it."""
    turns = np.array([1.0, 2.0, 1.0, 2.0, 1.0])
    points = [(error, None) for error in ERRORS]
    curves = {
        "pkpd auto": Curve(points, ERRORS, np.outer(SECONDS, turns), 0.0),
        "peer": Curve(points, ERRORS, np.outer(7 * SECONDS, turns), 0.0),
    }
    (row,) = [row for row in ratios(curves, [1e-6]) if row["solver"] == "peer"]
    assert row["to_best"] == pytest.approx({"median": 7.0, "low": 7.0, "high": 7.0})
