"""MovieLens with half stars, from tiny fakes in the real formats, and from the real latest-small in METAREC_DATA."""

import dataclasses
import hashlib
import zipfile

import numpy as np
import pytest

from metarec.data.sets import movielens_half_stars
from metarec.data.sets.movielens_half_stars import movielens_10m, movielens_latest_small
from metarec.data.sources import describe
from metarec.errors import InputError
from tests.data.sets.fakes import written
from tests.data.test_movielens import assert_same, attribute, genres

CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,7,4.0,964982703\n1,3,0.5,964981247\n4,3,5.0,9\n",
    "movies.csv": 'movieId,title,genres\n3,"Am\u00e9lie, La (2001)",Comedy|Romance\n7,Cosmos,(no genres listed)\n'
    "9,Heat (1995),Crime\n",
    "tags.csv": 'userId,movieId,tag,timestamp\n2,3,"Paris, France",1\n4,3,funny,1\n4,9,Funny,1\n',
}
DAT = {
    "ratings.dat": "1::7::4::964982703\n1::3::0.5::964981247\n4::3::5::9\n",
    "movies.dat": "3::Am\u00e9lie, La (2001)::Comedy|Romance\n7::Cosmos::(no genres listed)\n9::Heat (1995)::Crime\n",
    "tags.dat": "2::3::Paris, France::1\n4::3::funny::1\n4::9::Funny::1\n",
}


@pytest.mark.parametrize(("read", "files"), [(movielens_latest_small, CSV), (movielens_10m, DAT)])
def test_ratings_films_and_tags(tmp_path, read, files):
    ratings = read(written(files, tmp_path))
    assert (ratings.user.tolist(), ratings.item.tolist()) == ([1, 1, 2], [2, 1, 1])
    assert (ratings.rating.tolist(), ratings.time.tolist()) == ([4, 0.5, 5], [964982703, 964981247, 9])
    assert (ratings.user_ids, ratings.item_ids) == (("", "1", "4"), ("", "3", "7", "9"))
    assert ratings.item_titles == ("", "Am\u00e9lie, La", "Cosmos", "Heat")
    assert [attribute(ratings.item_features, "year", row) for row in (1, 2)] == ["2001", ""]
    assert [genres(ratings, row) for row in (1, 2, 3)] == [["Comedy", "Romance"], [], ["Crime"]]
    assert "tag" not in ratings.item_features.values
    with_tags = read(str(tmp_path), tags=1)
    assert "tag" not in with_tags.item_features.values
    tagged = with_tags.settled(np.arange(len(with_tags))).item_features
    assert len({ratings.digest, with_tags.digest, read(str(tmp_path), tags=2).digest}) == 3
    assert ratings.digest == hashlib.sha256(next(iter(files.values())).encode()).hexdigest()
    assert (tagged.values["tag"], tagged.multi_hot["tag"].tolist()) == (("funny",), [[0], [1], [0], [0]])


@pytest.mark.parametrize("number", ["20m", "25m", "32m"])
def test_the_larger_ones_have_the_same_format(tmp_path, number, monkeypatch):
    monkeypatch.setattr("metarec.data.fetch.LARGEST_MEMBER", 10)
    small = movielens_latest_small(written(CSV, tmp_path))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, text in CSV.items():
            archive.writestr(f"ml-{number}/{name}", text.encode())
    large = getattr(movielens_half_stars, f"movielens_{number}")(str(tmp_path / "all.zip"))
    assert large.name == f"movielens-{number}"
    assert_same(small, dataclasses.replace(large, name=small.name))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ratings": CSV["ratings.csv"] + "1,9,4.2,1\n"}, r"ratings\.csv:5: rating '4.2' is not a multiple of 0\.5"),
        ({"ratings": CSV["ratings.csv"] + "1,8,4.0,1\n"}, r"ratings\.csv:5: movieId '8' is not in .*movies\.csv; "),
        (
            {"ratings": CSV["ratings.csv"] + "1,7,3.0,1\n"},
            r"ratings\.csv:5: userId '1' rates item 7 again after line 2",
        ),
        ({"ratings": "user,movie,rating,time\n1,7,4.0,1\n"}, r"ratings\.csv:1: .* is another header"),
        ({"movies": CSV["movies.csv"] + "9,Heat\n"}, r"movies\.csv:5: 2 columns instead of 3"),
        ({"movies": CSV["movies.csv"] + "9,Heat,Crime\n"}, r"movies\.csv:5: movieId '9' is listed twice"),
    ],
)
def test_bad_lines_are_named(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        movielens_latest_small(written(CSV, tmp_path, **changed))


def test_tags_are_missed_only_where_they_are_asked_for(tmp_path):
    folder = written({name: text for name, text in CSV.items() if name != "tags.csv"}, tmp_path)
    assert len(movielens_latest_small(folder)) == 3
    with pytest.raises(InputError, match=r"holds ratings\.csv but no tags\.csv"):
        movielens_latest_small(folder, tags=5)
    with pytest.raises(InputError, match="tags -1: give a number >= 0"):
        movielens_latest_small(folder, tags=-1)


def test_real_latest_small(real):
    ratings = movielens_latest_small(real("ml-latest-small"), tags=20)
    summary = describe(ratings)
    counts = [summary[key] for key in ("ratings", "users", "items_listed", "items_rated", "min_ratings_per_user")]
    assert counts == [100_836, 610, 9_742, 9_724, 20]
    assert (summary["first_time"], summary["last_time"]) == (828_124_615, 1_537_799_250)
    assert summary["mean_rating"] == pytest.approx(3.5015569836)
    assert int((ratings.rating == 0.5).sum()) == 1_370
    assert ratings.item_titles[ratings.item_ids.index("7789")] == "11'09\"01 - September 11"
    columns = ratings.item_features.values["genre"]
    assert len(columns) == 19
    assert ratings.item_features.multi_hot["genre"].sum(axis=0)[columns.index("Drama")] == 4_361
    settled = ratings.settled(np.arange(len(ratings)))
    assert {"atmospheric", "in netflix queue"} <= set(settled.item_features.values["tag"])
