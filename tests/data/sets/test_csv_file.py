"""Anybody's own files, faults and all; real MovieLens files read this way are the same as read in their own."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from metarec.baselines.means import ItemMean
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.own.attributes import FeatureFile
from metarec.data.sets import csv_file
from metarec.data.sets.csv_file import csv_ratings
from metarec.data.sources import describe, movielens_1m
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.nets.base import NoNet
from tests.data.own.test_store import same

FILE = "user,item,rating,time\nb,x9,3,20\na,x1,5,30\nb,y,1.5,10\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "csv"


def written(folder, content=FILE, name="own.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def rows(ratings):
    columns = ratings.user, ratings.item, ratings.rating, ratings.time
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_ratings_with_times(tmp_path):
    path = written(tmp_path)
    ratings = csv_ratings(path, time="time")
    assert (ratings.name, ratings.source) == ("own", f"path {path}; scale 1.5 to 5 as found in the whole file")
    assert (ratings.user_ids, ratings.item_ids, ratings.scale) == (("", "a", "b"), ("", "x1", "x9", "y"), (1.5, 5))
    assert rows(ratings) == [(2, 2, 3, 20), (1, 1, 5, 30), (2, 3, 1.5, 10)]
    assert [ratings.user.dtype, ratings.rating.dtype, ratings.time.dtype] == [np.int64, np.float32, np.int64]
    again = csv_ratings(path, scale=(1, 5), name="mine")
    assert (again.scale, again.timed, again.name, again.source) == ((1, 5), False, "mine", f"path {path}")


def test_events_are_clicks(tmp_path):
    ratings = csv_ratings(written(tmp_path, "who,what\na,1\nb,1\na,2\n"), "who", "what", rating=None)
    assert (rows(ratings), ratings.scale) == ([(1, 1, 1, 0), (2, 1, 1, 0), (1, 2, 1, 0)], (0, 1))
    with pytest.raises(InputError, match="beside rating null: events are ratings of 1"):
        csv_ratings(written(tmp_path), rating=None, scale=(1, 5))


def test_attributes_and_titles(tmp_path):
    users = FeatureFile(written(tmp_path, "id,job\nb,cook\nz,\n", "u.csv"), categorical=["job"], title="job")
    items = FeatureFile(written(tmp_path, "id,g\nx9,p|q\nx1,q\ny,\n", "i.csv"), multi_valued=["g"], title="g")
    ratings = csv_ratings(written(tmp_path), users=users, items=items)
    assert (ratings.user_ids, ratings.user_titles) == (("", "a", "b", "z"), ("", "a", "cook", "z"))
    assert ratings.user_features.categorical["job"].tolist() == [0, 0, 1, 0]
    assert ratings.item_titles == ("", "q", "p|q", "y")
    assert ratings.item_features.multi_hot["g"].tolist() == [[0, 0], [0, 1], [1, 1], [0, 0]]
    assert ratings.source.endswith(f"1 of 2 rated users are not in {users.path}: unknown attributes")


def test_parquet_says_the_same_as_text(tmp_path):
    columns = {"user": ["b", "a", "b"], "item": ["x9", "x1", "y"], "rating": [3, 5, 1.5], "time": [20, 30, 10]}
    frame = pd.DataFrame(columns)
    frame.to_parquet(tmp_path / "own.parquet")
    text, packed = (csv_ratings(path, time="time") for path in (written(tmp_path), str(tmp_path / "own.parquet")))
    packed = dataclasses.replace(packed, source=text.source, digest=text.digest)
    assert same(text, packed)
    frame.assign(time=pd.to_datetime(frame["time"], unit="s"), user=[2, 1, 2]).to_parquet(tmp_path / "own.parquet")
    assert rows(csv_ratings(str(tmp_path / "own.parquet"), time="time")) == rows(text)
    frame.assign(rating=[3, None, 1]).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r"own\.parquet row 2: rating (is missing|'nan' is not)"):
        csv_ratings(str(tmp_path / "own.parquet"))


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (FILE + "c,y,nan,1\n", {}, r"own\.csv:5: rating 'nan' is not a finite number"),
        (FILE + "c,y,1,1\nc,x,inf,1\nd,x,-inf,2\n", {}, r"own\.csv:6: rating 'inf' is not .*; also own\.csv:7;"),
        (FILE + "c,y,,1\n", {}, r"own\.csv:5: rating is missing"),
        (FILE + "c,y,6,1\n", {"scale": (1, 5)}, r"own\.csv:5: rating '6' is not from 1 to 5, the scale"),
        (FILE + "c,y,2,soon\n", {"time": "time"}, r"own\.csv:5: time 'soon' is not a number of s"),
        (FILE + ",y,2,1\n", {}, r"own\.csv:5: user is missing"),
        (FILE + "c,,2,1\n", {}, r"own\.csv:5: item is missing"),
        (FILE + "c,y,2\n", {}, r"own\.csv:5: 3 values instead of 4"),
        (FILE + "c,y", {}, r"own\.csv:5: the file ends in the middle of this line"),
        (FILE.replace(",", ";"), {}, r"no column 'user'; there is 'user;item;rating;time'; give separator ';'"),
        ("", {}, r"own\.csv is empty"),
        ("user,item,rating\n", {}, r"own\.csv holds no row but its header"),
        (FILE, {"rating": "stars"}, r"no column 'stars'; there are"),
        ("user,item\n1,2\n", {}, r"no column 'rating' among user, item; name the right one, or rating null"),
        (FILE, {"rating": "time", "time": "time"}, "each of user, item, rating and time needs one of its own"),
        (FILE, {"scale": (5, 1)}, "scale .*: give the lowest and the highest rating"),
        (FILE, {"scale": (0, float("nan"))}, "scale .*: give the lowest and the highest rating"),
        ("user,item,rating\n1,2,4\n2,2,4\n", {}, r"every rating is 4, which tells no scale; give scale, such as"),
        (FILE + "b,y,2,9\n", {"repeats": "error"}, r"own\.csv:5: user 'b' and item 'y' again, as in own\.csv:4"),
        (FILE, {"encoding": "utf-16"}, r"own\.csv:1: no text in utf-16"),
    ],
)
def test_a_fault_is_one_line_and_nothing_is_written(tmp_path, cache, content, options, message):
    with pytest.raises(InputError, match=message) as error:
        csv_ratings(written(tmp_path, content), **options)
    assert "\n" not in str(error.value)
    assert not cache.exists()


def test_repeats_are_settled_and_counted(tmp_path):
    path = written(tmp_path, FILE + "b,y,4,5\nb,x9,5,20\n")
    last, mean = (csv_ratings(path, time="time", repeats=policy) for policy in ("last", "mean"))
    assert rows(last) == [(1, 1, 5, 30), (2, 3, 1.5, 10), (2, 2, 5, 20)]
    assert rows(mean) == [(1, 1, 5, 30), (2, 3, 2.75, 10), (2, 2, 4, 20)]
    assert "; 2 repeated ratings left out, of each pair the mean counts" in mean.source
    assert rows(csv_ratings(path)) == [(1, 1, 5, 0), (2, 3, 4, 0), (2, 2, 5, 0)]


def test_odd_times_are_told_and_named(tmp_path):
    path = written(tmp_path, "user,item,rating,time\na,x,1,1700000000000\na,y,2,1600000000000\na,z,3,1600000000000\n")
    for _ in range(2):  # the second time from the cache
        ratings = csv_ratings(path, time="time")
        assert ratings.odd_times.startswith(f"{path}: odd times: ")
        for part in ("are they ms or us?", "times fall from row to row"):
            assert part in ratings.odd_times
            assert part in ratings.source
    assert csv_ratings(path, time="time", time_unit="ms").time.tolist() == [1_700_000_000, *[1_600_000_000] * 2]


def test_what_was_read_is_read_again_from_the_cache(tmp_path, cache, monkeypatch):
    path = written(tmp_path)
    first = csv_ratings(path, time="time")
    [kept] = cache.iterdir()
    monkeypatch.setattr(csv_file, "read_numbers", None)
    assert same(csv_ratings(path, time="time"), first)
    other = written(tmp_path, name="moved.csv")
    moved = dataclasses.replace(first, source=first.source.replace("own", "moved"), name="moved")
    assert same(csv_ratings(other, time="time"), moved)
    monkeypatch.undo()
    monkeypatch.setenv("METAREC_CACHE", str(cache.parent))
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-50])
    assert same(csv_ratings(path, time="time"), first)
    assert same(csv_ratings(path, time="time"), first)
    assert len(list(cache.iterdir())) == 1


def test_a_changed_file_is_read_anew(tmp_path, cache):
    users = FeatureFile(written(tmp_path, "id,job\nb,cook\n", "u.csv"), categorical=["job"])
    path = written(tmp_path)
    first = csv_ratings(path, users=users)
    written(tmp_path, "id,job\nb,baker\n", "u.csv")
    second = csv_ratings(path, users=users)
    assert second.user_features.values["job"] == ("", "baker")
    written(tmp_path, FILE.replace("1.5", "2.5"))
    third = csv_ratings(path, users=users)
    assert third.rating.tolist() == [3, 5, 2.5]
    assert len({first.digest, second.digest, third.digest}) == len(list(cache.iterdir())) == 3


def test_a_file_that_changes_as_it_is_read_is_refused(tmp_path, cache, monkeypatch):
    path = written(tmp_path)
    reading = csv_file.read_numbers

    def read_and_add(*arguments):
        written(tmp_path, FILE + "c,y,1,1\n")
        return reading(*arguments)

    monkeypatch.setattr(csv_file, "read_numbers", read_and_add)
    with pytest.raises(InputError, match="changed while it was read"):
        csv_ratings(path)
    assert not cache.exists()


def own(folder, users=30, items=25, order=None, constant=None):
    """A file of synthetic ratings, its lines in the order given."""
    random = np.random.default_rng(0)
    lines = [
        f"u{user},i{item},{constant or random.integers(1, 6)},{random.integers(10**9)}\n"
        for user in range(users)
        for item in random.permutation(items)[: max(1, items - user % 5)]
    ]
    lines = lines if order is None else [lines[place] for place in order.permutation(len(lines))]
    return written(folder, "user,item,rating,time\n" + "".join(lines), f"{len(lines)}-{order is None}.csv")


@pytest.mark.fault("permuted")
@pytest.mark.parametrize("order", ["random", "time"])
def test_the_order_of_lines_changes_nothing_that_is_measured(tmp_path, order):
    found = []
    for shuffled in (None, np.random.default_rng(1)):
        ratings = csv_ratings(own(tmp_path, order=shuffled), time="time", scale=(1, 5))
        data = EpisodeDataModule(ratings, UserCold(seed=3), order=order, eval_support=5)
        model = ItemMean(NoNet(ratings.schema))
        model.prepare(ratings, data.train_tasks)
        [batch] = data.test_dataloader()
        predicted = model.predict({}, batch.task, batch.query.item)
        errors = (predicted - batch.query.rating).abs()[batch.query.mask]
        found.append([ratings.user_ids, data.test_digest, errors.tolist()])
    assert found[0] == found[1]
    assert np.mean(found[0][2]) > 0.5


@pytest.mark.fault("degenerate")
@pytest.mark.parametrize(("users", "items"), [(1, 25), (30, 1)])
def test_one_user_or_one_item_says_why_it_cannot_be_split(tmp_path, users, items):
    ratings = csv_ratings(own(tmp_path, users, items), time="time", scale=(1, 5))
    assert describe(ratings)["users_rated"] == users
    with pytest.raises(InputError, match=r"the split leaves no \w+ user"):
        _ = EpisodeDataModule(ratings, UserCold(), eval_support=1).split


@pytest.mark.fault("short-task")
def test_users_with_too_few_ratings_are_left_out_and_counted(tmp_path):
    ratings = csv_ratings(own(tmp_path), scale=(1, 5))
    split = EpisodeDataModule(ratings, UserCold(min_ratings=22, train_min_ratings=22), eval_support=5).split
    short = int((np.bincount(ratings.user)[1:] < 22).sum())
    assert short > 0
    assert sum(count for reason, count in split.left_out.items() if "too few" in reason) == short


def test_equal_ratings_on_a_known_scale_will_do(tmp_path):
    ratings = csv_ratings(own(tmp_path, constant=4), scale=(1, 5))
    assert len(EpisodeDataModule(ratings, UserCold(), eval_support=5).test_tasks.task) == 3


def test_importing_the_reader_imports_no_torch():
    code = "import sys, metarec.data.sets.csv_file; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_real_movielens_1m_is_the_same(real):
    folder = real("ml-1m")
    columns = ["user", "item", "rating", "time"]
    found = csv_ratings(f"{folder}/ratings.dat", separator="::", columns=columns, time="time")
    known = movielens_1m(folder)
    assert [found.user_ids[row] for row in found.user] == [known.user_ids[row] for row in known.user]
    assert [found.item_ids[row] for row in found.item] == [known.item_ids[row] for row in known.item]
    assert np.array_equal(found.rating, known.rating)
    assert np.array_equal(found.time, known.time)
    assert found.scale == known.scale
