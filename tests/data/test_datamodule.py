import dataclasses

import numpy as np
import pytest
import torch

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.splits import ItemCold, UserCold
from metarec.data.tasks import Bucket
from metarec.errors import InputError
from tests.conftest import synthetic_ratings
from tests.data.test_tasks import same


def test_evaluation_does_not_depend_on_the_batch_size(ratings: Ratings) -> None:
    def support(batch_size: int) -> list[list[int]]:
        data = EpisodeDataModule(ratings, UserCold(min_ratings=8), eval_batch_size=batch_size, eval_support=5)
        return [sorted(row.tolist()) for batch in data.test_dataloader() for row in batch.support.item]

    assert support(1) == support(3)


def test_only_training_users_are_trained_on(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, UserCold(min_ratings=12), train_support=(2, 5))
    train = set(data.train_tasks.task.tolist())
    seen = {user for batch in data.train_dataloader() for user in batch.task.tolist()}
    assert seen == train
    assert not train & set(data.val_tasks.task.tolist())
    assert not train & set(data.test_tasks.task.tolist())
    assert set(data.train_tasks.task.tolist()) == set(ratings.user[data.split.train].tolist())


def test_every_test_user_is_drawn_as_often_and_others_once(ratings: Ratings) -> None:
    def data(draws: int) -> EpisodeDataModule:
        return EpisodeDataModule(ratings, UserCold(min_ratings=8), eval_support=5, test_draws=draws)

    once, twice = data(1), data(2)
    tested = [user for batch in twice.test_dataloader() for user in batch.task.tolist()]
    assert tested == once.test_tasks.task.repeat_interleave(2).tolist()
    assert same(once.val_tasks, twice.val_tasks)
    assert once.test_digest != twice.test_digest
    [first], [both] = once.test_dataloader(), twice.test_dataloader()
    assert same(first.support.item, both.support.item[::2])
    assert not same(both.support.item[::2], both.support.item[1::2])


def test_every_process_has_a_user_to_judge(ratings: Ratings, monkeypatch: pytest.MonkeyPatch) -> None:
    data = EpisodeDataModule(ratings, UserCold(min_ratings=8), eval_support=5, test_draws=3)
    users = len(data.test_tasks.task) // 3
    monkeypatch.setattr(data, "_ranks", lambda: (users - 1, users))
    assert [len(batch.task) for batch in data.test_dataloader()] == [3]
    monkeypatch.setattr(data, "_ranks", lambda: (0, users + 1))
    with pytest.raises(
        InputError, match=f"{users} test task.* for {users + 1} processes; give --trainer.devices={users}"
    ):
        data.test_dataloader()


