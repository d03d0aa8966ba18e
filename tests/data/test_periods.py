"""Periods: nothing of the tested period or of later time is learned from, and every rating is used or counted."""

import dataclasses
import datetime
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from metarec.audit import audit_split
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.periods import Period, starts_of
from metarec.data.ratings import Ratings
from metarec.data.scenario import Split
from metarec.data.sources import movielens_100k
from metarec.data.windows import windows
from metarec.errors import InputError, LeakError
from tests.conftest import synthetic_ratings

DAY = 86_400


def loose(**options: Any) -> Period:
    return Period(**{"min_ratings": 1, "train_min_ratings": 1, **options})


def tied(seed: int, times: int) -> Ratings:
    """Ratings at a few moments only, so that many tie."""
    ratings, random = synthetic_ratings(seed=seed), np.random.default_rng(seed)
    return dataclasses.replace(ratings, time=random.integers(0, times, len(ratings)) * 1000 + 874_724_710)


def split_or_reject(scenario: Period, ratings: Ratings, tasks: Any = "users") -> Split:
    try:
        return scenario(ratings, tasks)
    except InputError:  # rightly refused where times tie
        reject()


@pytest.mark.parametrize("train", ["first", "last", "all"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 20),
    times=st.sampled_from([12, 40, 10_000]),
    periods=st.integers(2, 6),
    ahead=st.integers(0, 4),
    low=st.integers(1, 4),
    tasks=st.sampled_from(["users", "items"]),
    cut=st.sampled_from(["ratings", "months"]),
)
def test_nothing_of_the_tested_period_or_later_is_learned_from(
    train: Any, seed: int, times: int, periods: int, ahead: int, low: int, tasks: Any, cut: Any
) -> None:
    ratings, period = tied(seed, times), 1 + ahead % (periods - 1)
    split = split_or_reject(Period(periods, period, train, cut, min_ratings=low, train_min_ratings=low), ratings, tasks)
    audit_split(ratings, split)
    unseen = ~np.isin(ratings.item, ratings.item[split.known])
    assert split.unseen == {stage: int(unseen[getattr(split, stage)].sum()) for stage in ("val", "test")}
    begins = starts_of(ratings, periods, cut)
    assert ratings.time[split.known].max() < split.starts[0] <= ratings.time[split.val].min()
    assert ratings.time[split.val].max() < begins[1 if train == "first" else period] <= split.starts[1]
    assert split.starts[1] == begins[period] <= ratings.time[split.test].min()
    assert period == periods - 1 or ratings.time[split.test].max() < begins[period + 1]
    owner = ratings.user if tasks == "users" else ratings.item
    for stage in ("train", "val", "test"):
        _, counts = np.unique(owner[getattr(split, stage)], return_counts=True)
        assert counts.min() >= low


@pytest.mark.parametrize("train", ["first", "last", "all"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 20), period=st.integers(1, 4), low=st.integers(1, 6))
def test_every_rating_is_used_or_counted(train: Any, seed: int, period: int, low: int) -> None:
    ratings = synthetic_ratings(seed=seed)
    split = split_or_reject(Period(5, period, train, min_ratings=1, train_min_ratings=low), ratings)
    rows = np.concatenate([split.train, split.val, split.test, split.earlier])
    assert len(np.unique(rows)) == len(rows)
    counted = sum(count for reason, count in split.left_out.items() if reason.startswith("ratings"))
    if low == 1:
        assert len(rows) + counted == len(ratings)
    else:  # of tasks that are too small, tasks are counted
        small = split.left_out["train users with too few ratings"]
        missing = len(ratings) - len(rows) - counted
        assert small <= missing <= small * (low - 1)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 20), period=st.integers(2, 4), low=st.integers(1, 4))
def test_trainings_one_after_the_other_have_all_ratings_once(seed: int, period: int, low: int) -> None:
    ratings = synthetic_ratings(seed=seed)
    options = {"min_ratings": 1, "train_min_ratings": low}
    chain = [split_or_reject(Period(5, each, "last", **options), ratings) for each in range(1, period + 1)]
    for before, after in itertools.pairwise(chain):
        assert set(after.earlier) == set(before.known)
    trained = np.concatenate([split.train for split in chain])
    assert len(np.unique(trained)) == len(trained)
    everything = split_or_reject(Period(5, period, "all", **options), ratings)
    assert set(trained) <= set(everything.train)
    if low == 1:
        assert set(trained) == set(everything.train)
    np.testing.assert_array_equal(everything.val, chain[-1].val)
    np.testing.assert_array_equal(everything.test, chain[-1].test)


