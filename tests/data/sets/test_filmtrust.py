"""FilmTrust from a tiny fake in the real format, and from the real file in METAREC_DATA."""

import pytest

from metarec.data.sets.filmtrust import filmtrust
from metarec.data.sources import describe
from metarec.errors import InputError

FAKE = "1 1 2\n1 2 3.5\n3 2 0.5\n1 1 4\n"


def write(folder, text=FAKE):
    (folder / "ratings.txt").write_text(text)
    return str(folder)


def test_the_later_of_two_ratings_of_a_pair_counts(tmp_path):
    ratings = filmtrust(write(tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist()) == ([1, 2, 1], [2, 2, 1])
    assert ratings.rating.tolist() == [3.5, 0.5, 4.0]
    assert (ratings.user_ids, ratings.item_ids, ratings.scale) == (("", "1", "3"), ("", "1", "2"), (0.5, 4.0))
    assert ratings.source == f"path {tmp_path}; 1 earlier rating of the same pair left out"
    assert not ratings.timed


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("3 1 4.5", "rating '4.5' is not a multiple of 0.5 from 0.5 to 4"),
        ("3\t1\t4", "1 column instead of 3 separated by blanks"),
        ("x 1 4", "user 'x' is not a whole number"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, fault):
    with pytest.raises(InputError, match=rf"ratings\.txt:5: {fault}"):
        filmtrust(write(tmp_path, f"{FAKE}{line}\n"))


def test_without_a_path_the_page_is_named():
    with pytest.raises(InputError, match="filmtrust is not fetched; get it from https"):
        filmtrust()


def test_real_filmtrust(real):
    ratings = filmtrust(real("filmtrust"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users", "users_rated", "items_listed", "items_rated", "first_time")]
    assert counts == [35_494, 1_508, 1_508, 2_071, 2_071, None]
    assert "3 earlier ratings of the same pair left out" in ratings.source
    row = ratings.user == ratings.user_ids.index("308")
    of_308 = dict(zip((ratings.item_ids[item] for item in ratings.item[row]), ratings.rating[row], strict=True))
    assert [of_308[film] for film in ("207", "235", "12")] == [3, 1.5, 4]