def test_there_is_no_order_in_time_without_times(ratings: Ratings) -> None:
    timeless = dataclasses.replace(ratings, time=np.zeros_like(ratings.time))
    assert len(EpisodeDataModule(timeless, UserCold(min_ratings=8)).test_tasks.task)
    with pytest.raises(InputError, match=r"data\.order 'time': synthetic has no times .*; give order 'random'"):
        EpisodeDataModule(timeless, UserCold(min_ratings=8), order="time")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "tim"}, "'random' or 'time'"),
        ({"eval_support": None, "eval_query": None}, "both null"),
        ({"train_support": (5, 3)}, "smallest <= largest"),
        ({"batch_size": 0}, "data.batch_size 0: give a number >= 1"),
        ({"train_query": 0}, "data.train_query 0: give a number >= 1"),
        ({"test_draws": 0}, "data.test_draws 0: give a number >= 1"),
        ({"test_draws": 2, "order": "time"}, "data.test_draws 2: order 'time' leaves none to draw"),
    ],
)
def test_wrong_arguments(ratings: Ratings, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpisodeDataModule(ratings, UserCold(), **options)


def test_time_order_adapts_to_the_earliest_ratings(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, UserCold(fractions=(0.6, 0.2, 0.2), min_ratings=11), order="time", eval_support=4)
    [batch] = data.test_dataloader()
    for user, support in zip(batch.task, batch.support.item, strict=True):
        rows = (ratings.user == int(user)).nonzero()[0]
        earliest = sorted(rows, key=lambda row: (ratings.time[row], ratings.item[row]))[:4]
        assert support.tolist() == ratings.item[earliest].tolist()
    shuffled = EpisodeDataModule(ratings, data.scenario, eval_support=4)
    assert data.split.digest == shuffled.split.digest
    assert data.test_digest != shuffled.test_digest


LONG = synthetic_ratings(users=60, items=200)
"""Tasks of 12 to 200 ratings."""


def long_episodes(**options: object) -> EpisodeDataModule:
    return EpisodeDataModule(LONG, UserCold(min_ratings=12), train_support=(2, 150), train_query=5, **options)


@pytest.mark.parametrize("length_sorted", [False, True])
def test_workers_and_transfer_leave_batches_as_they_are(length_sorted: bool) -> None:
    data = long_episodes(length_sorted=length_sorted)
    here = list(data.train_dataloader())
    moved = data.transfer_batch_to_device(here[0], torch.device("cpu"), 0)
    there = list(long_episodes(length_sorted=length_sorted, num_workers=2).train_dataloader())
    assert same(tuple(here), tuple(there))
    for batch in (here[0], there[0], moved):
        assert len(batch.buckets) > 1
        assert type(batch.buckets) is tuple
        assert all(isinstance(bucket, Bucket) for bucket in batch.buckets)
    assert same(moved, here[0])
    meta = data.transfer_batch_to_device(here[0], torch.device("meta"), 0)
    assert {column.device.type for column in (meta.task, *meta.support, *meta.query)} == {"meta"}


def test_sorting_by_length_is_a_switch() -> None:
    widths = [
        sum(batch.support.mask.shape[1] for batch in long_episodes(batch_size=8, **options).train_dataloader())
        for options in ({"length_sorted": True}, {"length_sorted": False}, {})
    ]
    assert widths[0] < 0.8 * widths[1]
    assert widths[1] == widths[2]


@pytest.mark.parametrize("gpu", [False, True])
def test_batches_are_pinned_for_a_gpu(ratings: Ratings, monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    data = EpisodeDataModule(ratings, UserCold(min_ratings=12), train_support=(2, 5))
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert loader.pin_memory is gpu


def test_by_time_nothing_is_adapted_to_that_is_later_than_what_is_asked(ratings: Ratings) -> None:
    """Whatever `order` says; training episodes go by it."""
    timed = dataclasses.replace(ratings, time=ratings.time // 10 + ratings.user * 400)
    scenario = UserCold((0.5, 0.25, 0.25), by="time", min_ratings=5)
    data = EpisodeDataModule(timed, scenario, order="random", eval_support=3)
    when = dict(zip(zip(timed.user.tolist(), timed.item.tolist(), strict=True), timed.time.tolist(), strict=True))
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            for row, user in enumerate(batch.task.tolist()):
                support, query = (
                    [when[user, item] for item in rows.item[row][rows.mask[row]].tolist()] for rows in batch[1:3]
                )
                assert max(support) <= min(query)
    assert data.train_shuffle
    with pytest.raises(InputError, match="test_draws 2"):
        EpisodeDataModule(timed, scenario, test_draws=2)


def test_training_may_have_an_order_of_its_own(ratings: Ratings) -> None:
    options = {"order": "time", "train_support": (3, 3), "train_query": 3, "batch_size": 8}
    scenario = UserCold((0.6, 0.2, 0.2), min_ratings=12)
    fixed = EpisodeDataModule(ratings, scenario, **options)
    drawn = EpisodeDataModule(ratings, scenario, train_order="random", **options)
    assert fixed.test_digest == drawn.test_digest
    episodes = {}
    for name, data in (("fixed", fixed), ("drawn", drawn)):
        found = [batch for step in range(30) for batch in [data.train_dataloader().dataset[step]]]
        episodes[name] = {
            (user, tuple(items))
            for batch in found
            for user, items in zip(batch.task.tolist(), batch.support.item.tolist(), strict=True)
        }
    users = len(fixed.train_tasks.task)
    assert len(episodes["fixed"]) == users < len(episodes["drawn"])


def test_negatives_of_new_items_are_new_items(ratings: Ratings) -> None:
    """Else a model need but tell new items from known ones."""
    liked = clicks(ratings, 3.0)
    scenario = ItemCold((0.5, 0.25, 0.25), min_ratings=2, max_ratings=5, train_min_ratings=2)
    data = EpisodeDataModule(liked, scenario, train_support=(1, 2), eval_support=1, negatives=2)
    [batch] = list(data.test_dataloader())
    new = set(liked.item[data.split.test].tolist())
    for rows in (batch.support, batch.query):
        for rating in (0.0, 1.0):
            chosen = rows.mask & (rows.rating == rating)
            assert chosen.any()
            assert set(rows.item[chosen].tolist()) <= new
