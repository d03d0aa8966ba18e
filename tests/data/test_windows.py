import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarec.data.ratings import Ratings
from metarec.data.sources import swapped
from metarec.data.splits import ListedUserCold, UserCold, UserItemCold
from metarec.data.windows import windows
from metarec.errors import InputError
from tests.conftest import synthetic_ratings


def plainly(ratings: Ratings, count: int | None, gap: int | None) -> dict[str, list[tuple[int, int]]]:
    """Each window's ratings as (time, item), by the plainest loop."""
    found: dict[str, list[tuple[int, int]]] = {}
    for user in np.unique(ratings.user):
        own = ratings.user == user
        history = sorted(zip(ratings.time[own].tolist(), ratings.item[own].tolist(), strict=True))
        number = 0
        for place, (time, item) in enumerate(history):
            late = gap is not None and place and time - history[place - 1][0] >= gap
            name = f"{ratings.user_ids[user]}#{number}"
            if number == 0 or late or (count is not None and len(found[name]) == count):
                number += 1
                name = f"{ratings.user_ids[user]}#{number}"
                found[name] = []
            found[name].append((time, item))
    return found


@given(count=st.none() | st.integers(1, 40), gap=st.none() | st.integers(1, 3000), seed=st.integers(0, 5))
def test_windows_are_those_of_a_plain_loop(count: int | None, gap: int | None, seed: int) -> None:
    if count is None and gap is None:
        return
    ratings = synthetic_ratings(users=12, seed=seed)
    cut = windows(ratings, count, gap)
    found = {
        cut.user_ids[row]: sorted(
            zip(cut.time[cut.user == row].tolist(), cut.item[cut.user == row].tolist(), strict=True)
        )
        for row in np.unique(cut.user)
    }
    assert found == plainly(ratings, count, gap)
    assert np.array_equal(cut.rating, ratings.rating)


def test_windows_keep_their_persons_attributes(ratings: Ratings) -> None:
    cut = windows(ratings, count=5)
    assert cut.person is not None
    for row in (1, 2, 50):
        assert cut.people[cut.person[row]] == cut.user_ids[row].split("#")[0]
        assert (
            cut.user_features.categorical["group"][row] == ratings.user_features.categorical["group"][cut.person[row]]
        )
    assert cut.schema["users"] == len(cut.user_ids) == len(cut.person)
    assert cut.digest != ratings.digest != windows(ratings, count=6).digest


@pytest.mark.parametrize(("by", "kind"), [("random", UserCold), ("random", UserItemCold), ("time", UserCold)])
def test_windows_of_a_person_never_straddle_train_and_test(by: str, kind: type) -> None:
    for seed in range(5):
        ratings = synthetic_ratings(users=60, seed=seed, fewest=20)
        cut = windows(dataclasses.replace(ratings, time=ratings.time + ratings.user * 1000), count=4)
        split = kind((0.5, 0.25, 0.25), seed, 1, None, 1, by=by)(cut)
        assert cut.person is not None
        train, val, test = (set(cut.person[cut.user[rows]].tolist()) for rows in (split.train, split.val, split.test))
        assert not train & (val | test)
        assert not val & test


def test_windows_are_neither_swapped_nor_found_in_lists(ratings: Ratings, tmp_path: Path) -> None:
    cut = windows(ratings, count=5)
    with pytest.raises(InputError, match="windows of histories"):
        swapped(cut)
    (tmp_path / "users.txt").write_text("u1\n")
    with pytest.raises(InputError, match="take UserCold"):
        ListedUserCold(str(tmp_path / "users.txt"))(cut)


@pytest.mark.parametrize("options", [{}, {"count": 0}, {"gap": 0}, {"count": -1, "gap": 5}])
def test_wrong_options(ratings: Ratings, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="give a count of ratings, a gap in time, or both"):
        windows(ratings, **options)


def test_histories_without_times_or_cut_already(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="no times"):
        windows(dataclasses.replace(ratings, time=np.zeros(len(ratings), dtype=np.int64)), count=3)
    with pytest.raises(InputError, match="already"):
        windows(windows(ratings, count=3), count=3)
