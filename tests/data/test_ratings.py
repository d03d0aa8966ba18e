import dataclasses

import numpy as np
import pytest

from metarec.data.ratings import FeatureTable, encode, encode_lists, encode_sets
from tests.conftest import synthetic_ratings


def test_encode_gives_row_zero_and_missing_values_the_code_zero():
    codes, values = encode(["b", "", "a", "b"])
    assert values == ("", "a", "b")
    assert codes.tolist() == [0, 2, 0, 1, 2]
    assert codes.dtype == np.int64


def test_encode_can_be_undone():
    words = ["z", "m", "", "m", "a"]
    codes, values = encode(words)
    assert [values[code] for code in codes[1:]] == words


def test_encode_sets_gives_one_column_a_value_and_zeros_to_row_zero():
    matrix, values = encode_sets([["b", "a"], [], ["b"]])
    assert values == ("a", "b")
    assert matrix.tolist() == [[0, 0], [1, 1], [0, 0], [0, 1]]
    assert matrix.dtype == np.float32


@pytest.mark.parametrize("repeat", [1, 3])
def test_encode_sets_ignores_repeats(repeat):
    assert encode_sets([["a"] * repeat])[0].tolist() == [[0], [1]]


def test_schema_counts_codes_and_columns():
    codes, values = encode(["x", "y"])
    matrix, columns = encode_sets([["p"], ["q", "r"]])
    table = FeatureTable({"one": codes}, {"many": matrix}, {"one": values, "many": columns})
    assert table.schema == {"categorical": {"one": 3}, "multi_hot": {"many": 3}}


def test_ratings_whose_times_are_all_the_same_are_not_timed():
    ratings = synthetic_ratings()
    assert ratings.timed
    assert not dataclasses.replace(ratings, time=np.full(len(ratings), 7)).timed


def test_rows_are_taken_from_every_column():
    ratings = dataclasses.replace(synthetic_ratings(), parts=("a", "b"))
    parted = dataclasses.replace(ratings, part=np.arange(len(ratings)) % 2)
    rows = np.array([5, 2])
    for name in ("user", "item", "rating", "time", "part"):
        assert getattr(parted.at(rows), name).tolist() == getattr(parted, name)[rows].tolist()
    assert (len(ratings.at(rows)), ratings.at(rows).part) == (2, None)
    assert parted.at(rows).schema == ratings.schema


def test_encode_lists_gives_codes_and_zeros_where_a_list_ends():
    lists, values = encode_lists([["b", "a", "b"], [], ["", "b"]])
    assert values == ("", "a", "b")
    assert lists.tolist() == [[0, 0], [1, 2], [0, 0], [2, 0]]
    assert lists.dtype == np.int64
    assert encode_lists([[], []])[0].shape == (3, 1)


def test_schema_counts_the_values_of_lists_and_their_length():
    lists, values = encode_lists([["p"], ["q", "r"]])
    assert FeatureTable(lists={"many": lists}, values={"many": values}).schema == {
        "categorical": {},
        "multi_hot": {},
        "lists": {"many": 4},
        "longest": {"many": 2},
    }
