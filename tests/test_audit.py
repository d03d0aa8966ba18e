"""A leak of each kind, made on purpose, must end a fit."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from metarec.algorithms.base import Algorithm
from metarec.audit import audit_settled, audit_split, audit_tasks, audited, prepare
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.scenario import Split
from metarec.data.sources import swapped
from metarec.data.splits import ItemCold, UserCold, UserItemCold
from metarec.data.tasks import PackedTasks, pack
from metarec.data.warm import Warm
from metarec.data.windows import windows
from metarec.errors import LeakError
from metarec.nets.base import NoNet, known_rows
from tests.conftest import tiny_net
from tests.data.test_ratings import unsettled

SHARES = (0.5, 0.25, 0.25)


def data_of(ratings: Ratings, scenario: Callable[[Ratings, str], Split]) -> EpisodeDataModule:
    return EpisodeDataModule(ratings, scenario, eval_support=2)


def leaking(
    change: Callable[[Ratings, Split], Split], kind: type = UserCold, by: str = "random"
) -> Callable[..., Split]:
    """A scenario that gives away what it must not."""
    honest = kind(SHARES, 0, 2, None, 2, by=by)

    def split(ratings: Ratings, tasks: str = "users") -> Split:
        return change(ratings, honest(ratings, tasks))

    split.new, split.by = honest.new, by
    split.seed = 0
    return split


def with_train(split: Split, rows: np.ndarray) -> Split:
    return dataclasses.replace(split, train=np.sort(np.concatenate([split.train, rows])))


def from_the_future(ratings: Ratings, split: Split) -> Split:
    """The training users' ratings from when validation begins."""
    known = np.isin(ratings.user, ratings.user[split.train])
    return with_train(split, np.flatnonzero(known & (ratings.time >= split.starts[0])))


