"""Published pairs: they are the test and nothing else, and a file with a fault is refused in one line."""

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from metarec.audit import audit_split
from metarec.data.pairs import ListedWarm, listed_pairs
from metarec.data.ratings import Ratings
from metarec.data.sources import movielens_1m
from metarec.data.windows import windows
from metarec.errors import InputError
from tests.conftest import synthetic_ratings


def written(folder: Path, ratings: Ratings, rows: np.ndarray, name: str = "pairs.csv") -> str:
    """A file of the pairs of some ratings."""
    lines = [f"{ratings.user_ids[ratings.user[row]]},{ratings.item_ids[ratings.item[row]]}\n" for row in rows]
    content = ("user,item\n" + "".join(lines)).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(folder / name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 50), low=st.integers(1, 7), high=st.integers(12, 25))
def test_listed_pairs_are_the_test_and_nothing_else(tmp_path: Path, seed: int, low: int, high: int) -> None:
    ratings, random = synthetic_ratings(seed=seed), np.random.default_rng(seed)
    rows = random.permutation(len(ratings))[: len(ratings) // 4]
    path = written(tmp_path, ratings, rows, "pairs.csv.gz")
    (tmp_path / "users.txt").write_text("u1\nu2\n")
    scenario = ListedWarm(path, str(tmp_path / "users.txt"), None, 0.3, seed, low, high, 3)
    try:
        split = scenario(ratings)
    except InputError:  # rightly refused where a stage has no task
        reject()
    audit_split(ratings, split)
    count = np.bincount(ratings.user[rows], minlength=41)
    tested = np.flatnonzero((count >= low) & (count <= high))
    assert set(split.test) == {row for row in rows if ratings.user[row] in tested}
    others = np.setdiff1d(np.arange(len(ratings)), rows)
    others = others[ratings.user[others] > 2]
    held = np.unique(ratings.user[split.val])
    assert set(split.train) | set(split.val) <= set(others)
    trained = np.bincount(ratings.user[others], minlength=41)
    trained[held] = 0
    assert set(split.train) == {row for row in others if trained[ratings.user[row]] >= 3}
    own = np.bincount(ratings.user[others], minlength=41)
    eligible = np.flatnonzero((own >= low) & (own <= high))
    assert set(held) <= set(eligible)
    assert len(held) == round(0.3 * len(eligible))
    used = len(split.train) + len(split.val) + len(split.test)
    assert split.left_out["ratings of new users or items"] == len(ratings) - len(rows) - len(others)
    assert used <= len(ratings) - split.left_out["ratings of new users or items"]


def test_new_items_are_not_trained_on(ratings: Ratings, tmp_path: Path) -> None:
    rows = np.arange(0, len(ratings), 3)
    (tmp_path / "items.txt").write_text("i4\ni7\n")
    split = ListedWarm(written(tmp_path, ratings, rows), None, str(tmp_path / "items.txt"), min_ratings=1)(ratings)
    assert not {4, 7} & set(ratings.item[np.append(split.train, split.val)].tolist())


def test_rows_may_come_in_any_order(ratings: Ratings, tmp_path: Path) -> None:
    rows, order = np.arange(0, len(ratings), 4), np.random.default_rng(1).permutation(len(ratings))
    scenario = ListedWarm(written(tmp_path, ratings, rows), val_fraction=0.5, max_ratings=12)
    first, second = scenario(ratings), scenario(ratings.at(order))
    for stage in ("train", "val", "test"):
        assert sorted(getattr(first, stage)) == sorted(order[getattr(second, stage)])


def test_items_may_be_the_tasks(ratings: Ratings, tmp_path: Path) -> None:
    split = ListedWarm(written(tmp_path, ratings, np.arange(0, len(ratings), 4)), val_fraction=0.5)(ratings, "items")
    audit_split(ratings, split)
    assert set(split.test) == set(range(0, len(ratings), 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "pairs.csv is empty"),
        (b"user\nu1\n", "pairs.csv:1: 'user' is another header; the first line must be 'user,item'"),
        (b"user,item\nu1,i1\nu2\n", "pairs.csv:3: 1 column instead of 2 separated by commas"),
        (b"user,item\nu1", "pairs.csv:2: the file ends in the middle of this line"),
        (b"user,item\nu999,i1\n", "pairs.csv:2: user 'u999' is not in the data set; give pairs with the ids"),
        (b"user,item\nu1,i999\n", "pairs.csv:2: item 'i999' is not in the data set"),
        (b"user,item\n,i1\n", "pairs.csv:2: user '' is not in the data set"),
        (b"user,item\nu1,i\xe9\n", "pairs.csv:2: not utf-8"),
    ],
)
def test_a_fault_is_one_line(ratings: Ratings, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        listed_pairs(str(tmp_path / "pairs.csv"), ratings)
    assert "\n" not in str(error.value)


def test_a_pair_that_is_no_rating(ratings: Ratings, tmp_path: Path) -> None:
    missing = next(item for item in range(1, 31) if item not in ratings.item[ratings.user == 1])
    path = tmp_path / "pairs.csv"
    path.write_text(f"user,item\nu1,i{ratings.item[0]}\nu1,i{missing}\n")
    with pytest.raises(InputError, match=r"pairs\.csv:3: user 'u1' is a pair with an item that synthetic has no"):
        listed_pairs(str(path), ratings)


def test_files_that_cannot_be_read(ratings: Ratings, tmp_path: Path) -> None:
    path = written(tmp_path, ratings, np.arange(100), "pairs.csv.gz")
    with pytest.raises(InputError, match=r"absent.csv: cannot be read \(No such file"):
        listed_pairs(str(tmp_path / "absent.csv"), ratings)
    whole = Path(path).read_bytes()
    for damaged in (whole[:-20], b"user,item\n", whole[:15] + b"\xff\xff\xff\xff" + whole[19:]):
        Path(path).write_bytes(damaged)
        with pytest.raises(InputError, match=r"pairs.csv.gz: (cannot be read|is damaged) \(.+\); g") as error:
            listed_pairs(path, ratings)
        assert "\n" not in str(error.value)


def test_a_file_that_unpacks_without_end(ratings: Ratings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metarec.data.pairs.LARGEST_MEMBER", 2**20)
    path = tmp_path / "pairs.csv.gz"
    path.write_bytes(gzip.compress(b"u1,i1\n" * 200_000))
    with pytest.raises(InputError, match=r"pairs\.csv\.gz: has more than 1 MB; give a file of pairs"):
        listed_pairs(str(path), ratings)


def test_users_may_not_be_windows(ratings: Ratings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would be on both sides"):
        ListedWarm(written(tmp_path, ratings, np.arange(9)))(windows(ratings, count=5))


def test_the_published_pairs_never_train(real: Callable[[str], str]) -> None:
    folder = Path(real("ml-1m"))
    ratings = movielens_1m(str(folder))
    path, lists = folder / "splits/metahin_warm_test.csv.gz", folder / "splits"
    new = (str(lists / "metahin_new_users.txt"), str(lists / "metahin_new_items.txt"))
    split = ListedWarm(str(path), *new, 0.1, 0, 1, None, 13, 100)(ratings)
    pairs = {tuple(pair) for pair in np.loadtxt(path, dtype=int, delimiter=",", skiprows=1).tolist()}
    user, item = (np.array([int(own or 0) for own in ids]) for ids in (ratings.user_ids, ratings.item_ids))

    def ids(rows: np.ndarray) -> set[tuple[int, int]]:
        return set(zip(user[ratings.user[rows]].tolist(), item[ratings.item[rows]].tolist(), strict=True))

    assert ids(split.test) == pairs
    assert not ids(np.append(split.train, split.val)) & pairs
    untimed = dataclasses.replace(ratings, time=np.zeros_like(ratings.time))
    assert ListedWarm(str(path), *new, 0.1, 0, 1, None, 13, 100)(untimed).digest == split.digest