def test_in_the_first_period_all_ways_are_one(ratings: Ratings) -> None:
    assert len({loose(periods=4, train=train)(ratings).digest for train in ("first", "last", "all")}) == 1
    later = [loose(periods=4, period=3, train=train)(ratings) for train in ("first", "last", "all")]
    assert len({split.digest for split in later}) == 3
    assert all(np.array_equal(split.test, later[0].test) for split in later)
    np.testing.assert_array_equal(later[0].train, loose(periods=4)(ratings).train)


@pytest.mark.parametrize("train", ["first", "last", "all"])
def test_rows_may_come_in_any_order(train: Any) -> None:
    ratings = tied(1, 40)
    order = np.random.default_rng(1).permutation(len(ratings))
    scenario = loose(periods=4, period=3, train=train)
    first, second = scenario(ratings), scenario(ratings.at(order))
    for stage in ("train", "val", "test", "earlier"):
        assert sorted(getattr(first, stage)) == sorted(order[getattr(second, stage)])
    assert first.left_out == second.left_out


def test_by_hand() -> None:
    """Ten ratings of one user a moment each: two periods of five, the last fifth of each validates."""
    ratings = synthetic_ratings(users=1, items=10, fewest=10)
    ratings = dataclasses.replace(ratings, time=np.arange(10)[::-1] + 100)
    split = loose(periods=2)(ratings)
    assert [sorted(ratings.time[rows]) for rows in (split.train, split.val, split.test)] == [
        [100, 101, 102, 103],
        [104],
        [105, 106, 107, 108, 109],
    ]
    assert split.starts == (104, 105)
    assert split.unseen == {"val": 1, "test": 5}


def test_items_that_earlier_trainings_had_are_no_unseen_ones() -> None:
    """Three periods of four ratings, the last of each validates: by `last`, item 4 and items 5 to 7 are trained on."""
    ratings = synthetic_ratings(users=2, items=12, fewest=12).at(np.arange(12))
    user, item = np.repeat([1, 2], [8, 4]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 5, 9])
    ratings = dataclasses.replace(ratings, user=user, item=item, time=np.arange(12))
    split = loose(periods=3, period=2, train="last", val_fraction=0.25)(ratings)
    assert sorted(ratings.item[split.train]) == [4, 5, 6, 7]
    assert split.unseen == {"val": 1, "test": 1}


def test_ratings_of_one_time_stay_together() -> None:
    ratings = synthetic_ratings(users=1, items=10, fewest=10)
    ratings = dataclasses.replace(ratings, time=np.array([1, 2, 3, 4, 5, 5, 7, 8, 9, 10]))
    assert starts_of(ratings, 2).tolist() == [1, 5]  # the fifth and the sixth tie: both in the later period


def test_calendar_months(ratings: Ratings) -> None:
    dates = [(1997, 12, 31), (1998, 1, 1), (1998, 2, 28), (1998, 3, 1), (1998, 4, 30)]
    moments = [int(datetime.datetime(*date, 23, 59, tzinfo=datetime.UTC).timestamp()) for date in dates]
    timed = dataclasses.replace(ratings, time=np.resize(moments, len(ratings)))
    for periods, firsts in (
        (5, ["1997-12-01", "1998-01-01", "1998-02-01", "1998-03-01", "1998-04-01"]),
        (3, ["1997-12-01", "1998-02-01", "1998-04-01"]),  # two months, two, one
    ):
        begins = [datetime.datetime.fromtimestamp(int(t), datetime.UTC) for t in starts_of(timed, periods, "months")]
        assert [begin.isoformat() for begin in begins] == [f"{first}T00:00:00+00:00" for first in firsts]


