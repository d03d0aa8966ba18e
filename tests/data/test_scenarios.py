"""Properties that every scenario has, whoever is new and whatever decides it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from metarec.audit import audit_split
from metarec.data.ratings import Ratings
from metarec.data.scenario import Scenario, Split
from metarec.data.splits import ItemCold, UserCold, UserItemCold
from metarec.data.warm import Warm
from metarec.data.windows import windows
from metarec.errors import InputError
from tests.conftest import synthetic_ratings

SHARES = (0.5, 0.25, 0.25)
KINDS = [UserCold, ItemCold, UserItemCold, Warm]
NEW = {UserCold: {"user"}, ItemCold: {"item"}, UserItemCold: {"user", "item"}, Warm: set()}


def made(kind: Callable[..., Scenario], by: str, seed: int = 0, **options: int) -> Scenario:
    return kind(SHARES, seed, by=by, **{"min_ratings": 1, "train_min_ratings": 1, **options})


def arriving(seed: int) -> Ratings:
    """Ratings whose users and items come one after the other, and stay, so that a cut in time finds new ones."""
    ratings, random = synthetic_ratings(users=60, items=60, seed=seed, fewest=40), np.random.default_rng(seed)
    stay = np.where(random.random(len(ratings)) < 0.4, 9000 - ratings.user * 150, 300)
    time = ratings.user * 150 + (random.random(len(ratings)) * (stay + 1)).astype(np.int64)
    timed = dataclasses.replace(ratings, time=time)
    return timed.at(np.flatnonzero(ratings.item * 150 <= time))


def split_or_reject(scenario: Scenario, ratings: Ratings, tasks: str) -> Split:
    try:
        return scenario(ratings, tasks)
    except InputError:  # rightly refused where a stage has no task
        reject()


@pytest.mark.parametrize("tasks", ["users", "items"])
@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 30), low=st.integers(1, 3))
def test_nothing_leaks(kind: Callable[..., Scenario], by: str, tasks: str, seed: int, low: int) -> None:
    ratings = arriving(seed)
    split = split_or_reject(made(kind, by, seed, min_ratings=low), ratings, tasks)
    audit_split(ratings, split)
    rows = {"train": split.train, "val": split.val, "test": split.test}
    assert len(np.unique(np.concatenate(list(rows.values())))) == sum(map(len, rows.values()))
    for side in ("user", "item"):
        column = getattr(ratings, side)
        seen = {stage: set(column[found].tolist()) for stage, found in rows.items()}
        for stage in ("val", "test"):
            assert seen[stage].isdisjoint(seen["train"]) if side in NEW[kind] else seen[stage] <= seen["train"]
        if side in NEW[kind]:
            assert seen["val"].isdisjoint(seen["test"])
    if by == "time":
        assert ratings.time[split.train].max() < split.starts[0] <= ratings.time[split.val].min()
        assert ratings.time[split.val].max() < split.starts[1] <= ratings.time[split.test].min()


@pytest.mark.parametrize("tasks", ["users", "items"])
@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize("kind", KINDS)
def test_tasks_keep_to_their_bounds(kind: Callable[..., Scenario], by: str, tasks: str) -> None:
    ratings = arriving(3)
    split = made(kind, by, max_ratings=38, train_min_ratings=3, train_max_ratings=30)(ratings, tasks)
    owner = ratings.user if tasks == "users" else ratings.item
    for stage, low, high in (("train", 3, 30), ("val", 1, 38), ("test", 1, 38)):
        count = np.bincount(owner[split.support.get(stage, getattr(split, stage))])
        assert low <= count[count > 0].min()
        assert count.max() <= high
    assert sum(number for reason, number in split.left_out.items() if "too" in reason)


@pytest.mark.parametrize("by", ["random", "time"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_may_come_in_any_order(kind: Callable[..., Scenario], by: str) -> None:
    ratings = arriving(1)
    order = np.random.default_rng(1).permutation(len(ratings))
    first, second = made(kind, by)(ratings), made(kind, by)(ratings.at(order))
    for stage in ("train", "val", "test"):
        assert sorted(getattr(first, stage)) == sorted(order[getattr(second, stage)])
        assert sorted(first.support.get(stage, [])) == sorted(order[second.support.get(stage, np.empty(0, dtype=int))])


@pytest.mark.parametrize("kind", [UserCold, ItemCold, UserItemCold])
def test_every_rating_is_used_or_counted(kind: Callable[..., Scenario]) -> None:
    ratings = arriving(2)
    for by in ("random", "time"):
        split = made(kind, by)(ratings)
        left_out = sum(count for reason, count in split.left_out.items() if "ratings" in reason.split(" with ")[0])
        assert len(split.train) + len(split.val) + len(split.test) + left_out == len(ratings)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_a_draw_and_nothing_in_time(kind: Callable[..., Scenario]) -> None:
    ratings = arriving(0)
    assert made(kind, "random", 0)(ratings).digest != made(kind, "random", 1)(ratings).digest
    assert made(kind, "time", 0)(ratings).digest == made(kind, "time", 1)(ratings).digest


def test_item_tasks_of_new_items_are_user_tasks_of_swapped_ratings() -> None:
    """Roles swapped: the same code says who is new, so the same rows come out."""
    ratings = arriving(4)
    mirrored = dataclasses.replace(
        ratings, user=ratings.item, item=ratings.user, user_ids=ratings.item_ids, item_ids=ratings.user_ids
    )
    first, second = made(ItemCold, "time")(ratings, "items"), made(UserCold, "time")(mirrored, "users")
    assert first.digest == second.digest


def test_a_time_cut_counts_ratings_not_users() -> None:
    ratings = arriving(5)
    split = made(UserCold, "time")(ratings)
    before = [float((ratings.time < start).mean()) for start in split.starts]
    assert before == pytest.approx([0.5, 0.75], abs=0.02)


def test_warm_tasks_adapt_to_what_is_known_when_they_are_met() -> None:
    ratings = arriving(6)
    for by in ("random", "time"):
        split = made(Warm, by)(ratings)
        assert set(split.support["val"]) <= set(split.train)
        assert set(split.support["test"]) <= set(split.train) | set(split.val)
        for stage in ("val", "test"):
            asked, known = getattr(split, stage), split.support[stage]
            assert not set(asked) & set(known)
            assert set(ratings.user[asked]) == set(ratings.user[known])


def test_warm_at_random_takes_shares_of_each_task() -> None:
    ratings = synthetic_ratings(users=30, items=200, fewest=40)
    split = Warm((0.5, 0.25, 0.25), min_ratings=1)(ratings)
    count, held = np.bincount(ratings.user), np.bincount(ratings.user[split.train], minlength=31)
    assert np.abs(held - count / 2)[1:].max() <= 0.5


@pytest.mark.parametrize("kind", [Warm, ItemCold])
def test_known_users_may_not_be_windows(kind: Callable[..., Scenario]) -> None:
    with pytest.raises(InputError, match="would be on both sides; take UserCold or UserItemCold"):
        made(kind, "random")(windows(arriving(0), count=5))


@pytest.mark.parametrize("kind", KINDS)
def test_no_times_to_cut_at(kind: Callable[..., Scenario], ratings: Ratings) -> None:
    untimed = dataclasses.replace(ratings, time=np.zeros(len(ratings), dtype=np.int64))
    with pytest.raises(InputError, match="has no times to cut at; give by: random"):
        made(kind, "time")(untimed)


def test_times_that_tie_cannot_be_cut(ratings: Ratings) -> None:
    tied = dataclasses.replace(ratings, time=(np.arange(len(ratings)) > len(ratings) // 2).astype(np.int64))
    with pytest.raises(InputError, match="too many ratings have the same; give other fractions"):
        made(UserCold, "time")(tied)
