"""Tasks, packed once into contiguous tensors, and the padded batches of episodes that algorithms work on.

Packing is the compressed-row form: task t owns the positions ``offset[t] .. offset[t + 1]`` of the flat
columns. `metarec.data.draws` makes batches of them by index operations.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import IntArray, Ratings
from metarec.errors import InputError


class Rows(NamedTuple):
    """Ratings of T tasks, padded to R rows each.

    Attributes:
        item: item rows, shape (T, R), int64; 0 where padded.
        rating: values, shape (T, R), float; 0 where padded.
        mask: False where padded, shape (T, R), bool.
    """

    item: Tensor
    rating: Tensor
    mask: Tensor


class Bucket(NamedTuple):
    """A run of tasks of similar support length in a batch, and the widths that hold all their rows.

    Attributes:
        start: its first task.
        stop: the task behind its last one.
        support: columns of the support set that its tasks need.
        query: columns of the query set that they need.
    """

    start: int
    stop: int
    support: int
    query: int


class TaskBatch(NamedTuple):
    """One episode of each of T tasks; the order of the tasks carries no meaning.

    Attributes:
        task: user rows, shape (T,), int64.
        support: what the inner loop adapts on.
        query: what the adapted model is judged on.
        buckets: runs of tasks that cover the batch and need less padding each than the whole; empty: one run,
            the batch. They change how fast a batch is computed, not what comes out; see `parts`.
    """

    task: Tensor
    support: Rows
    query: Rows
    buckets: tuple[Bucket, ...] = ()


class PackedTasks(NamedTuple):
    """All ratings of all tasks in compressed rows.

    Attributes:
        task: user row of each task, ascending; twice or more where the same ratings stand in several orders, (T,).
        offset: where each task's ratings begin, and the end, shape (T + 1,).
        item: item rows, shape (N,).
        rating: values, shape (N,).
        query: how many of each task's ratings can be query alone, and all others support alone, shape (T,): where the
            user is known and only the held-out ratings are asked for. They come first where the order is shuffled, last
            in an order of time. Null: every rating may be either.
    """

    task: Tensor
    offset: Tensor
    item: Tensor
    rating: Tensor
    query: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """Number of ratings of each task, shape (T,)."""
        return self.offset.diff()

    @property
    def draws(self) -> int:
        """How many tasks each user has, one after the other."""
        return max(1, int((self.task == self.task[:1]).sum()))


class EpisodeSizes(NamedTuple):
    """How many ratings go to the support and the query set.

    Attributes:
        low: smallest support size; null together with `high`: all ratings but the query.
        high: largest support size, drawn evenly per episode; equal to `low` where it is fixed. A task of n ratings is
            drawn no more than n - `query` (null: n - 1), so that the query set keeps its size, and no fewer than `low`.
        query: query size, or what a task has left where `low` leaves less; null: all ratings but the support.

    Where `PackedTasks.query` says which ratings can only be query, a support size is drawn from the others alone, and
    null for both means all of each.
    """

    low: int | None
    high: int | None
    query: int | None

    @property
    def needed(self) -> int:
        """Fewest ratings a task must have: the smallest support set and one query, or the query and one support."""
        return (self.query or 1) + 1 if self.low is None else self.low + 1


def pack(
    ratings: Ratings,
    rows: IntArray,
    shuffle_seed: int | None = None,
    draws: int = 1,
    support: IntArray | None = None,
) -> PackedTasks:
    """Pack the given rating rows, one task a user and draw.

    Within a task, ratings stand in time order, ties by item, or shuffled. Either way the result depends on
    which rows are given, not on their order.

    Args:
        ratings: the data set.
        rows: row numbers, each at most once.
        shuffle_seed: shuffle each task's ratings with this seed; null keeps the time order.
        draws: how many shuffled orders of each user's ratings there are, each a task, one after the other. The first
            is the same however many there are.
        support: row numbers, each at most once, that can be support alone; `rows` then can be query alone, and every
            task needs both. Null: a rating may be either.

    Raises:
        ValueError: there are several draws and no seed.
    """
    if draws > 1 and shuffle_seed is None:
        raise ValueError(f"draws={draws} of a fixed order would all be the same; give a shuffle_seed")
    asked = np.bincount(ratings.user[rows])
    if support is not None:
        rows = np.concatenate([rows, support])
    late = np.arange(len(rows)) < asked.sum()  # of those that can only be query, which stand last in time
    order = np.lexsort((ratings.item[rows], ratings.time[rows], late, ratings.user[rows]))
    rows, late = rows[order], late[order]
    if shuffle_seed is not None:
        rows, late, key = np.tile(rows, draws), np.tile(~late, draws), _keys(shuffle_seed, draws, len(rows))
        draw = np.repeat(np.arange(draws), key.shape[1])
        rows = rows[np.lexsort((key.ravel(), late, draw, ratings.user[rows]))]
    task, size = np.unique(ratings.user[rows], return_counts=True)
    offset = np.append(0, np.repeat(size // draws, draws).cumsum())
    return PackedTasks(
        torch.from_numpy(np.repeat(task, draws)),
        torch.from_numpy(offset),
        torch.from_numpy(ratings.item[rows]),
        torch.from_numpy(ratings.rating[rows]),
        None if support is None else torch.from_numpy(np.repeat(asked[task], draws)),
    )


def _keys(seed: int, draws: int, count: int) -> np.typing.NDArray[np.float64]:
    """Random numbers that order the ratings of each draw, shape (draws, count)."""
    return np.random.default_rng([seed, count]).random((draws, count))


def ratings_of(tasks: PackedTasks, users: Tensor) -> tuple[Tensor, Tensor]:
    """All ratings that some users have in packed tasks.

    Args:
        tasks: the packed tasks, one a user.
        users: user rows, (T,); some may have no task.

    Returns:
        For each rating, its user's position in `users`, ascending, and its item, shapes (N,).
    """
    place = torch.searchsorted(tasks.task, users).clamp(max=len(tasks.task) - 1)
    size = tasks.lengths[place] * (tasks.task[place] == users)
    owner = torch.arange(len(users)).repeat_interleave(size)
    row = torch.arange(len(owner)) - (size.cumsum(0) - size)[owner] + tasks.offset[place][owner]
    return owner, tasks.item[row]


def require(tasks: PackedTasks, sizes: EpisodeSizes, where: str) -> None:
    """Refuse tasks that are too small for the episode sizes.

    Raises:
        InputError: names how many tasks are too small, and the cure.
    """
    option = "train_min_ratings" if where == "training" else "min_ratings"
    if tasks.query is None:
        small, needed, what = (
            tasks.lengths < sizes.needed,
            sizes.needed,
            "ratings that the support and query sizes need",
        )
    else:
        small, needed, what = (
            tasks.lengths - tasks.query < (sizes.low or 1),
            sizes.low or 1,
            "known ratings to adapt on",
        )
    if small.any():
        raise InputError(
            f"{int(small.sum())} of {len(small)} {where} tasks have fewer than the {needed} {what}; raise the "
            f"scenario's {option} to {needed} or lower the sizes"
        )


def parts(batch: TaskBatch) -> list[TaskBatch]:
    """The buckets of a batch, each a batch of views without the padding that it can do without.

    Their tasks, one part after the other, are those of the batch. A batch without buckets is its own one part.
    """
    if not batch.buckets:
        return [batch]
    return [
        TaskBatch(
            batch.task[start:stop],
            Rows(*(column[start:stop, :support] for column in batch.support)),
            Rows(*(column[start:stop, :query] for column in batch.query)),
        )
        for start, stop, support, query in batch.buckets
    ]


def on_device(batch: TaskBatch, device: torch.device) -> TaskBatch:
    """The batch on a device; asynchronously, where it lies in pinned memory."""
    support, query = (
        Rows(*(column.to(device, non_blocking=True) for column in rows)) for rows in (batch.support, batch.query)
    )
    return TaskBatch(batch.task.to(device, non_blocking=True), support, query, batch.buckets)


def joined(batch: TaskBatch) -> Rows:
    """Support and query rows side by side, (T, S + Q)."""
    return Rows(*(torch.cat(columns, dim=1) for columns in zip(batch.support, batch.query, strict=True)))


def alone(batch: TaskBatch, number: int) -> TaskBatch:
    """One task of a batch, without padding, as a batch of its own."""
    support, query = (
        Rows(*(column[number : number + 1, rows.mask[number]] for column in rows))
        for rows in (batch.support, batch.query)
    )
    return TaskBatch(batch.task[number : number + 1], support, query)
