import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from metarec.data.ratings import Ratings
from metarec.data.sources import movielens_1m, swapped
from metarec.data.splits import ListedUserCold, UserCold
from metarec.errors import InputError
from tests.conftest import synthetic_ratings


def users(ratings: Ratings, rows: np.ndarray) -> set[int]:
    return set(ratings.user[rows].tolist())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50), data_seed=st.integers(0, 20), low=st.integers(1, 14), high=st.integers(20, 30))
def test_user_cold_leaks_nothing(seed: int, data_seed: int, low: int, high: int) -> None:
    ratings = synthetic_ratings(seed=data_seed)
    try:
        split = UserCold(seed=seed, min_ratings=low, max_ratings=high, fractions=(0.6, 0.2, 0.2))(ratings)
    except InputError:  # rightly refused where no user is left; test_no_user_left looks at that
        reject()
    train, val, test = (users(ratings, rows) for rows in (split.train, split.val, split.test))
    assert not train & val
    assert not train & test
    assert not val & test
    known = set(ratings.item[split.train].tolist())
    for rows in (split.val, split.test):
        assert set(ratings.item[rows].tolist()) <= known
        counts = np.bincount(ratings.user[rows])
        assert counts[counts > 0].min() >= low
        assert counts.max() <= high


def test_user_cold_on_swapped_ratings_keeps_new_items_out_of_training(ratings: Ratings) -> None:
    split = UserCold(seed=3)(swapped(ratings))
    train, val, test = (set(ratings.item[rows].tolist()) for rows in (split.train, split.val, split.test))
    assert not train & (val | test)
    assert not val & test
    assert train | val | test == set(ratings.item.tolist())
    for rows in (split.val, split.test):
        assert users(ratings, rows) <= users(ratings, split.train)


def test_every_rating_is_used_or_counted(ratings: Ratings) -> None:
    split = UserCold(min_ratings=1, train_min_ratings=1)(ratings)
    rows = np.concatenate([split.train, split.val, split.test])
    assert len(np.unique(rows)) == len(rows)
    left_out = sum(count for reason, count in split.left_out.items() if "ratings of items" in reason)
    assert len(rows) + left_out == len(ratings)


def test_fractions_are_kept() -> None:
    ratings = synthetic_ratings(users=100)
    split = UserCold(fractions=(0.8, 0.1, 0.1))(ratings)
    assert [len(users(ratings, rows)) for rows in (split.train, split.val, split.test)] == [80, 10, 10]


def test_order_of_rows_does_not_matter(ratings: Ratings) -> None:
    order = np.random.default_rng(1).permutation(len(ratings))
    columns = {name: getattr(ratings, name)[order] for name in ("user", "item", "rating", "time")}
    permuted = dataclasses.replace(ratings, **columns)
    first, second = UserCold(seed=3)(ratings), UserCold(seed=3)(permuted)
    assert users(ratings, first.test) == users(permuted, second.test)
    assert users(ratings, first.val) == users(permuted, second.val)


def test_seed_decides(ratings: Ratings) -> None:
    assert UserCold(seed=1)(ratings).digest == UserCold(seed=1)(ratings).digest
    assert UserCold(seed=1)(ratings).digest != UserCold(seed=2)(ratings).digest


def test_users_outside_the_bounds_are_counted(ratings: Ratings) -> None:
    counts = np.bincount(ratings.user)[1:]
    split = UserCold(min_ratings=1, train_min_ratings=20, train_max_ratings=25)(ratings)
    trained = np.bincount(ratings.user[split.train])
    assert trained[trained > 0].min() >= 20
    assert trained.max() <= 25
    everyone = users(ratings, split.val) | users(ratings, split.test)
    others = [count for user, count in enumerate(counts, start=1) if user not in everyone]
    assert split.left_out["train users with too few ratings"] == sum(count < 20 for count in others)
    assert split.left_out["train users with too many ratings"] == sum(count > 25 for count in others)


