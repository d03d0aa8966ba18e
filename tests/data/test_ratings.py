import numpy as np
import pytest

from metarec.data.ratings import FeatureTable, encode, encode_lists, encode_sets


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
