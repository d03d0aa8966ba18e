import dataclasses

import numpy as np
import pytest
import torch

from metarec.data.draws import draw
from metarec.data.ratings import Ratings
from metarec.data.tasks import Bucket, EpisodeSizes, PackedTasks, Rows, TaskBatch, alone, pack, parts, require
from metarec.errors import InputError
from tests.conftest import synthetic_ratings

RATINGS = synthetic_ratings()
TASKS = pack(RATINGS, np.arange(len(RATINGS)))


def real(rows: Rows, task: int) -> list[tuple[int, float]]:
    """Items and ratings of one task, padding left out."""
    mask = rows.mask[task]
    return list(zip(rows.item[task][mask].tolist(), rows.rating[task][mask].tolist(), strict=True))


def truth(user: int) -> set[tuple[int, float]]:
    rows = RATINGS.user == user
    return set(zip(RATINGS.item[rows].tolist(), RATINGS.rating[rows].tolist(), strict=True))


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if not isinstance(first, tuple):
        return first == second
    return all(same(a, b) for a, b in zip(first, second, strict=True))


def test_packing_does_not_depend_on_row_order() -> None:
    order = np.random.default_rng(1).permutation(len(RATINGS))
    columns = {name: getattr(RATINGS, name)[order] for name in ("user", "item", "rating", "time")}
    permuted = dataclasses.replace(RATINGS, **columns)
    for seed in (None, 5):
        assert same(pack(RATINGS, np.arange(len(RATINGS)), seed), pack(permuted, np.arange(len(RATINGS)), seed))


def test_packing_keeps_every_rating(ratings: Ratings) -> None:
    rows = np.arange(0, len(ratings), 2)
    tasks: PackedTasks = pack(ratings, rows, shuffle_seed=1)
    user = torch.repeat_interleave(tasks.task, tasks.lengths).tolist()
    packed = sorted(zip(user, tasks.item.tolist(), tasks.rating.tolist(), strict=True))
    columns = (ratings.user[rows].tolist(), ratings.item[rows].tolist(), ratings.rating[rows].tolist())
    assert packed == sorted(zip(*columns, strict=True))


def test_several_draws_are_several_orders_of_the_same_ratings_and_the_first_stays() -> None:
    rows = np.arange(len(RATINGS))
    once, thrice = pack(RATINGS, rows, 5), pack(RATINGS, rows, 5, draws=3)
    users = len(once.task)
    assert thrice.task.tolist() == once.task.repeat_interleave(3).tolist()
    assert thrice.lengths.tolist() == once.lengths.repeat_interleave(3).tolist()
    draws = [draw(thrice, torch.arange(n, 3 * users, 3), EpisodeSizes(None, None, 4), None, True) for n in range(3)]
    assert same(draws[0], draw(once, torch.arange(users), EpisodeSizes(None, None, 4), None, True))
    for found in draws:
        for task, user in enumerate(once.task.tolist()):
            assert {*real(found.support, task), *real(found.query, task)} == truth(user)
    assert all(draws[n].query.item.ne(draws[0].query.item).any(dim=1).float().mean() > 0.9 for n in (1, 2))


def test_several_draws_of_a_fixed_order_are_refused() -> None:
    with pytest.raises(ValueError, match="draws=2 of a fixed order would all be the same"):
        pack(RATINGS, np.arange(len(RATINGS)), draws=2)


def test_too_small_tasks_are_refused() -> None:
    require(TASKS, EpisodeSizes(3, 20, 5), "test")
    with pytest.raises(InputError, match="of 40 test tasks have fewer than the 30 ratings"):
        require(TASKS, EpisodeSizes(29, 29, 5), "test")
    with pytest.raises(InputError, match="raise the scenario's train_min_ratings to 30"):
        require(TASKS, EpisodeSizes(29, 29, 5), "training")


def test_the_parts_of_a_batch_are_its_buckets(batch: TaskBatch) -> None:
    assert parts(batch) == [batch]
    first, second = parts(batch._replace(buckets=(Bucket(0, 3, 4, 2), Bucket(3, 8, 6, 5))))
    assert first.support.item.tolist() == batch.support.item[:3, :4].tolist()
    assert second.support.rating.tolist() == batch.support.rating[3:].tolist()
    assert second.query.mask.tolist() == batch.query.mask[3:].tolist()
    assert first.query.rating.tolist() == batch.query.rating[:3, :2].tolist()
    assert torch.equal(torch.cat([first.task, second.task]), batch.task)
    assert first.buckets == second.buckets == ()


def test_one_task_alone_has_no_padding_and_no_buckets() -> None:
    batch = draw(TASKS, torch.arange(8), EpisodeSizes(2, 6, 5), torch.Generator().manual_seed(0), True)
    one = alone(batch._replace(buckets=(Bucket(0, 8, 6, 5),)), 3)
    assert one.task.tolist() == [batch.task[3]]
    assert real(one.support, 0) == real(batch.support, 3)
    assert real(one.query, 0) == real(batch.query, 3)
    assert one.support.mask.all()
    assert one.buckets == ()
