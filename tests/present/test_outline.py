"""As few points as draw a curve: none that is left out is seen to be missing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.present.outline import ASIDE, MOST, UPWARDS, outline


def far(days, band, kept):
    """How far each point lies from the lines through some, in units of what may be: whatever the way, and
    straight up or down."""
    x, y = days / np.ptp(days) / ASIDE, band / np.ptp(band) / UPWARDS
    away = np.full(band.shape, np.inf)
    for first, last in itertools.pairwise(kept):
        step, rise = x[last] - x[first], y[:, last : last + 1] - y[:, first : first + 1]
        part = slice(first, last + 1)
        over, up = x[part] - x[first], y[:, part] - y[:, first : first + 1]
        along = np.clip((over * step + up * rise) / (step**2 + rise**2), 0, 1)
        away[:, part] = np.minimum(away[:, part], np.hypot(over - along * step, up - along * rise))
    drawn = np.array([np.interp(days, days[kept], line[kept]) for line in y])
    return away.max(), np.abs(drawn - y).max()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_fewer_points_draw_the_same_curve(seed):
    """Decay after doses at random times: so many points that values can be read between them everywhere."""
    draw = np.random.default_rng(seed)
    doses = np.sort(draw.uniform(0, 80, 12))
    days = np.unique(np.concatenate([np.linspace(0, 84, 2900), doses, doses + 0.2]))
    since = days[:, None] - doses
    median = 1.0 + np.where(since >= 0, np.exp(-since / draw.uniform(0.5, 20)), 0.0).sum(axis=1)
    band = np.array([0.7 * median, median, 1.6 * median])
    kept = outline(days, band)
    assert kept.size < MOST and kept[0] == 0 and kept[-1] == days.size - 1
    assert max(far(days, band, kept)) <= 1.0
    logarithmic = outline(days, band, True)
    assert max(far(days, np.log(band), logarithmic)) <= 1.0


def test_a_year_of_doses_is_drawn_right_where_not_every_flank_can_be_read():
    """Every peak is there, and nothing of the picture moves by a pixel, with a third of the points."""
    doses = (28 * np.arange(13)[:, None] + np.arange(5)).ravel()
    after = np.array(
        [0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99]
    )
    days = np.unique(np.concatenate([(doses[:, None] + after).ravel(), np.arange(0.0, 393.0, 0.7)]))
    since = np.maximum(days[:, None] - doses, 0.0)
    median = 0.01 + (since * np.exp(-since / 0.1)).sum(axis=1)
    band = np.array([0.5 * median, median, 2.0 * median])
    kept = outline(days, band)
    away, up = far(days, band, kept)
    assert days.size > 1600 and kept.size == MOST
    assert away <= 1.0 < up
    for dose in doses:
        course = (days >= dose) & (days < dose + 1)
        drawn = np.interp(days[course], days[kept], median[kept])
        assert drawn.max() == pytest.approx(median[course].max(), rel=0.03)


def test_thousands_of_points_leave_room_for_what_stands_out():
    days = np.linspace(0.0, 3000.0, 10_000)
    median = 1.0 + (np.arange(days.size) % 997 == 0)
    kept = outline(days, np.array([median, 2.0 * median]))
    assert kept.size <= MOST
    assert set(np.flatnonzero(median > 1.0)) <= set(kept)


@pytest.mark.parametrize("n_doses", [365, 730])
def test_years_of_daily_doses_keep_every_peak_that_can_be_seen(n_doses):
    after = np.array([0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 0.99])
    days = (np.arange(n_doses)[:, None] + after).ravel()
    median = 0.01 + (days % 1) * np.exp(-(days % 1) / 0.1)
    band = np.array([0.5 * median, median, 2.0 * median])
    kept = outline(days, band)
    assert far(days, band, kept)[0] <= 1.0
    assert MOST < kept.size < days.size / 2


def test_what_nobody_reads_is_drawn_by_fewer_points():
    """As far as the eye sees it is the same curve; values on steep flanks are of no account."""
    days = np.linspace(0.0, 84.0, 1200)
    median = 0.01 + (days % 4) * np.exp(-(days % 4) / 0.4)
    band = np.array([0.5 * median, median, 2.0 * median])
    read, seen = outline(days, band), outline(days, band, readable=False)
    away, up = far(days, band, seen)
    assert away <= 1.0 < up and seen.size < 0.8 * read.size


@pytest.mark.parametrize("n", [2, 3, 9, 10])
def test_few_points_are_left_as_they_are_where_they_bend(n):
    days = np.arange(float(n))
    bent = np.where(np.arange(n) % 2, 1.0, 0.0)
    assert outline(days, bent[None]).tolist() == list(range(n))
    flat = outline(days, np.ones((3, n)))
    assert flat[0] == 0 and flat[-1] == n - 1 and flat.size <= 3
