"""How many subjects a first picture is made of follows from what this machine has been seen to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.present.web import pace
from pkpd.present.web.pace import ALL_S, ARM_S, CHUNKS, FEWEST, FIRST_PICTURE_S, VECTOR, Pace


def seen(each, arms=1):
    """A pace of so many seconds for an output time of a subject."""
    found = Pace()
    found.note(each * 100 * 1000 + arms * ARM_S, 100, 1000, arms)
    return found


def test_what_has_not_been_measured_is_computed_whole():
    assert Pace().people(200, 5000, 4) == 200


@given(
    st.floats(1e-8, 1e-3),
    st.integers(10, 1000),
    st.integers(100, 20_000),
    st.integers(1, 4),
    st.integers(1, 16),
)
def test_a_preview_is_of_whole_vectors_and_at_most_half_the_subjects_or_there_is_none(
    each, subjects, n_times, arms, cores
):
    found = seen(each)
    some = found.people(subjects, n_times, arms)
    assert some == subjects or (some % VECTOR == 0 and FEWEST <= some <= subjects / 2)
    longest = FIRST_PICTURE_S - ALL_S - arms * ARM_S
    if FEWEST < some < subjects:  # it fits into the time
        assert some * each * n_times <= longest * 1.001
    if subjects * each * n_times < longest * 0.999:  # so do all
        assert some == subjects
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "usable_cores", lambda: cores)
        chunk = found.chunk(subjects, n_times, arms)
    assert chunk % VECTOR == 0 and VECTOR <= chunk <= CHUNKS[1]


def test_every_core_has_work_and_a_long_computation_ends_soon(monkeypatch):
    monkeypatch.setattr(pace, "usable_cores", lambda: 2)
    fast, slow = seen(1e-7), seen(5e-7)  # 0.5 and 2.5 ms for a subject and four schedules of a year
    assert fast.chunk(200, 1200, 1) == 104  # halves, in whole vectors
    assert fast.chunk(32, 1200, 1) == 16
    assert slow.chunk(1000, 20_000, 4) == CHUNKS[0]


def test_a_measurement_counts_for_half_and_one_that_was_ended_is_a_bound():
    found = seen(1e-6)
    found.note(4e-6 * 100 * 1000 + ARM_S, 100, 1000, 1)
    assert found._each == pytest.approx(2e-6)
    found.note_given_up(0.1, 100, 1000)
    assert found._each == pytest.approx(2e-6)
    found.note_given_up(1.0, 100, 1000)
    assert found._each == pytest.approx(1e-5)
