"""Douban Book from a tiny fake in the real formats, and from the real files in METAREC_DATA."""

import functools

import pytest

from metarec.data.sets.douban_book import douban_book
from metarec.data.sources import describe, only
from metarec.errors import InputError
from tests.data.sets.fakes import written
from tests.data.test_movielens import attribute

FAKE = {
    "ratings.csv": "user,item,rating,split\n8,21,4,meta_training\n8,30,3,warm_up\n5,21,5,meta_training\n",
    "user_location.dat": "8\t33\n5\t179\n6\t1\n",
    "book_author.dat": "30\t7\n21\t9\n",
    "book_publisher.dat": "30\t2\n",
    "book_year.dat": "21\t16\n30\t15\n",
}


write = functools.partial(written, FAKE)


def test_ratings_parts_and_attributes(tmp_path):
    ratings = douban_book(write(tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist(), ratings.rating.tolist()) == ([2, 2, 1], [1, 2, 1], [4, 3, 5])
    assert (ratings.user_ids, ratings.item_ids, ratings.timed) == (("", "5", "8"), ("", "21", "30"), False)
    assert only(ratings, ["warm_up"]).item.tolist() == [2]
    assert [attribute(ratings.user_features, "location", row) for row in range(3)] == ["", "179", "33"]
    assert [attribute(ratings.item_features, "publisher", row) for row in range(3)] == ["", "", "2"]
    assert [attribute(ratings.item_features, name, 1) for name in ("author", "year")] == ["9", "16"]


def test_the_original_file_of_ratings_has_no_parts(tmp_path):
    write(tmp_path)
    (tmp_path / "ratings.csv").unlink()
    (tmp_path / "user_book.dat").write_text("8\t21\t4\n5\t21\t5\n")
    ratings = douban_book(str(tmp_path))
    assert (len(ratings), ratings.part, ratings.item_ids) == (2, None, ("", "21"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"ratings": FAKE["ratings.csv"] + "5,30,6,warm_up\n"},
            r"ratings\.csv:5: rating '6' is not a whole number from 1",
        ),
        ({"ratings": FAKE["ratings.csv"] + "5,30,2\n"}, r"ratings\.csv:5: 3 columns instead of 4"),
        (
            {"ratings": FAKE["ratings.csv"] + "5,30,2,meta_trainig\n"},
            r"ratings\.csv:5: split 'meta_trainig' is none of meta_training, warm_up, user_cold, item_cold, user_item",
        ),
        ({"ratings": FAKE["ratings.csv"] + "5,30,2,\n"}, r"ratings\.csv:5: split '' is none of meta_training"),
        ({"book_year": "21\t1\n21\t2\n"}, r"book_year\.dat:2: id '21' is listed twice"),
    ],
)
def test_bad_lines_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        douban_book(write(tmp_path, **changed))


def test_real_douban_book(real):
    ratings = douban_book(real("douban-book"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users_rated", "items_rated", "first_time")]
    assert counts == [649_381, 10_551, 20_934, None]
    assert summary["parts"] == {
        "meta_training": 378_450,
        "warm_up": 42_050,
        "user_cold": 99_341,
        "item_cold": 104_278,
        "user_item_cold": 25_262,
    }
    assert int((ratings.rating == 4).sum()) == 274_087
    for features in (ratings.user_features, ratings.item_features):
        assert all((codes[1:] > 0).all() for codes in features.categorical.values())
    assert len(ratings.item_features.values["author"]) - 1 == 10_544
