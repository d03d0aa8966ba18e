"""The benchmark's tasks, and batches of them: the same tasks as they come, in length buckets, or sorted by length."""

import math

import numpy as np
import torch
from torch import Tensor

from metarec.data.buckets import buckets
from metarec.data.draws import Episodes, padded
from metarec.data.episodes import POOL
from metarec.data.ratings import IntArray
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError

SHARES = 3
"""A round takes every third batch of the sorted pool, so that long and short tasks are in each."""


def draw_pool(tasks: PackedTasks, sizes: Tensor, query: int, seed: int) -> Episodes:
    """Draw tasks at random that have enough ratings, and their rows in random order, query set first.

    The project's own data path draws support sizes evenly; the benchmark wants given ones.

    Args:
        tasks: tasks to draw from, with replacement.
        sizes: support size of each episode, (P,).
        query: query size of all.
        seed: of the draws.

    Raises:
        InputError: no task has that many ratings.
    """
    random = np.random.default_rng(seed)
    needed, lengths, offset = (sizes + query).numpy(), tasks.lengths.numpy(), tasks.offset.numpy()
    if needed.max() > lengths.max():
        raise InputError(f"no user has {needed.max()} ratings; give a larger data set")
    chosen = np.array([random.choice(np.flatnonzero(lengths >= need)) for need in needed])
    drawn = [offset[t] + random.permutation(lengths[t])[:n] for t, n in zip(chosen, needed, strict=True)]
    rows, start = np.concatenate(drawn), np.cumsum(needed) - needed
    size = np.full_like(needed, query)
    item, rating = tasks.item.numpy()[rows], tasks.rating.numpy()[rows]
    return Episodes(tasks.task.numpy()[chosen], start + query, sizes.numpy(), start, size, item, rating)


def log_uniform(count: int, low: int, high: int, seed: int) -> Tensor:
    """Support sizes between `low` and `high`, their logarithms evenly distributed, (count,), int64."""
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    return (low * torch.exp(uniform * math.log(high / low))).round().long()


def batch_of(pool: Episodes, rows: IntArray, bucketed: bool, device: torch.device) -> TaskBatch:
    """One batch of the given episodes, sorted by support size.

    Args:
        pool: the episodes.
        rows: which of them, (T,).
        bucketed: whether to cut it into length buckets.
        device: where it is put.
    """
    episodes = pool.at(rows[np.argsort(pool.support_size[rows], kind="stable")])
    batch = padded(episodes)
    cuts = buckets(episodes.support_size, episodes.query_size) if bucketed else ()
    support, query = (Rows(*(column.to(device) for column in part)) for part in (batch.support, batch.query))
    return TaskBatch(batch.task.to(device), support, query, cuts)


def rounds_of(pool: Episodes, size: int, rounds: int, device: torch.device) -> list[dict[str, list[TaskBatch]]]:
    """Batches of each round by kind of batching; all kinds hold the same tasks in a round.

    `length-sorted` batches come from the whole sorted pool; `padded` and `buckets` mix the round's tasks at random.

    Args:
        pool: the episodes.
        size: tasks a batch.
        rounds: how many rounds; they take turns in the pool.
        device: where batches are put.
    """
    lengthwise = np.argsort(pool.support_size, kind="stable").reshape(POOL, size)
    found = []
    for number in range(rounds):
        picked = lengthwise[number % SHARES :: SHARES]
        mixed = np.random.default_rng(number).permutation(picked.reshape(-1)).reshape(picked.shape)
        found.append(
            {
                "padded": [batch_of(pool, rows, False, device) for rows in mixed],
                "buckets": [batch_of(pool, rows, True, device) for rows in mixed],
                "length-sorted": [batch_of(pool, rows, True, device) for rows in picked],
            }
        )
    return found
