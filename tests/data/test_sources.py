"""MovieLens from tiny fakes in the real formats, and from the real files in METAREC_DATA."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metarec.data import sources
from metarec.data.fetch import Download, FetchError, Package
from metarec.data.sources import LICENCE, clicks, describe, movielens_1m, movielens_100k, show_licence_once, swapped
from metarec.errors import InputError

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
    for name in ("user", "item", "rating", "time"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("name", "scale", "user_ids", "item_ids", "item_titles", "digest"):
        assert getattr(one, name) == getattr(other, name)
    for side in ("user_features", "item_features"):
        first, second = getattr(one, side), getattr(other, side)
        assert first.values == second.values
        for kind in ("categorical", "multi_hot"):
            assert getattr(first, kind).keys() == getattr(second, kind).keys()
            for name, array in getattr(first, kind).items():
                np.testing.assert_array_equal(array, getattr(second, kind)[name])


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
    "unknown user": ("99\t2\t3\t1\n", r"u\.data:4: user '99' is not in the file of users"),
    "unknown item": ("2\t99\t3\t1\n", r"u\.data:4: item '99' is not in the file of items"),
    "again": ("10\t2\t4\t1\n", r"u\.data:4: user '10' rates item 2 again after line 1"),
    "two": ("2\t2\t7\t1\n2\t5\t8\t1\n", r"u\.data:4: rating '7' .* \(and 1 more lines?\)"),
    "bytes": ("2\t2\t\0\t1\n", r"u\.data is not a text file"),
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


def pin(monkeypatch, tmp_path, content_digest):
    """Let the two pinned archives be fakes, and count what is fetched."""
    wheel = write_wheel(tmp_path / "fake.whl").read_bytes()
    folder = Path(write_100k(tmp_path / "original"))
    archive = write_zip(tmp_path / "fake.zip", {f"ml-100k/{f.name}": f.read_bytes() for f in folder.iterdir()})
    package = Package("recbole", "1.2.1", "fake.whl", hashlib.sha256(wheel).hexdigest())
    official = Download("https://example.org/fake.zip", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(sources, "ARCHIVES_100K", (package, official))
    monkeypatch.setattr(sources, "RATINGS_100K", content_digest)
    calls = []

    def copy(self, scratch):
        calls.append(self.file)
        (scratch / self.file).write_bytes((tmp_path / self.file).read_bytes())
        return scratch / self.file

    monkeypatch.setattr(Package, "fetch", copy)
    monkeypatch.setattr(Download, "fetch", copy)
    return calls


GOOD = hashlib.sha256(DATA.encode()).hexdigest()


def test_package_then_cache(tmp_path, monkeypatch):
    calls = pin(monkeypatch, tmp_path, GOOD)
    cache = str(tmp_path / "cache")
    first, second = movielens_100k(cache=cache), movielens_100k(cache=cache)
    assert first.source == "PyPI package recbole 1.2.1"
    assert second.source == "cache (PyPI package recbole 1.2.1)"
    assert_same(first, second)
    assert calls == ["fake.whl"]


def test_official_archive_after_a_failing_package(tmp_path, monkeypatch):
    pin(monkeypatch, tmp_path, GOOD)

    def refuse(self, folder):
        raise FetchError("hash mismatch")

    monkeypatch.setattr(Package, "fetch", refuse)
    assert movielens_100k(cache=str(tmp_path / "cache")).source == "official archive"


def test_path_goes_before_the_cache_and_is_not_bound_to_the_digest(tmp_path, monkeypatch):
    calls = pin(monkeypatch, tmp_path, "0" * 64)
    folder = write_100k(tmp_path / "mine")
    assert movielens_100k(folder, cache=str(tmp_path / "cache")).digest == GOOD
    assert calls == []


def test_fetched_ratings_must_be_the_known_ones(tmp_path, monkeypatch):
    pin(monkeypatch, tmp_path, "0" * 64)
    with pytest.raises(InputError, match="is not the known one"):
        movielens_100k(cache=str(tmp_path / "cache"))


def test_licence_is_shown_once_a_cache(tmp_path):
    text = show_licence_once("movielens-100k", str(tmp_path))
    assert text == LICENCE["movielens-100k"]
    assert "10.1145/2827872" in text
    assert show_licence_once("movielens-100k", str(tmp_path)) is None
    assert show_licence_once("movielens-1m", str(tmp_path)) is not None
    with pytest.raises(InputError, match="allowed: movielens-100k, movielens-1m"):
        show_licence_once("movies", str(tmp_path))


def test_licence_is_shown_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert show_licence_once("movielens-1m", str(tmp_path / "file")) == LICENCE["movielens-1m"]


def test_importing_the_sources_imports_neither_torch_nor_pooch():
    code = "import sys, metarec.data.sources; sys.exit(bool({'torch', 'pooch', 'requests'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def real():
    folder = os.environ.get("METAREC_DATA")

    def find(name):
        if not folder or not (Path(folder) / name).is_dir():
            pytest.skip(f"real data: set METAREC_DATA to a folder that holds {name}/")
        return str(Path(folder) / name)

    return find


def assert_known_100k(ratings):
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users", "items_listed", "items_rated", "min_ratings_per_user")]
    assert counts == [100_000, 943, 1_682, 1_682, 20]
    assert ratings.digest == "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
    assert (ratings.user[0], ratings.item[0], ratings.rating[0], ratings.time[0]) == (196, 242, 3, 881250949)
    assert summary["mean_rating"] == pytest.approx(3.52986)
    assert ratings.item_titles[1] == "Toy Story"
    assert attribute(ratings.item_features, "year", 1) == "1995"
    assert genres(ratings, 1) == ["Animation", "Children's", "Comedy"]
    assert genres(ratings, 267) == []
    assert attribute(ratings.user_features, "occupation", 1) == "technician"
    assert len(ratings.item_features.values["genre"]) == 18


def test_real_100k(real):
    assert_known_100k(movielens_100k(real("ml-100k")))


def test_real_1m(real):
    ratings = movielens_1m(real("ml-1m"))
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users", "items_listed", "items_rated", "min_ratings_per_user")]
    assert counts == [1_000_209, 6_040, 3_883, 3_706, 20]
    assert summary["mean_rating"] == pytest.approx(3.581564453)
    assert ratings.item_titles[1] == "Toy Story"
    assert (attribute(ratings.user_features, "gender", 1), attribute(ratings.user_features, "zip", 1)) == (
        "F",
        "48067",
    )
    digest = hashlib.sha256((Path(real("ml-1m")) / "ratings.dat").read_bytes()).hexdigest()
    assert ratings.digest == digest


@pytest.mark.slow
def test_real_100k_from_the_package_is_the_original(real, tmp_path):
    fetched = movielens_100k(cache=str(tmp_path))
    assert fetched.source == "PyPI package recbole 1.2.1"
    assert_known_100k(fetched)
    assert_same(fetched, movielens_100k(cache=str(tmp_path)))
    assert_same(fetched, movielens_100k(real("ml-100k")))


def test_swapped_ratings_have_items_for_users_and_the_other_way_round(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    items = swapped(ratings)
    assert (items.user.tolist(), items.item.tolist()) == ([1, 4, 3], [3, 1, 1])
    assert (items.rating.tolist(), items.time.tolist()) == (ratings.rating.tolist(), ratings.time.tolist())
    assert items.user_ids == ("", "2", "5", "267", "1412")
    assert items.item_ids == ("", "2", "3", "10")
    assert items.user_titles == ("", "Postino, Il", "Caf\u00e9 au lait", "unknown", "Land Before Time III")
    assert items.item_titles == items.item_ids
    assert attribute(items.user_features, "year", 1) == "1994"
    assert attribute(items.item_features, "occupation", 1) == "technician"
    assert items.schema == {
        "users": 5,
        "items": 4,
        "user_features": ratings.schema["item_features"],
        "item_features": ratings.schema["user_features"],
    }


def test_weights_trained_on_users_are_not_taken_for_weights_trained_on_items(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    items = swapped(ratings)
    assert items.name == "movielens-100k-swapped"
    assert len({ratings.digest, items.digest, swapped(items).digest}) == 3


def test_ratings_swapped_twice_are_what_they_were(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    again = swapped(swapped(ratings))
    assert_same(dataclasses.replace(again, name=ratings.name, digest=ratings.digest), ratings)


def test_clicks_are_the_high_ratings(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    chosen = clicks(ratings, threshold=3.0)
    assert (chosen.user.tolist(), chosen.item.tolist()) == ([3, 1], [1, 4])
    assert chosen.rating.tolist() == [1.0, 1.0]
    assert (chosen.rating.dtype, chosen.time.tolist()) == (np.float32, ratings.time[:2].tolist())
    assert (chosen.scale, chosen.name) == ((0.0, 1.0), f"{ratings.name}-clicks")
    assert chosen.source == f"{ratings.source}; clicks: the 2 of 3 ratings >= 3"
    assert (chosen.user_ids, chosen.item_ids, chosen.schema) == (ratings.user_ids, ratings.item_ids, ratings.schema)
    assert len({ratings.digest, chosen.digest, clicks(ratings).digest}) == 3
    assert len(clicks(ratings)) == 1
    assert clicks(swapped(ratings)).user.tolist() == [4]
    with pytest.raises(InputError, match=r"threshold 6.0: no rating of .* is as high; its scale is \(1.0, 5.0\)"):
        clicks(ratings, 6.0)
