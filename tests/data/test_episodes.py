from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.episodes import POOL, EvalEpisodes, TrainEpisodes
from metarec.data.tasks import EpisodeSizes, TaskBatch, pack, parts
from metarec.errors import InputError
from tests.conftest import synthetic_ratings
from tests.data.test_tasks import TASKS, real, same, truth

SIZES = EpisodeSizes(2, 6, 5)
LONG = synthetic_ratings(users=160, items=200)
LONG_TASKS = pack(LONG, np.arange(len(LONG)))
"""160 tasks of 12 to 200 ratings: with eight a batch, several pools a pass, and batches that are cut into buckets."""


def episodes(**options: int) -> TrainEpisodes:
    return TrainEpisodes(TASKS, SIZES, **{"batch_size": 16, "seed": 0, "shuffle": True, **options})


def long_episodes(**options: int) -> TrainEpisodes:
    return TrainEpisodes(
        LONG_TASKS, EpisodeSizes(2, 150, 7), **{"batch_size": 8, "seed": 0, "shuffle": True, **options}
    )


def drawn(batch: TaskBatch) -> list[tuple[int, list, list]]:
    """The episodes of a batch without padding."""
    return [(user, real(batch.support, n), real(batch.query, n)) for n, user in enumerate(batch.task.tolist())]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.integers(0, 70) | st.integers(0, 10**6), min_size=1, max_size=8),
    seed=st.integers(0, 100),
    batch_size=st.sampled_from([2, 6, 16, 100]),
    shuffle=st.booleans(),
    length_sorted=st.booleans(),
)
def test_a_batch_is_a_function_of_seed_and_step(
    steps: list[int], seed: int, batch_size: int, shuffle: bool, length_sorted: bool
) -> None:
    options = {"seed": seed, "batch_size": batch_size, "shuffle": shuffle, "length_sorted": length_sorted}
    used = episodes(**options)
    for step in steps:
        batch = used[step]
        assert same(batch, episodes(**options)[step])
        assert len(batch.task) == batch_size
    shares = [episodes(**options, rank=rank, ranks=2) for rank in (0, 1)]
    for step in steps:
        for rank, share in enumerate(shares):
            assert drawn(share[step]) == drawn(used[step])[rank::2]


def test_every_pool_and_every_seed_draws_anew() -> None:
    only = pack(LONG, np.flatnonzero(LONG.user == 1))

    def episode(seed: int, step: int) -> list:
        return drawn(TrainEpisodes(only, EpisodeSizes(2, 2, 2), 1, seed, shuffle=True)[step])

    assert len(only.item) > 50
    assert episode(0, 0) == episode(0, 0)
    assert episode(0, 0) != episode(0, 1)
    assert episode(0, 0) != episode(1, 0)


def test_every_pass_and_every_seed_lets_other_tasks_meet() -> None:
    meeting = [set(episodes(batch_size=8, seed=seed)[step].task.tolist()) for seed, step in ((0, 0), (0, 5), (1, 0))]
    assert len({frozenset(tasks) for tasks in meeting}) == 3


@pytest.mark.parametrize("length_sorted", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_episode_is_made_of_its_task(shuffle: bool, length_sorted: bool) -> None:
    for size in (5, None):
        options = {"shuffle": shuffle, "length_sorted": length_sorted}
        used = TrainEpisodes(TASKS, EpisodeSizes(2, 6, size), 16, seed=0, **options)
        for user, support, query in [episode for step in range(6) for episode in drawn(used[step])]:
            assert set(support) | set(query) <= truth(user)
            assert not set(support) & set(query)
            assert 2 <= len(support) <= 6
            assert len(query) == size or len(support) + len(query) == len(truth(user))


def test_in_time_order_the_query_follows_the_support() -> None:
    items = dict(zip(TASKS.task.tolist(), TASKS.item.split(TASKS.lengths.tolist()), strict=True))
    for user, support, query in drawn(episodes(shuffle=False)[3]):
        rows = support + query
        assert [item for item, _ in rows] == items[user][: len(rows)].tolist()


def test_every_pass_sees_every_task_once() -> None:
    used = episodes()
    seen = [used[step].task for step in range(5)]
    counts = torch.bincount(torch.cat(seen), minlength=41)[1:]
    assert counts.tolist() == [2] * 40
    assert len(torch.cat(seen[:2]).unique()) == 32


def test_sorted_by_length_every_pass_sees_every_task_once_as_well() -> None:
    used = long_episodes(length_sorted=True)
    pools = [torch.cat([used[number * POOL + place].task for place in range(POOL)]) for number in range(5)]
    assert [len(pool) for pool in pools] == [96] * 5
    assert torch.bincount(torch.cat(pools), minlength=161)[1:].tolist() == [3] * 160
    unsorted = long_episodes()
    for number, pool in enumerate(pools):
        plain = torch.cat([unsorted[number * POOL + place].task for place in range(POOL)])
        assert torch.equal(plain.sort().values, pool.sort().values)


def test_sorted_by_length_batches_are_alike_inside_and_come_in_random_order() -> None:
    used = long_episodes(length_sorted=True)
    orders = []
    for number in range(3):
        sizes = [used[number * POOL + place].support.mask.sum(1) for place in range(POOL)]
        order = sorted(range(POOL), key=lambda place: (int(sizes[place].min()), int(sizes[place].max())))
        for first, second in pairwise(order):
            assert sizes[first].max() <= sizes[second].min()
        orders.append(order)
    assert len({tuple(order) for order in [*orders, range(POOL)]}) == 4


@pytest.mark.parametrize("options", [{}, {"length_sorted": True}, {"rank": 1, "ranks": 2}])
def test_buckets_change_nothing_but_padding(options: dict) -> None:
    used = long_episodes(**options)
    for step in range(15):
        batch = used[step]
        sizes = batch.support.mask.sum(1)
        assert (sizes.diff() >= 0).all()
        assert batch.support.mask.shape[1] == sizes.max()
        assert [episode for part in parts(batch) for episode in drawn(part)] == drawn(batch)
        for part in parts(batch):
            assert part.support.mask.any(0).all()
            assert part.query.mask.any(0).all()
    assert any(used[step].buckets for step in range(15))


def test_a_pool_is_never_longer_than_a_pass() -> None:
    assert long_episodes().pool == POOL
    assert long_episodes(batch_size=50).pool == 3
    assert long_episodes(batch_size=500).pool == 1


def test_batch_size_must_divide() -> None:
    with pytest.raises(InputError, match="does not divide among 3 processes"):
        episodes(ranks=3)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_task_is_judged_once(ranks: int) -> None:
    judged = [EvalEpisodes(TASKS, SIZES, 7, True, rank, ranks) for rank in range(ranks)]
    seen = torch.cat([part[number].task for part in judged for number in range(len(part))])
    assert torch.equal(seen.sort().values, TASKS.task)
