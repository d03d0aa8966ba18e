"""Which rows share an axis."""

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metarec.plots import scale
from metarec.plots.scale import ends, near

means = st.lists(st.floats(-10, 10, allow_subnormal=False), min_size=1, max_size=12)


def test_examples() -> None:
    result = doctest.testmod(scale)
    assert result.attempted >= 2
    assert result.failed == 0


@given(means, st.booleans(), st.randoms())
def test_the_best_is_near_and_order_does_not_matter(values: list[float], higher: bool, random) -> None:
    halves = [0.1] * len(values)
    kept = near(values, halves, higher)
    best = max(values) if higher else min(values)
    assert all(inside for value, inside in zip(values, kept, strict=True) if value == best)
    assert sum(kept) >= (len(values) + 1) // 2
    order = list(range(len(values)))
    random.shuffle(order)
    assert near([values[place] for place in order], halves, higher) == [kept[place] for place in order]
    assert near([-value for value in values], halves, not higher) == kept


def test_only_worse_rows_are_left_out() -> None:
    assert near([0.1, 0.78, 0.79, 0.80], [0.01] * 4, higher_is_better=False) == [True] * 4
    assert near([0.70, 0.78, 0.79, 0.80, 1.5], [0.01] * 5, higher_is_better=False) == [True] * 4 + [False]
    assert near([0.70, 0.69, 0.68, 0.1], [0.01] * 4, higher_is_better=True) == [True] * 3 + [False]


def test_wide_intervals_keep_rows() -> None:
    values = [0.77, 0.77, 0.77, 0.90]
    assert not near(values, [0.01] * 4, higher_is_better=False)[-1]
    assert near(values, [0.04] * 4, higher_is_better=False)[-1]


def test_ends_of_a_single_value() -> None:
    low, high = ends([1.0], [1.0])
    assert low < 1.0 < high
    assert np.isfinite([low, high]).all()
