"""A sketch gives quantiles within its promise of the values that it has not kept, whatever their order and
however they are cut and merged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core.errors import InputError
from pkpd.core.sketch import MOST_BINS, RELATIVE_ERROR, SMALLEST, Sketch

QUANTILES = (0.0, 0.01, 0.05, 0.3, 0.5, 0.77, 0.95, 1.0)

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=-100, max_value=100),
    st.sampled_from([0.0, -0.0, 1.0, SMALLEST, -SMALLEST, 5e-324, 1.7976931348623157e308]),
)
# two series of unlike kinds, side by side
tables = st.lists(st.tuples(numbers, st.floats(min_value=1e-3, max_value=1e3)), min_size=1, max_size=60).map(
    np.array
)


def of(values, *cuts):
    """A sketch of values (n, ...), given in pieces."""
    sketch = Sketch(values.shape[1:])
    for piece in np.split(values, cuts):
        sketch.add(piece)
    return sketch


def same(one, other):
    for name in ("count", "failed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.quantiles(QUANTILES), other.quantiles(QUANTILES))


def neighbours(values, q):
    """The two values in order between which numpy's quantile lies, and how far."""
    x = np.sort(values)
    place = q * (len(x) - 1)
    before = int(place)
    return x[before], x[min(before + 1, len(x) - 1)], place - before


@given(tables)
def test_quantiles_are_within_the_promise(values):
    found = of(values).quantiles(QUANTILES)
    for series in range(values.shape[1]):
        x = values[:, series]
        # what is too far below the largest counts as nought
        smallest = max(SMALLEST, np.abs(x).max() * np.exp(-0.00999 * (MOST_BINS - 1)))
        for q, value in zip(QUANTILES, found[:, series], strict=True):
            low, high, share = neighbours(x, q)
            room = (1 - share) * abs(low) * RELATIVE_ERROR + share * abs(high) * RELATIVE_ERROR + smallest
            exact = (1 - share) * low + share * high
            assert abs(value - exact) <= room * (1 + 1e-9)


def test_of_one_sign_they_are_within_half_a_percent_of_numpys():
    values = np.random.default_rng(1).lognormal(0.0, 3.0, (2000, 5, 3))
    values[:, :, 1] *= -1e-9
    found = of(values, 64, 700).quantiles(QUANTILES)
    exact = np.quantile(values, QUANTILES, axis=0)
    assert np.abs(found / exact - 1).max() <= RELATIVE_ERROR
    np.testing.assert_array_equal(found[[0, -1]], exact[[0, -1]])  # the ends are kept as they are
    # the promise is not far better than it has to be: it is the bins that are tested
    assert np.abs(found / exact - 1).max() > 0.9 * RELATIVE_ERROR


@given(tables, st.randoms(use_true_random=False))
def test_order_makes_no_difference(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    cut = random.randrange(len(values) + 1)
    same(of(values), of(values[order], cut))


@given(tables, tables, st.booleans())
def test_merged_is_all_at_once(one, other, swapped):
    first, second = (of(other), of(one)) if swapped else (of(one), of(other))
    kept = second.quantiles(QUANTILES)
    first.merge(second)
    same(first, of(np.concatenate([one, other])))
    np.testing.assert_array_equal(second.quantiles(QUANTILES), kept)


def test_windows_that_are_moved_by_what_comes_lose_nothing():
    # a series that climbs by 24 decades beside one that falls and one that stays: beyond the bins there are
    up = np.exp(np.linspace(-25, 30, 4000))
    values = np.column_stack([up, up[::-1], np.ones(4000)])
    small, all_at_once = of(values, *range(50, 4000, 50)), of(values)
    same(small, all_at_once)
    found = small.quantiles(QUANTILES)
    exact = np.quantile(values, QUANTILES, axis=0)
    kept = exact > up[-1] * np.exp(-0.00999 * (MOST_BINS - 1))
    assert np.abs(found / exact - 1)[kept].max() <= RELATIVE_ERROR
    assert (~kept).any()
    assert np.all(found[~kept] == up[0])  # as near to nought as the series comes


@given(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1.0, -2.0, 0.0]), min_size=1, max_size=20))
def test_what_is_not_finite_is_counted_as_failed_and_not_as_a_value(given_values):
    x = np.array(given_values)
    sketch = of(x[:, None])
    finite = x[np.isfinite(x)]
    assert sketch.count[0] == finite.size
    assert sketch.failed[0] == x.size - finite.size
    if finite.size:
        same(sketch, of(np.concatenate([finite, x[~np.isfinite(x)]])[:, None]))
        assert sketch.quantiles([0.0, 1.0]).ravel().tolist() == [finite.min(), finite.max()]
    else:
        assert np.isnan(sketch.quantiles([0.5])).all()


def test_memory_follows_the_width_of_the_distribution_and_not_the_number_of_values():
    random = np.random.default_rng(2)
    few, many = Sketch((300,)), Sketch((300,))
    few.add(random.lognormal(0, 0.5, (100, 300)))
    for _ in range(100):
        many.add(random.lognormal(0, 0.5, (100, 300)))
    size = [sketch._above.counts.nbytes for sketch in (few, many)]
    assert size[1] < 2 * size[0] < 2 * 4096 * 300
    wide = Sketch((2,))
    wide.add(np.array([[1e-300, -1e300], [1e300, 1e-300]]))
    assert wide._above.counts.nbytes + wide._below.counts.nbytes <= 2 * 2 * 4 * MOST_BINS


@settings(max_examples=20)
@given(st.integers(0, 5), st.integers(0, 5))
def test_nothing_given_is_nothing_counted(n, m):
    sketch = Sketch((n,))
    sketch.add(np.empty((0, n)))
    sketch.merge(of(np.ones((m, n))))
    np.testing.assert_array_equal(sketch.count, m)
    assert sketch.quantiles([0.5]).shape == (1, n)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda s: s.add(np.ones((3, 4))), r"values of shape \(3, 4\) do not fit series of shape \(2,\)"),
        (lambda s: s.merge(Sketch((3,))), r"shapes \(2,\) and \(3,\) cannot be merged"),
        (lambda s: s.quantiles([1.5]), "quantiles must lie between 0 and 1"),
        (lambda s: s.quantiles([float("nan")]), "quantiles must lie between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, sentence):
    sketch = Sketch((2,))
    sketch.add(np.ones((1, 2)))
    with pytest.raises(InputError, match=sentence):
        wrong(sketch)
    assert sketch.count.tolist() == [1, 1]


def test_more_values_than_a_count_holds_are_refused():
    sketch = of(np.ones((1, 1)))
    sketch._given = 2**32 - 2
    sketch.add(np.ones((1, 1)))
    with pytest.raises(InputError, match="at most 4,294,967,295 values"):
        sketch.add(np.ones((1, 1)))
