"""Book-Crossing from a tiny fake in the real format, and from the real files in METAREC_DATA."""

import functools

import pytest

from metarec.data.sets.book_crossing import book_crossing, book_crossing_history
from metarec.data.sources import describe
from metarec.errors import InputError
from tests.data.sets.fakes import written
from tests.data.test_movielens import attribute

URLS = "http://a/S.jpg\thttp://a/M.jpg\thttp://a/L.jpg\t"
FAKE = {
    "book_ratings.dat": "user\titem\trating\n1\t4\t7.000000\n3\t2\t10.000000\n",
    "book_history.dat": "user\titem\taccessed\n1\t4\t1\n1\t5\t1\n3\t2\t1\n",
    "users_info.dat": "User-ID\tLocation\tAge\n1\tsan diego, california, usa\t20\t\n3\tn/a, \t\t\n",
    "items_info.dat": "Book_ID\tISBN\tBook-Title\tBook-Author\tYear-Of-Publication\tPublisher"
    "\tImage-URL-S\tImage-URL-M\tImage-URL-L\n"
    f"2\t06X\tCaf\u00e9 Noir\tE. Barber\t1999\tNorton &amp\t Company\t{URLS}\n"
    f"4\t07\tMedea \t Fedra &amp\t More\tSeneca\t0\tRizzoli\t{URLS}\n"
    f"5\t08\tWhat If?\tR. Cowley\t2000\tBerkley\t{URLS}\n",
}


write = functools.partial(written, FAKE)


def test_ratings_and_attributes(tmp_path):
    ratings = book_crossing(write(tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist(), ratings.rating.tolist()) == ([1, 2], [2, 1], [7, 10])
    assert (ratings.scale, ratings.timed, ratings.user_ids) == ((1, 10), False, ("", "1", "3"))
    assert ratings.item_titles == ("", "Caf\u00e9 Noir", "Medea ; Fedra & More", "What If?")
    books = ratings.item_features
    assert [attribute(books, "publisher", row) for row in (1, 2)] == ["Norton & Company", "Rizzoli"]
    assert [attribute(books, "author", row) for row in (1, 2)] == ["E. Barber", "Seneca"]
    assert [attribute(books, "year", row) for row in (1, 2)] == ["1999", ""]
    users = ratings.user_features
    assert {name: attribute(users, name, 1) for name in users.categorical} == {
        "location": "san diego, california, usa",
        "country": "usa",
        "age": "20",
        "age_group": "18",
    }
    assert [attribute(users, name, 2) for name in ("country", "age", "age_group")] == ["", "", ""]


def test_the_history_is_clicks(tmp_path):
    ratings = book_crossing_history(write(tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist()) == ([1, 1, 2], [2, 3, 1])
    assert (ratings.rating.tolist(), ratings.scale, ratings.name) == ([1, 1, 1], (0, 1), "book-crossing-history")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"book_ratings": FAKE["book_ratings.dat"] + "1\t2\t0.000000\n"}, r"ratings\.dat:4: rating '0\.0+' is not"),
        ({"book_ratings": FAKE["book_ratings.dat"] + "2\t2\t5.000000\n"}, r":4: user '2' is not in .*users_info\.dat"),
        (
            {"items_info": FAKE["items_info.dat"] + "6\t09\tOld\tB\tMCM\tC\thttp\n"},
            r"items_info\.dat:5: line '6.* is not",
        ),
        ({"users_info": FAKE["users_info.dat"] + "4\tusa\told\t\n"}, r"users_info\.dat:4: Age 'old' is not an age"),
        ({"users_info": "id\n1\n"}, r"users_info\.dat:1: 'id' is another header"),
    ],
)
def test_bad_lines_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        book_crossing(write(tmp_path, **changed))


def test_real_book_crossing(real):
    ratings = book_crossing(real("book-crossing"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users", "users_rated", "items_listed", "items_rated", "first_time")]
    assert counts == [62_656, 2_946, 1_295, 17_384, 14_684, None]
    assert int((ratings.rating == 8).sum()) == 15_629
    assert len(ratings.user_features.values["country"]) == 48
    years = ratings.item_features.categorical["year"]
    assert int((years[1:] == 0).sum()) == 270
    titles = [ratings.item_titles[row] for row in (2, 380, 683)]
    assert titles == [
        "The Mummies of Urumchi",
        "A Tally of Types: With Additions by Several Hands ; And With a New Introduction by Mike Parker",
        "Le Coq De Bruygre (Folio Ser; No. 1229))",
    ]
    assert attribute(ratings.item_features, "publisher", 2) == "W. W. Norton & Company"


def test_real_history(real):
    summary = describe(book_crossing_history(real("book-crossing")))
    counts = [summary[key] for key in ("ratings", "users_rated", "items_rated", "min_ratings_per_user", "mean_rating")]
    assert counts == [272_678, 2_946, 17_384, 20, 1.0]