LEAKS = {
    "a test rating": (
        lambda ratings, split: with_train(split, split.test[:1]),
        UserCold,
        "random",
        "1 test ratings are",
    ),
    "a validation rating": (
        lambda ratings, split: with_train(split, split.val[:3]),
        UserCold,
        "random",
        "3 val ratings",
    ),
    "a rating of validation and test": (
        lambda ratings, split: dataclasses.replace(split, val=np.append(split.val, split.test[0])),
        UserCold,
        "random",
        "1 validation ratings are test ratings too",
    ),
    "a new user": (
        lambda ratings, split: dataclasses.replace(with_train(split, split.test[:5]), test=split.test[5:]),
        UserCold,
        "random",
        "1 new users have training ratings",
    ),
    "a new item": (
        lambda ratings, split: dataclasses.replace(with_train(split, split.test[:1]), test=split.test[1:]),
        ItemCold,
        "random",
        "1 new items have training ratings",
    ),
    "the time of the test": (from_the_future, UserCold, "time", "not earlier than validation"),
    "the time of the test in validation": (
        lambda ratings, split: dataclasses.replace(split, starts=(split.starts[0], int(ratings.time[split.val].max()))),
        UserCold,
        "time",
        "not earlier than the test",
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leaking_scenario_ends_the_fit(leak: str, ratings: Ratings) -> None:
    change, kind, by, message = LEAKS[leak]
    timed = dataclasses.replace(ratings, time=ratings.time // 10 + ratings.user * 500)
    data = data_of(timed, leaking(change, kind, by))
    with pytest.raises(LeakError, match=f"leakage audit: .*{message}"):
        prepare(Counting(timed), data, "fit")


def test_the_same_pair_twice_is_a_leak(ratings: Ratings) -> None:
    """A data set that has a rating twice, once in training and once in the test: the rows differ, the pair does not."""
    split = UserCold(SHARES, 0, 2)(ratings)
    user, item = ratings.user.copy(), ratings.item.copy()
    user[split.test[0]], item[split.test[0]] = user[split.train[0]], item[split.train[0]]
    with pytest.raises(LeakError, match="1 test ratings are of a user and item that training has"):
        audit_split(dataclasses.replace(ratings, user=user, item=item), split)


@pytest.mark.parametrize(
    ("stage", "asked", "message"),
    [
        ("val", "val", "2 val ratings are val support ratings too"),
        ("val", "test", "2 test ratings are val support ratings too"),
        ("test", "test", "2 test ratings are test support ratings too"),
    ],
)
def test_ratings_that_are_asked_for_among_those_adapted_to(
    stage: str, asked: str, message: str, ratings: Ratings
) -> None:
    split = Warm(SHARES, min_ratings=1)(ratings)
    audit_split(ratings, split)
    support = {**split.support, stage: np.append(split.support[stage], getattr(split, asked)[:2])}
    with pytest.raises(LeakError, match=message):
        audit_split(ratings, dataclasses.replace(split, support=support))


def test_support_of_the_time_of_the_test(ratings: Ratings) -> None:
    split = Warm(SHARES, min_ratings=1, by="time")(ratings)
    audit_split(ratings, split)
    latest = int(ratings.time[split.support["test"]].max())
    with pytest.raises(LeakError, match="not earlier than the test"):
        audit_split(ratings, dataclasses.replace(split, starts=(split.starts[0], latest)))


def test_what_is_never_trained_is_audited_before_its_test(ratings: Ratings) -> None:
    change = LEAKS["a test rating"][0]
    with pytest.raises(LeakError, match="1 test ratings are"):
        prepare(Counting(ratings), data_of(ratings, leaking(change)), "test")


def test_a_window_of_a_new_person_in_training_is_a_leak(ratings: Ratings) -> None:
    cut = windows(ratings, count=4)
    split = UserCold(SHARES, 0, 1, None, 1)(cut)
    one = split.test[cut.user[split.test] == cut.user[split.test[0]]]
    moved = with_train(dataclasses.replace(split, test=np.setdiff1d(split.test, one)), one)
    new = {"users": np.setdiff1d(split.new["users"], cut.user[one])}
    with pytest.raises(LeakError, match="1 people have windows in train and test"):
        audit_split(cut, dataclasses.replace(moved, new=new))


def test_tasks_of_other_ratings_are_a_leak(ratings: Ratings) -> None:
    split = UserCold(SHARES, 0, 2)(ratings)
    honest = pack(ratings, split.train)
    audit_tasks(ratings, split, honest)
    one = honest.rating.clone()
    one[7] += 1
    for odd in (pack(ratings, np.append(split.train, split.test[0])), honest._replace(rating=one)):
        with pytest.raises(LeakError, match="other ratings than the split's"):
            audit_tasks(ratings, split, odd)


@pytest.mark.parametrize("tasks", ["users", "items"])
@pytest.mark.parametrize(
    ("leak", "message"),
    [("scale", "the scale depends on ratings"), ("age", "age depend on users"), ("length", "length depend on items")],
)
def test_a_scale_and_ranges_found_among_all_ratings_are_a_leak(tasks: str, leak: str, message: str) -> None:
    given = unsettled()
    given.rating[given.user == given.user[UserItemCold(SHARES, 0, 2)(given).test[0]]] = 9
    data = EpisodeDataModule(given, UserItemCold(SHARES, 0, 2), eval_support=2, tasks=tasks)
    audit_settled(data)
    every, own = given.settled(np.arange(len(given))), given.settled(data.split.known)
    taken = {"scale": "scale", "age": "user_features", "length": "item_features"}[leak]
    leaking = dataclasses.replace(own, **{taken: getattr(every, taken)})
    data.ratings = leaking if tasks == "users" else swapped(leaking)
    with pytest.raises(LeakError, match=message):
        prepare(Counting(given), data, "fit")


class Counting(Algorithm):
    """Holds the mean of all ratings it is given, and a statistic of attributes, which it is to take of known users."""

    def __init__(self, ratings: Ratings, everybody: bool = False) -> None:
        super().__init__()
        self.net = NoNet(ratings.schema)
        self.everybody = everybody
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("shares", torch.zeros(4))
        self.plain: tuple[torch.Tensor, ...] = ()

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        known = known_rows(len(ratings.user_ids), train.task)
        codes = torch.from_numpy(ratings.user_features.categorical["group"])
        self.mean.fill_(float(ratings.rating.mean()))
        self.shares.copy_(torch.bincount(codes if self.everybody else codes[known], minlength=4))
        self.plain = (codes.clone(),)


def test_a_statistic_sees_training_ratings_alone(ratings: Ratings) -> None:
    data, algorithm = data_of(ratings, UserCold(SHARES, 0, 2)), Counting(ratings)
    for stage in ("fit", "validate", "test"):
        prepare(algorithm, data, stage)
        assert float(algorithm.mean) == pytest.approx(float(ratings.rating[data.split.train].mean()))


def test_attributes_of_new_users_in_a_statistic_are_a_leak(ratings: Ratings) -> None:
    data = data_of(ratings, UserCold(SHARES, 0, 2))
    with pytest.raises(LeakError, match="Counting: shares depends on attributes"):
        prepare(Counting(ratings, everybody=True), data, "fit")


@pytest.mark.parametrize("kind", [UserCold, ItemCold])
def test_a_net_whose_tables_know_training_alone_passes(
    kind: type, ratings: Ratings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of new users and items differ, as their attributes do; nothing else may."""
    data = data_of(ratings, kind(SHARES, 0, 1, None, 1))
    algorithm = Counting(ratings)
    algorithm.net = tiny_net(ratings)
    monkeypatch.setattr(Counting, "prepare", Algorithm.prepare)
    audited(algorithm, data.known, data.train_tasks)
