"""Curves of a stream against hand-computed numbers, a plain loop, and each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarec.metrics.prequential import (
    fading,
    group_names,
    groups_of,
    months_of,
    user_interval,
    user_means,
    windowed,
)

LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=40)


def test_windowed_by_hand() -> None:
    assert windowed([1.0, 3.0, 5.0, 1.0, 0.0], 3).tolist() == [1.0, 2.0, 3.0, 3.0, 2.0]
    assert windowed([1.0, 3.0, 5.0], 1).tolist() == [1.0, 3.0, 5.0]
    assert windowed([], 3).tolist() == []


def test_fading_by_hand() -> None:
    """S = 2, 0 + 1, 4 + .5; B = 1, 1.5, 1.75."""
    assert fading([2.0, 0.0, 4.0], 0.5).tolist() == pytest.approx([2.0, 1 / 1.5, 4.5 / 1.75])
    assert fading([], 0.5).tolist() == []


@given(LOSSES, st.floats(0.01, 1.0))
def test_fading_is_the_recursion_of_gama(losses: list[float], factor: float) -> None:
    summed, count, expected = 0.0, 0.0, []
    for loss in losses:
        summed, count = loss + factor * summed, 1 + factor * count
        expected.append(summed / count)
    assert fading(losses, factor) == pytest.approx(expected)


@given(LOSSES, st.integers(1, 50))
def test_windowed_is_the_mean_of_the_last(losses: list[float], size: int) -> None:
    expected = [np.mean(losses[max(0, stop - size) : stop]) for stop in range(1, len(losses) + 1)]
    assert windowed(losses, size) == pytest.approx(expected)


@given(LOSSES)
def test_forgetting_nothing_is_the_mean_so_far(losses: list[float]) -> None:
    so_far = np.cumsum(losses) / np.arange(1, len(losses) + 1)
    assert fading(losses, 1.0) == pytest.approx(so_far)
    assert windowed(losses, len(losses)) == pytest.approx(so_far)


@given(LOSSES, st.floats(0, 10), st.integers(1, 9), st.floats(0.1, 0.99))
def test_a_later_event_changes_no_earlier_value(losses: list[float], loss: float, size: int, factor: float) -> None:
    assert np.array_equal(windowed([*losses, loss], size)[:-1], windowed(losses, size))
    assert np.array_equal(fading([*losses, loss], factor)[:-1], fading(losses, factor))


@pytest.mark.parametrize("bad", [0, -1])
def test_sizes_out_of_range(bad: int) -> None:
    with pytest.raises(ValueError, match="size"):
        windowed([1.0], bad)


@pytest.mark.parametrize("bad", [0.0, 1.1, float("nan")])
def test_factors_out_of_range(bad: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        fading([1.0], bad)


def test_losses_must_be_numbers() -> None:
    for bad in ([np.nan], [np.inf], [[1.0]]):
        with pytest.raises(ValueError, match="finite"):
            windowed(bad, 1)


def test_groups() -> None:
    names = group_names()
    assert names == ["0", "1", "2", "3-4", "5-9", "10-19", "20+"]
    seen = [0, 1, 2, 3, 4, 5, 9, 10, 19, 20, 1000]
    assert [names[group] for group in groups_of(seen)] == [
        "0", "1", "2", "3-4", "3-4", "5-9", "5-9", "10-19", "10-19", "20+", "20+"
    ]  # fmt: skip


def test_user_means_and_their_interval() -> None:
    users, means = user_means([3, 1, 3, 1, 1], [1.0, 2.0, 3.0, 4.0, 6.0])
    assert users.tolist() == [1, 3]
    assert means.tolist() == [4.0, 2.0]
    interval = user_interval(["b", "a", "b"], [1.0, 4.0, 3.0])
    assert (interval.mean, interval.low, interval.high, interval.tasks) == (3.0, 2.0, 4.0, 2)


def test_months_are_utc() -> None:
    seconds = [0, 2_678_399, 2_678_400, 951_782_400]  # the last second of January 1970, the next, 29 February 2000
    assert months_of(seconds).astype(str).tolist() == ["1970-01", "1970-01", "1970-02", "2000-02"]
