"""Where data sets come from, and what is made of them; the real files in METAREC_DATA."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metarec.data import sources
from metarec.data.fetch import Download, FetchError, Package
from metarec.data.sources import clicks, describe, movielens_1m, movielens_100k, only, swapped
from metarec.errors import InputError
from tests.data.test_movielens import DATA, assert_same, attribute, genres, write_100k, write_wheel, write_zip


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


def test_importing_the_sources_imports_neither_torch_nor_pooch():
    code = "import sys, metarec.data.sources; sys.exit(bool({'torch', 'pooch', 'requests'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
    assert again.user_titles == ratings.user_ids  # which is what no titles stand for
    assert_same(dataclasses.replace(again, name=ratings.name, digest=ratings.digest, user_titles=()), ratings)


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
    with pytest.raises(
        InputError, match=r"threshold 6: no rating of .* is as high; give a threshold up to 5, or leave"
    ):
        clicks(ratings, 6.0)
    with pytest.raises(InputError, match=r"-clicks is as high; give a threshold up to 1, or leave `clicks` out"):
        clicks(chosen)


def test_only_some_parts_are_kept(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    parted = dataclasses.replace(ratings, part=np.array([1, 0, 1]), parts=("first", "second"))
    second = only(parted, ["second"])
    assert (second.user.tolist(), second.rating.tolist()) == ([3, 1], [3, 1])
    assert (second.name, second.schema) == ("movielens-100k-second", ratings.schema)
    assert second.source.endswith("; second: 2 of 3 ratings")
    assert len({second.digest, parted.digest, only(parted, ["first"]).digest}) == 3
    assert len(only(parted, ["second", "first"])) == 3
    assert clicks(parted, 3.0).part.tolist() == [1, 0]
    assert describe(parted)["parts"] == {"first": 1, "second": 2}
    assert "parts" not in describe(ratings)
    with pytest.raises(InputError, match=r"parts \['third'\]: .* allowed: first, second"):
        only(parted, ["third"])
    with pytest.raises(InputError, match=r"parts \[\]: nothing of .* would be left; give some of first, second"):
        only(parted, [])
    with pytest.raises(InputError, match="not published in parts; leave `only` out"):
        only(ratings, ["second"])


def test_no_first_time_is_told_without_times(tmp_path):
    ratings = movielens_100k(write_100k(tmp_path))
    summary = describe(dataclasses.replace(ratings, time=np.zeros(3, dtype=np.int64)))
    assert (summary["first_time"], summary["last_time"]) == (None, None)
