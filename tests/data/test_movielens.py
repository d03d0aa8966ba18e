"""MovieLens 100K and 1M from tiny fakes in the real formats."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metarec.data.ratings import FeatureTable, Ratings
from metarec.data.sources import describe, movielens_1m, movielens_100k
from metarec.errors import InputError
from tests.data.sets.fakes import written

HEADERS = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n",
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n",
}
DATA = "10\t2\t3\t881250949\n2\t1412\t5\t-7\n2\t267\t1\t881250949\n"
USERS = "10|53|F|other|94043\n2|17|M|technician|T8H1N\n3|18|M|writer|00001\n"


def flags(*on):
    return "|".join("1" if number in on else "0" for number in range(19))


ITEMS = (
    f"2|Postino, Il (1994)|01-Jan-1995||http://x/|{flags(8, 14)}\n"
    f"267|unknown||||{flags(0)}\n"
    f"1412|Land Before Time III (1995) (V)|01-Jan-1995||http://x/|{flags(3, 4)}\n"
    f"5|Caf\u00e9 au lait|10-Mar-1993||http://x/|{flags(5)}\n"
)
ATOMIC = {
    "ml-100k.inter": HEADERS["inter"] + DATA,
    "ml-100k.user": HEADERS["user"] + USERS.replace("|", "\t"),
    "ml-100k.item": HEADERS["item"]
    + "2\tPostino, Il\t1994\tDrama Romance\n267\tunkonwn\tunkonwn\tunknown\n"
    + "1412\tLand Before Time III (1995)\tV\tAnimation Children's\n5\tCaf\u00e9 au lait\t1993\tComedy\n",
}
ML_1M = {
    "ratings.dat": "1::3::5::978300760\n2::1::4::2\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    "movies.dat": "1::Toy Story (1995)::Animation|Children's\n3::Caf\u00e9: the Film (1990)::Drama\n7::X (2000)::War\n",
}


def write_100k(folder, **changed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"data": DATA, "user": USERS, "item": ITEMS, **changed}.items():
        (folder / f"u.{name}").write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return str(folder)


def write_1m(folder, **changed):
    for name, text in ML_1M.items():
        (folder / name).write_bytes(changed.get(name.split(".")[0], text).encode("latin-1"))
    return str(folder)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_wheel(path):
    return write_zip(path, {f"recbole/dataset_example/ml-100k/{name}": text for name, text in ATOMIC.items()})


def attribute(table, name, row):
    return table.values[name][table.categorical[name][row]]


def genres(ratings, row):
    names = ratings.item_features.values["genre"]
    return [names[column] for column in np.flatnonzero(ratings.item_features.multi_hot["genre"][row])]


def assert_same(one, other):
    """All that two data sets hold is the same, but for where they were read from."""
    for field in dataclasses.fields(Ratings):
        if field.name not in ("source", "user_features", "item_features"):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)
    for side in ("user_features", "item_features"):
        first, second = getattr(one, side), getattr(other, side)
        assert first.values == second.values
        for kind in ("categorical", "multi_hot", "lists"):
            assert getattr(first, kind).keys() == getattr(second, kind).keys()
            for name, array in getattr(first, kind).items():
                np.testing.assert_array_equal(array, getattr(second, kind)[name])


def test_data_sets_that_differ_in_anything_are_not_the_same(tmp_path):
    ratings = movielens_1m(write_1m(tmp_path))
    rich = dataclasses.replace(
        ratings, part=np.array([0, 1]), parts=("a", "b"), item_features=FeatureTable(lists={"actor": np.zeros((4, 2))})
    )
    assert_same(rich, dataclasses.replace(rich, source="elsewhere"))
    lists = FeatureTable(lists={"actor": np.eye(4, 2)})
    for other in ({"part": None}, {"part": np.array([1, 0])}, {"parts": ("a", "c")}, {"item_features": lists}):
        with pytest.raises(AssertionError):
            assert_same(rich, dataclasses.replace(rich, **other))


def test_atomic_files_with_other_fields_are_refused(tmp_path):
    changed = {**ATOMIC, "ml-100k.user": ATOMIC["ml-100k.user"].replace("age:token\tgender", "gender:token\tage")}
    folder = written(changed, tmp_path)
    with pytest.raises(
        InputError, match=r"ml-100k\.user:1: .* is another header; the first line must be 'user_id:token"
    ):
        movielens_100k(folder)
    written({"ml-100k.user": ATOMIC["ml-100k.user"] + "4\t3.5\tM\twriter\t1\n"}, tmp_path)
    with pytest.raises(InputError, match=r"ml-100k\.user:5: age '3\.5' is not an age in years"):
        movielens_100k(folder)


def test_100k_from_its_original_files(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    assert ratings.user_ids == ("", "2", "3", "10")
    assert ratings.item_ids == ("", "2", "5", "267", "1412")
    assert ratings.user.tolist() == [3, 1, 1]
    assert ratings.item.tolist() == [1, 4, 3]
    assert ratings.rating.tolist() == [3, 5, 1]
    assert ratings.time.tolist() == [881250949, -7, 881250949]
    assert (ratings.rating.dtype, ratings.time.dtype, ratings.user.dtype) == (np.float32, np.int64, np.int64)
    assert ratings.item_titles == ("", "Postino, Il", "Caf\u00e9 au lait", "unknown", "Land Before Time III")
    assert [attribute(ratings.item_features, "year", row) for row in range(5)] == [
        "",
        "1994",
        "1993",
        "",
        "1995",
    ]
    assert [genres(ratings, row) for row in range(5)] == [
        [],
        ["Drama", "Romance"],
        ["Comedy"],
        [],
        ["Animation", "Children's"],
    ]
    users = ratings.user_features
    assert {name: attribute(users, name, 3) for name in users.categorical} == {
        "age": "53",
        "age_group": "50",
        "gender": "F",
        "occupation": "other",
        "zip": "94043",
    }
    assert [attribute(users, "age_group", row) for row in range(4)] == ["", "1", "18", "50"]
    assert ratings.digest == hashlib.sha256(DATA.encode()).hexdigest()
    assert ratings.source == f"path {tmp_path}"


def test_100k_is_the_same_from_folder_zip_and_wheel(tmp_path):
    folder = Path(write_100k(tmp_path / "ml-100k"))
    members = {f"ml-100k/{file.name}": file.read_bytes() for file in folder.iterdir()}
    original = movielens_100k(str(folder))
    assert_same(original, movielens_100k(str(write_zip(tmp_path / "ml-100k.zip", members))))
    assert_same(original, movielens_100k(str(write_wheel(tmp_path / "thing.whl"))))


def test_1m_lists_films_without_ratings(tmp_path):
    ratings = movielens_1m(write_1m(tmp_path))
    assert ratings.item_ids == ("", "1", "3", "7")
    assert ratings.item_titles[2] == "Caf\u00e9: the Film"
    assert ratings.item.tolist() == [2, 1]
    assert genres(ratings, 1) == ["Animation", "Children's"]
    assert attribute(ratings.user_features, "age_group", 2) == attribute(ratings.user_features, "age", 2) == "56"
    summary = describe(ratings)
    assert (summary["items_listed"], summary["items_rated"], summary["users"]) == (3, 2, 2)
    assert summary["mean_rating"] == 4.5
    assert summary["density"] == pytest.approx(2 / 6)
    assert (summary["first_time"], summary["last_time"], summary["min_ratings_per_user"]) == (2, 978300760, 1)


@pytest.mark.parametrize("change", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b"\xef\xbb\xbf" + b])
def test_crlf_and_byte_order_mark_change_nothing(tmp_path, change):
    plain = movielens_100k(write_100k(tmp_path / "plain"))
    utf8 = {"data": change(DATA.encode()), "user": change(USERS.encode())}
    changed = movielens_100k(write_100k(tmp_path / "changed", **utf8))
    assert changed.user.tolist() == plain.user.tolist()
    assert changed.user_ids == plain.user_ids
    np.testing.assert_array_equal(changed.time, plain.time)


def test_byte_order_mark_means_utf8(tmp_path):
    folder = write_100k(tmp_path, item=b"\xef\xbb\xbf" + ITEMS.encode("utf-8"))
    assert movielens_100k(folder).item_titles[2] == "Caf\u00e9 au lait"


BAD_DATA = {
    "nan": ("2\t2\tnan\t1\n", r"u\.data:4: rating 'nan' is not a whole number from 1 to 5"),
    "infinite": ("2\t2\tinf\t1\n", r"u\.data:4: rating 'inf'"),
    "too high": ("2\t2\t6\t1\n", r"u\.data:4: rating '6'"),
    "too low": ("2\t2\t0\t1\n", r"u\.data:4: rating '0'"),
    "half a star": ("2\t2\t3.5\t1\n", r"u\.data:4: rating '3.5'"),
    "no rating": ("2\t2\t\t1\n", r"u\.data:4: rating ''"),
    "user id": ("2.0\t2\t3\t1\n", r"u\.data:4: user '2.0' is not a whole number"),
    "item id": ("2\tx\t3\t1\n", r"u\.data:4: item 'x' is not a whole number"),
    "time": ("2\t2\t3\t1.5\n", r"u\.data:4: time '1.5' is not a whole number"),
    "huge time": ("2\t2\t3\t99999999999999999999\n", r"u\.data:4: time '99999999999999999999'"),
    "separator": ("2,2,3,1\n", r"u\.data:4: 1 column instead of 4 separated by tabs"),
    "column too many": ("2\t2\t3\t1\t9\n", r"u\.data:4: 5 columns instead of 4"),
    "blank line": ("\n2\t2\t3\t1\n", r"u\.data:4: 1 column instead of 4"),
    "cut line": ("2\t2\t3\t8812", r"u\.data:4: the file ends in the middle"),
    "unknown user": ("99\t2\t3\t1\n", r"u\.data:4: user '99' is not in .*u\.user; .* or add what it names there"),
    "unknown item": ("2\t99\t3\t1\n", r"u\.data:4: item '99' is not in .*u\.item; "),
    "again": ("10\t2\t4\t1\n", r"u\.data:4: user '10' rates item 2 again after line 1"),
    "two": ("2\t2\t7\t1\n2\t5\t8\t1\n", r"u\.data:4: rating '7' .* \(and 1 more lines?\)"),
    "bytes": ("2\t2\t\0\t1\n", r"u\.data:4: a zero byte, so this is no text"),
}


@pytest.mark.parametrize(("line", "message"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_rating_line_is_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message) as error:
        movielens_100k(write_100k(tmp_path, data=DATA + line))
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


BAD_FILES = {
    "empty data": ({"data": ""}, r"u\.data is empty"),
    "only line breaks": ({"data": "\n\n"}, r"u\.data is empty"),
    "header": (
        {"data": "user\titem\trating\ttime\n" + DATA},
        r"u\.data:1: user 'user' is not a whole number",
    ),
    "empty users": ({"user": ""}, r"u\.user is empty"),
    "user twice": ({"user": USERS + USERS}, r"u\.user:4: id '10' is listed twice"),
    "item twice": ({"item": ITEMS + ITEMS}, r"u\.item:5: id '2' is listed twice"),
    "age": ({"user": USERS.replace("17", "old")}, r"u\.user:2: age 'old' is not an age"),
    "item columns": ({"item": ITEMS.replace("267|", "267")}, r"u\.item:2: 23 columns instead of 24"),
    "genre flag": ({"item": ITEMS.replace("|1", "|7", 1)}, r"u\.item:1: Drama '7' is not 0 or 1"),
    "not utf-8": (
        {"user": b"\xef\xbb\xbf" + USERS.replace("other", "\xe9").encode("latin-1")},
        "u.user:1: not utf-8",
    ),
}


@pytest.mark.parametrize(("changed", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_file_is_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        movielens_100k(write_100k(tmp_path, **changed))


def test_bad_wheel_line_counts_the_header(tmp_path):
    for name, text in ATOMIC.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    inter = tmp_path / "ml-100k.inter"
    inter.write_text(HEADERS["inter"] + "2\t2\t9\t1\n")
    with pytest.raises(InputError, match=r"ml-100k\.inter:2: rating '9'"):
        movielens_100k(str(tmp_path))
    inter.write_text(HEADERS["inter"])
    with pytest.raises(InputError, match=r"ml-100k\.inter is empty"):
        movielens_100k(str(tmp_path))


def test_bad_1m_line_is_named(tmp_path):
    with pytest.raises(InputError, match=r"ratings\.dat:2: 1 column instead of 4 separated by ::"):
        movielens_1m(write_1m(tmp_path, ratings="1::3::5::1\n1,1,5,1\n"))


def test_missing_age_is_unknown(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path, user=USERS.replace("|17|", "||")))
    assert ratings.user_features.categorical["age_group"][1] == 0
