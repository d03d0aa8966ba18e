"""Words for numbers: pandas and plain numpy are the oracles, and only the chosen rows have a say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarec.data.numeric import OTHER, Numeric, by_edges, quantiles

NUMBERS = st.lists(st.one_of(st.integers(-50, 50).map(float), st.just(np.nan)), min_size=2, max_size=60)


def numeric(numbers: list[float], ranges: int = 3, apart: int = 0) -> Numeric:
    return Numeric(np.append(np.nan, numbers), ranges, apart)


@given(numbers=NUMBERS, ranges=st.integers(2, 6), apart=st.sampled_from([0, 5]), seed=st.integers(0, 99))
def test_only_the_chosen_rows_decide(numbers: list[float], ranges: int, apart: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.permutation(len(numbers))[: len(numbers) // 2] + 1
    others = np.setdiff1d(np.arange(1, len(numbers) + 1), rows)
    one, other = numeric(numbers, ranges, apart), numeric(numbers, ranges, apart)
    other.number[others] = random.choice([-1e9, 1e9, np.nan], len(others))
    (codes, words), (changed, same) = one.coded(rows), other.coded(rows)
    assert words == same
    assert np.array_equal(codes[rows], changed[rows])
    assert ((codes == 0) == np.isnan(one.number)).all() or words == ("",)
    assert codes.max() < len(words)


@given(numbers=st.lists(st.integers(-20, 20), min_size=1, max_size=80), edges=st.sets(st.integers(-20, 20), min_size=1))
def test_ranges_are_those_of_pandas(numbers: list[int], edges: set[int]) -> None:
    given_edges = [float(edge) for edge in sorted(edges)]
    codes, words = by_edges(np.array(numbers, dtype=np.float64), given_edges)
    cut = pd.cut(numbers, [-np.inf, *given_edges, np.inf], right=False, labels=False)
    assert codes.tolist() == (np.asarray(cut) + 1).tolist()
    assert len(words) == len(edges) + 2


def test_ranges_have_equally_many_of_the_rows() -> None:
    codes, words = numeric(list(range(100)), ranges=4).coded(np.arange(1, 101))
    assert np.bincount(codes).tolist() == [1, 25, 25, 25, 25]
    assert words == ("", "below 25", "25 to 50", "50 to 75", "from 75")
    assert np.bincount(numeric(list(range(100)), ranges=4).coded(np.arange(1, 21))[0]).tolist() == [1, 5, 5, 5, 85]


@pytest.mark.parametrize(("numbers", "edges"), [([1, 1, 9], [9.0]), ([3, 3], [3.0]), ([2], [2.0]), ([1, 2], [2.0])])
def test_ties_leave_fewer_ranges(numbers: list[float], edges: list[float]) -> None:
    assert quantiles(np.array(numbers, dtype=np.float64), 10) == edges


def test_few_numbers_are_words_and_others_are_none_of_them() -> None:
    codes, words = numeric([4, 4, 0.5, 7, np.nan, 2], apart=2).coded(np.array([1, 2, 3, 5]))
    assert words == ("", "0.5", "4", OTHER)
    assert codes.tolist() == [0, 2, 2, 1, 3, 0, 3]
    assert numeric([4, 4, 0.5, 7], apart=2).coded(np.array([1, 3, 4]))[1][1].startswith("below")


def test_without_a_number_everything_is_unknown() -> None:
    codes, words = numeric([np.nan, 3]).coded(np.array([1]))
    assert (codes.tolist(), words) == ([0, 0, 0], ("",))


def test_edges_that_are_close_have_names_of_their_own() -> None:
    assert by_edges(np.array([1.0]), [19950101, 19950102])[1][1:3] == ("below 19950101", "19950101 to 19950102")
