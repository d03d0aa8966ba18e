import dataclasses

import numpy as np
import pytest

from metarec.data.numeric import Numeric
from metarec.data.ratings import FeatureTable, FoundScale, encode, encode_lists, encode_sets
from metarec.data.sources import clicks, swapped
from metarec.data.transforms import likes
from metarec.data.windows import windows
from metarec.errors import InputError
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


def unsettled(seed=0):
    """Synthetic ratings with a scale that nobody gave, an age of users and a length of items."""
    ratings, random = synthetic_ratings(seed=seed), np.random.default_rng(seed)
    tables = {}
    for side, name in (("user", "age"), ("item", "length")):
        table = getattr(ratings, f"{side}_features")
        numbers = random.integers(1, 90, len(getattr(ratings, f"{side}_ids")) - 1)
        numeric = {name: Numeric(np.append(np.nan, numbers), 4)}
        tables[f"{side}_features"] = dataclasses.replace(table, numeric=numeric)
    return dataclasses.replace(ratings, scale=FoundScale(1, 5), **tables)


def test_what_nobody_gave_is_found_among_the_known_ratings():
    ratings = unsettled()
    assert ratings.unsettled == ["the scale", "ranges of the user attribute age", "ranges of the item attribute length"]
    known = np.flatnonzero((ratings.user < 20) & (ratings.item < 15) & (ratings.rating < 5))
    settled = ratings.settled(known)
    assert settled.scale == (ratings.rating[known].min(), 4)
    assert type(settled.scale) is tuple
    assert (settled.unsettled, len(settled)) == ([], len(ratings))
    ages = ratings.user_features.numeric["age"].number[np.unique(ratings.user[known])]
    edges = np.unique(np.quantile(ages, [0.25, 0.5, 0.75], method="higher"))
    expected = np.digitize(ratings.user_features.numeric["age"].number[1:], edges) + 1
    assert settled.user_features.categorical["age"][1:].tolist() == expected.tolist()
    assert settled.schema["user_features"]["categorical"] == {"group": 4, "age": 5}
    assert settled.source.endswith("; found in training: the scale 1 to 4, 4 values of age, 4 values of length")
    declared = synthetic_ratings()
    assert declared.settled(known) is declared


def test_a_scale_that_training_does_not_tell():
    ratings = unsettled()
    with pytest.raises(InputError, match=r"every training rating of synthetic is 4, which tells no scale; give scale"):
        ratings.settled(np.flatnonzero(ratings.rating == 4))


@pytest.mark.parametrize("make", [likes, clicks, lambda ratings: swapped(swapped(ratings)), lambda r: windows(r, 5)])
def test_what_is_made_of_ratings_keeps_what_is_to_be_found_or_gives_it(make):
    made = make(unsettled())
    assert isinstance(made.scale, FoundScale) == (made.scale != (0, 1))
    rows = np.arange(len(made))
    settled = made.settled(rows)
    assert settled.scale == ((0, 1) if made.scale == (0, 1) else (1, 5))
    assert settled.user_features.categorical["age"].shape == (len(made.user_ids),)
