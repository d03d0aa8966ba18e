"""Coat from a tiny fake in the real format, and from the real files in METAREC_DATA."""

import functools
import zipfile

import numpy as np
import pytest

from metarec.data.sets.coat import coat
from metarec.data.sources import describe, only
from metarec.errors import InputError
from tests.data.sets.fakes import written
from tests.data.test_movielens import attribute

FAKE = {
    "train.ascii": "4 0 1\r\n0 2 0\r\n",
    "test.ascii": "0 5 1\r\n3 0 0\r\n",
    "user_item_features/user_features.ascii": "1 0 0 1\r\n0 1 0 0\r\n",
    "user_item_features/user_features_map.txt": "gender:men\ngender:women\nage:20-30\nage:over 60",
    "user_item_features/item_features.ascii": "1 0\r\n0 1\r\n0 1\r\n",
    "user_item_features/item_features_map.txt": "color:red\ncolor:navy",
}


write = functools.partial(written, FAKE)


def test_both_parts_are_read_and_told_apart(tmp_path):
    ratings = coat(write(tmp_path))
    assert ratings.parts == ("self_selected", "random")
    rows = zip(
        ratings.user.tolist(), ratings.item.tolist(), ratings.rating.tolist(), ratings.part.tolist(), strict=True
    )
    assert set(rows) == {(1, 1, 4, 0), (2, 2, 2, 0), (1, 2, 5, 1), (1, 3, 1, 1), (2, 1, 3, 1)}
    assert only(ratings, ["random"]).rating.tolist() == [5, 1, 3]
    assert (ratings.user_ids, ratings.item_ids, ratings.timed) == (("", "1", "2"), ("", "1", "2", "3"), False)


def test_flags_become_attributes(tmp_path):
    ratings = coat(write(tmp_path))
    users, items = ratings.user_features, ratings.item_features
    assert [attribute(users, "gender", row) for row in range(3)] == ["", "men", "women"]
    assert [attribute(users, "age", row) for row in range(3)] == ["", "over 60", ""]
    assert [attribute(items, "color", row) for row in range(4)] == ["", "red", "navy", "navy"]


def test_an_archive_gives_the_same(tmp_path):
    with zipfile.ZipFile(tmp_path / "coat.zip", "w") as archive:
        for name, text in FAKE.items():
            archive.writestr(f"coat/{name}", text)
    (tmp_path / "coat").mkdir()
    folder, archive = coat(write(tmp_path / "coat")), coat(str(tmp_path / "coat.zip"))
    assert folder.digest == archive.digest
    np.testing.assert_array_equal(folder.rating, archive.rating)
    assert folder.schema == archive.schema


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": "4 0 6\n0 2 0\n"}, r"train\.ascii:1: item 3 '6' is neither 0, for no rating, nor"),
        ({"train": "4 0 1\n"}, r"train\.ascii has 1 lines for 2 users"),
        ({"train": "4 0\n0 2\n"}, r"train\.ascii:1: 2 columns instead of 3"),
        ({"test": "0 5 2\n3 0 0\n"}, r"test\.ascii:1: rates item 3 otherwise than train\.ascii"),
        (
            {"user_features_map": "gender:men\ngender:men\nage:20-30\nage:over 60"},
            r"user_features_map\.txt: 'gender:men' is listed twice",
        ),
        ({"user_features": "1 1 0 1\n0 1 0 0\n"}, "user_features.ascii:1: gender:men '1' is one of several values"),
        ({"user_features": "2 0 0 1\n0 1 0 0\n"}, "user_features.ascii:1: gender:men '2' is not 0 or 1"),
    ],
)
def test_bad_files_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        coat(write(tmp_path, **changed))


def test_real_coat(real):
    ratings = coat(real("coat"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users_rated", "items_listed", "items_rated", "first_time")]
    assert counts == [11_234, 290, 300, 300, None]
    assert summary["parts"] == {"self_selected": 6_594, "random": 4_640}
    random = only(ratings, ["random"])
    assert set(np.bincount(random.user)[1:].tolist()) == {16}
    assert random.rating.mean(dtype=np.float64) == pytest.approx(2.2288793103)
    assert {name: len(values) - 1 for name, values in ratings.user_features.values.items()} == {
        "gender": 2,
        "age": 6,
        "location": 3,
        "fashioninterest": 3,
    }
    assert len(ratings.item_features.values["jackettype"]) == 17
    assert [attribute(ratings.user_features, name, 1) for name in ("gender", "age")] == ["women", "20-30"]
