from pathlib import Path

import numpy as np
import pytest

from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.data.transforms import active_users, likes, without_listed
from metarec.errors import InputError


def test_active_users_are_left_out_before_the_split(ratings: Ratings) -> None:
    left = active_users(ratings, fewest=15, most=25)
    count = np.bincount(ratings.user)
    wanted = {user for user in range(1, 41) if 15 <= count[user] <= 25}
    assert set(left.user.tolist()) == wanted
    assert len(left) == count[sorted(wanted)].sum()
    split = UserCold((0.5, 0.25, 0.25))(left)
    drawn = {stage: len(np.unique(left.user[getattr(split, stage)])) for stage in ("train", "val", "test")}
    assert sum(drawn.values()) == len(wanted)
    assert len({ratings.digest, left.digest, active_users(ratings, fewest=15).digest}) == 3


@pytest.mark.parametrize(("fewest", "most", "message"), [(0, None, "fewest"), (5, 4, "most"), (1000, None, "widen")])
def test_bounds_without_a_user(ratings: Ratings, fewest: int, most: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        active_users(ratings, fewest, most)


def test_likes_keep_every_rating(ratings: Ratings) -> None:
    liked = likes(ratings, 4)
    assert np.array_equal(liked.rating, [1.0 if rating >= 4 else 0.0 for rating in ratings.rating])
    assert np.array_equal(liked.user, ratings.user)
    assert liked.scale == (0.0, 1.0)
    assert liked.digest != ratings.digest


@pytest.mark.parametrize("threshold", [0.5, 6.0])
def test_nobody_likes_all_or_nothing(ratings: Ratings, threshold: float) -> None:
    with pytest.raises(InputError, match=f"threshold {threshold}"):
        likes(ratings, threshold)


def test_transforms_of_transforms(ratings: Ratings) -> None:
    both = likes(active_users(ratings, 15))
    assert both.name == "synthetic-active-likes"


def test_listed_users_and_items_are_gone(ratings: Ratings, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("u1\nu2\n")
    (tmp_path / "items.txt").write_text("i3\n")
    left = without_listed(ratings, str(tmp_path / "users.txt"), str(tmp_path / "items.txt"))
    assert len(left) == sum(
        user > 2 and item != 3 for user, item in zip(ratings.user.tolist(), ratings.item.tolist(), strict=True)
    )
    assert not {1, 2} & set(left.user.tolist())
    assert 3 not in left.item
    assert len({ratings.digest, left.digest, without_listed(ratings, str(tmp_path / "users.txt")).digest}) == 3
    (tmp_path / "users.txt").write_text("\n".join(ratings.user_ids[1:]))
    with pytest.raises(InputError, match="they list all"):
        without_listed(ratings, str(tmp_path / "users.txt"))
