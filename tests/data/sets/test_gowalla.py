"""Gowalla from a tiny fake in the real format, and from the real lists in METAREC_DATA."""

import functools

import numpy as np
import pytest

from metarec.data.sets.gowalla import gowalla
from metarec.data.sources import describe, only
from metarec.errors import InputError
from tests.data.sets.fakes import written

FAKE = {"train.txt": "0 5 7 6\n1 7 \n2\n", "test.txt": "0 9\n1 5 6\n"}


write = functools.partial(written, FAKE)


def test_lists_become_clicks_in_two_parts(tmp_path):
    ratings = gowalla(write(tmp_path))
    pairs = list(zip(ratings.user.tolist(), [ratings.item_ids[item] for item in ratings.item], strict=True))
    assert pairs == [(1, "5"), (1, "7"), (1, "6"), (2, "7"), (1, "9"), (2, "5"), (2, "6")]
    assert ratings.user_ids == ("", "0", "1")
    assert (set(ratings.rating.tolist()), ratings.scale, ratings.timed) == ({1.0}, (0, 1), False)
    assert only(ratings, ["test"]).user.tolist() == [1, 2, 2]
    assert only(ratings, ["train"]).user.tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": "0 5 7\n1 x\n"}, r"train\.txt:2: line '1 x' is not a user and items"),
        ({"train": "0 5 7\n\n1 3\n"}, r"train\.txt:2: line '' is not"),
        ({"train": "0 5\n1 7 7\n"}, r"train\.txt:2: item '7' comes twice for one user"),
        (
            {"train": "1 6\n0 5 7\n", "test": "1 5\n1 9\n0 2 7\n"},
            r"test\.txt:3: item '7' of user 0 stands on line 2 of .*train\.txt too; remove it from one of them",
        ),
        ({"test": "1 5\n0 7"}, r"test\.txt:2: the file ends in the middle"),
    ],
)
def test_bad_lines_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        gowalla(write(tmp_path, **changed))


def test_real_gowalla(real):
    ratings = gowalla(real("gowalla"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users_rated", "items_rated", "parts")]
    assert counts == [1_027_370, 29_858, 40_981, {"train": 810_128, "test": 217_242}]
    first = only(ratings, ["test"])
    assert [first.item_ids[item] for item in first.item[:3]] == ["7580", "3730", "5983"]
    assert np.unique(first.user).size == 29_858