def test_the_audit_finds_what_an_earlier_training_had_of_the_test(ratings: Ratings) -> None:
    split = loose(periods=4, period=3, train="last")(ratings)
    audit_split(ratings, split)
    wrong = dataclasses.replace(split, earlier=np.append(split.earlier, split.test[0]))
    with pytest.raises(LeakError, match="1 test ratings are training ratings too"):
        audit_split(ratings, wrong)
    late = dataclasses.replace(split, earlier=np.append(split.earlier, split.val[0]), val=split.val[1:])
    with pytest.raises(LeakError, match="1 training ratings are not earlier than validation"):
        audit_split(ratings, late)


@pytest.mark.parametrize("order", ["time", "random"])
def test_tasks_adapt_to_the_earliest_ratings_of_the_tested_period(order: Any, ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, loose(periods=3, period=2, train="last", min_ratings=4), order, eval_support=3)
    [batch] = list(data.test_dataloader())
    for user, items in zip(batch.task.tolist(), batch.support.item.tolist(), strict=True):
        own = data.split.test[ratings.user[data.split.test] == user]
        first = own[np.lexsort((ratings.item[own], ratings.time[own]))][:3]
        assert items == ratings.item[first].tolist()
    assert set(data.known_tasks.item.tolist()) == set(ratings.item[data.split.known].tolist())
    assert sorted(zip(data.known.user, data.known.item, strict=True)) == sorted(
        zip(ratings.user[data.split.known], ratings.item[data.split.known], strict=True)
    )
    assert len(data.known_tasks.item) == len(data.split.train) + len(data.split.earlier) > len(data.train_tasks.item)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"period": 6}, "period 6 of 6: the next one is tested; give 1 to 5"),
        ({"period": 0}, "period 0 of 6"),
        ({"periods": 1}, "periods"),
        ({"train": "frozen"}, "train 'frozen': give one of first, last, all"),
        ({"cut": "weeks"}, "cut 'weeks': give one of ratings, months"),
        ({"val_fraction": 0.0}, "val_fraction 0.0"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Period(**options)


@pytest.mark.parametrize(
    ("times", "options", "words"),
    [
        ([0], {}, "has no times"),
        ([5, 6], {}, "one would be empty; give fewer periods"),
        ([5, 6], {"cut": "months"}, "are no seconds since 1970; give cut: ratings"),
        ([874_724_710, 874_724_711], {"cut": "months"}, "spans 1 months, too few for 6 periods"),
    ],
)
def test_data_that_cannot_be_cut(ratings: Ratings, times: list[int], options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        loose(**options)(dataclasses.replace(ratings, time=np.resize(times, len(ratings))))


def test_times_of_a_period_that_tie(ratings: Ratings) -> None:
    two = np.repeat([1, 2], [len(ratings) // 2, len(ratings) - len(ratings) // 2])
    with pytest.raises(InputError, match="the times of period 1 of synthetic cannot be cut"):
        loose(periods=2)(dataclasses.replace(ratings, time=two))


def test_ratings_of_the_last_period_may_tie(ratings: Ratings) -> None:
    """It is tested alone, and so not cut once more."""
    time = np.append(np.arange(len(ratings) // 2), np.full(len(ratings) - len(ratings) // 2, len(ratings)))
    split = loose(periods=2)(dataclasses.replace(ratings, time=time))
    assert len(split.test) == len(ratings) - len(ratings) // 2


def test_sizes_that_say_nothing_are_refused(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, loose(periods=3), eval_support=None, eval_query=None)
    with pytest.raises(InputError, match=r"data\.eval_support and data\.eval_query are both null"):
        data.test_dataloader()


def test_windows_are_refused(ratings: Ratings) -> None:
    with pytest.raises(
        InputError, match="scenario Period: synthetic-windows has windows of people's histories as users"
    ):
        loose()(windows(ratings, count=5))


def test_movielens_100k(real: Any) -> None:
    ratings = movielens_100k(real("ml-100k"))
    splits = [Period(6, 3, train, min_ratings=7, train_min_ratings=4)(ratings) for train in ("first", "last", "all")]
    for split in splits:
        audit_split(ratings, split)
    assert [len(split.train) for split in splits] == [13_319, 16_634, 46_662]
    assert {len(split.test) for split in splits} == {16_573}
