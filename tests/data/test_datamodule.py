import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything

from metarec.algorithms.amortised.prototype import Prototype
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.own.attributes import FeatureFile
from metarec.data.ratings import Ratings
from metarec.data.sets.csv_file import csv_ratings
from metarec.data.sets.recbole import recbole_atomic
from metarec.data.sources import clicks
from metarec.data.splits import ItemCold, UserCold, UserItemCold
from metarec.data.tasks import Bucket
from metarec.errors import InputError
from metarec.module import MetaModule
from metarec.nets.ncf import NeuMF
from tests.conftest import synthetic_ratings
from tests.data.test_tasks import same
from tests.test_module import trainer_of


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


def own_files(folder: Path, rating: np.ndarray, age: np.ndarray, length: np.ndarray) -> dict[str, Ratings]:
    """Ratings of all users and items on each other, by reader; nobody gives a scale or the ranges of age and length."""
    folder.mkdir()
    pairs = [(user, item) for user in range(len(age)) for item in range(len(length))]
    rows = [f"u{user:02}\ti{item:02}\t{rating[user, item]:g}\n" for user, item in pairs]
    tables = {"inter": rows, "user": [f"u{row:02}\t{number:g}\n" for row, number in enumerate(age)]}
    tables["item"] = [f"i{row:02}\t{number:g}\n" for row, number in enumerate(length)]
    heads = {
        "inter": "user_id:token\titem_id:token\trating:float\n",
        "user": "user_id:token\tage:float\n",
        "item": "item_id:token\tlength:float\n",
    }
    paths = {}
    for kind, lines in tables.items():
        (folder / f"{folder.name}.{kind}").write_text(heads[kind] + "".join(lines))
        paths[kind] = folder / f"{kind}.csv"
        plain = heads[kind].replace(":token", "").replace(":float", "") + "".join(lines)
        paths[kind].write_text(plain.replace("\t", ",").replace("_id", ""))
    users = FeatureFile(str(paths["user"]), id="user", numeric={"age": 4})
    items = FeatureFile(str(paths["item"]), id="item", numeric={"length": 3})
    csv = csv_ratings(str(paths["inter"]), users=users, items=items, name="own", cache=str(folder / "cache"))
    return {"csv": csv, "recbole": recbole_atomic(str(folder), time=None)}


@pytest.mark.parametrize("tasks", ["users", "items"])
@pytest.mark.parametrize("reader", ["csv", "recbole"])
def test_extremes_of_who_is_new_change_nothing_in_training(reader: str, tasks: str, tmp_path: Path) -> None:
    """Of the scale, of ranges, of batches and of trained weights, whoever has them: validation, test, or nobody."""
    random = np.random.default_rng(0)
    rating, age, length = random.integers(1, 6, (40, 30)), random.integers(18, 80, 40), random.integers(60, 200, 30)
    scenario = UserItemCold(seed=1)
    options: dict = {"train_support": (2, 5), "train_query": 5, "eval_support": 2, "batch_size": 8, "tasks": tasks}
    first = EpisodeDataModule(own_files(tmp_path / "one", rating, age, length)[reader], scenario, **options)
    user, item = first.given.user - 1, first.given.item - 1
    far, old, long = rating.copy(), age.copy(), length.copy()
    others = np.setdiff1d(np.arange(len(user)), first.split.train)
    far[user[others], item[others]] = np.where(others % 2, 99, -99)
    old[np.setdiff1d(user, user[first.split.train])] = 999
    long[np.setdiff1d(item, item[first.split.train])] *= -100
    second = EpisodeDataModule(own_files(tmp_path / "two", far, old, long)[reader], scenario, **options)
    assert (second.given.scale, first.given.scale) == ((-99, 99), (1, 5))
    assert np.array_equal(first.split.train, second.split.train)
    assert first.ratings.scale == second.ratings.scale == first.known.scale == (1, 5)
    assert first.schema == second.schema
    for one, other in zip(first.train_dataloader(), second.train_dataloader(), strict=True):
        assert same(one, other)
    for side in ("user", "item"):
        rows = np.unique(getattr(first.known, side))
        tables = [getattr(data.known, f"{side}_features") for data in (first, second)]
        [name] = tables[0].categorical
        assert tables[0].values == tables[1].values
        assert np.array_equal(tables[0].categorical[name][rows], tables[1].categorical[name][rows])
    weights = []
    for data in (first, second):
        seed_everything(0, verbose=False)
        net = partial(NeuMF, user_features=["age"], item_features=["length"], gmf=4, mlp=3, hidden=[5])
        module = MetaModule(data.schema, net, partial(Prototype, width=3, hidden=6))
        trainer_of(tmp_path / "run", max_epochs=1, callbacks=[]).fit(module, datamodule=data)
        weights.append(dict(module.algorithm.named_parameters()))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