def test_listed_users_and_items(ratings: Ratings, tmp_path) -> None:
    (tmp_path / "users.txt").write_text("u1\nu2\nu3\n")
    (tmp_path / "items.txt").write_text("i1\ni2\n")
    scenario = ListedUserCold(str(tmp_path / "users.txt"), str(tmp_path / "items.txt"), val_fraction=0.2)
    split = scenario(ratings)
    assert users(ratings, split.test) == {1, 2, 3}
    assert not {1, 2} & set(ratings.item[np.concatenate([split.train, split.val, split.test])].tolist())
    assert len(users(ratings, split.val)) == round(37 * 0.2)
    assert not users(ratings, split.val) & {1, 2, 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [("u1\nu999\n", "1 of 2 ids are not in the data set: \\['u999'\\]"), ("", "0 of 0")],
)
def test_lists_with_faults(ratings: Ratings, tmp_path, content: str, message: str) -> None:
    (tmp_path / "users.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        ListedUserCold(str(tmp_path / "users.txt"))(ratings)


def test_missing_list(ratings: Ratings, tmp_path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        ListedUserCold(str(tmp_path / "absent.txt"))(ratings)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.8, 0.1, 0.2), (1.0, 0.0, 0.0)])
def test_wrong_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three positive shares"):
        UserCold(fractions=fractions)


def test_wrong_bounds() -> None:
    with pytest.raises(InputError, match="min_ratings 5 with a maximum of 4"):
        UserCold(min_ratings=5, max_ratings=4)


def test_unseen_items_are_left_out_or_counted(ratings: Ratings, tmp_path) -> None:
    """An item that only test users rated: a random split leaves it out, a listed one keeps and counts it."""
    (tmp_path / "users.txt").write_text("\n".join(ratings.user_ids[user] for user in range(20, 41)))
    item = np.where((ratings.item == 7) & (ratings.user < 20), 8, ratings.item)
    only = dataclasses.replace(ratings, item=item)
    split = ListedUserCold(str(tmp_path / "users.txt"))(only)
    rows = (only.item[split.test] == 7).sum()
    assert split.unseen["test"] == rows > 0
    for seed in range(10):
        drawn = UserCold(seed=seed)(only)
        assert drawn.unseen == {"val": 0, "test": 0}


def test_users_without_any_admitted_rating_are_counted(ratings: Ratings, tmp_path) -> None:
    own = [ratings.item_ids[item] for item in ratings.item[ratings.user == 1]]
    (tmp_path / "users.txt").write_text("u1\nu2\n")
    (tmp_path / "items.txt").write_text("\n".join(own))
    scenario = ListedUserCold(str(tmp_path / "users.txt"), str(tmp_path / "items.txt"), min_ratings=1)
    split = scenario(ratings)
    assert split.left_out["test users with too few ratings"] == 1


def test_melu_counts_on_movielens_1m(real: Callable[[str], str]) -> None:
    """668 test users; 640,448 ratings of known users on known items, 121,811 of those with 13 to 100."""
    folder = Path(real("ml-1m"))
    ratings = movielens_1m(str(folder))
    lists = [str(folder / "splits" / f"melu_new_{kind}.txt") for kind in ("users", "items")]
    for bounds, expected in (((1, None), 640_448), ((13, 100), 121_811)):
        split = ListedUserCold(*lists, 0.1, 0, 13, 100, *bounds)(ratings)
        assert len(users(ratings, split.test)) == 668
        assert len(split.train) + len(split.val) == expected


def test_no_user_left(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="leaves no val user"):
        UserCold(min_ratings=1000)(ratings)


def test_a_list_may_have_ids_with_blanks_and_must_be_utf8(ratings: Ratings, tmp_path: Path) -> None:
    ids = ("", "user one", *ratings.user_ids[2:])
    (tmp_path / "users.txt").write_text("user one\n  u2  \n\n")
    split = ListedUserCold(str(tmp_path / "users.txt"))(dataclasses.replace(ratings, user_ids=ids))
    assert users(ratings, split.test) == {1, 2}
    (tmp_path / "users.txt").write_bytes("Zoë\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not text in UTF-8; convert it"):
        ListedUserCold(str(tmp_path / "users.txt"))(ratings)
