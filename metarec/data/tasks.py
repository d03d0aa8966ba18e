"""Tasks, packed once into contiguous tensors, and the episodes drawn from them by tensor indexing.

Packing is the compressed-row form: task t owns the positions ``offset[t] .. offset[t + 1]`` of the flat
columns. Drawing a batch costs one sort of random keys and one index operation a column; no Python loop runs
over tasks or ratings.
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


class TaskBatch(NamedTuple):
    """One episode of each of T tasks.

    Attributes:
        task: user rows, shape (T,), int64.
        support: what the inner loop adapts on.
        query: what the adapted model is judged on.
    """

    task: Tensor
    support: Rows
    query: Rows


class PackedTasks(NamedTuple):
    """All ratings of all tasks in compressed rows.

    Attributes:
        task: user row of each task, ascending, shape (T,).
        offset: where each task's ratings begin, and the end, shape (T + 1,).
        item: item rows, shape (N,).
        rating: values, shape (N,).
    """

    task: Tensor
    offset: Tensor
    item: Tensor
    rating: Tensor

    @property
    def lengths(self) -> Tensor:
        """Number of ratings of each task, shape (T,)."""
        return self.offset.diff()


class EpisodeSizes(NamedTuple):
    """How many ratings go to the support and the query set.

    Attributes:
        low: smallest support size; null together with `high`: all ratings but the query.
        high: largest support size, drawn evenly per episode; equal to `low` where it is fixed.
        query: query size, or less where a task has no more left; null: all ratings but the support.
    """

    low: int | None
    high: int | None
    query: int | None

    @property
    def needed(self) -> int:
        """Fewest ratings a task must have: the smallest support set and one query, or the query and one support."""
        return (self.query or 1) + 1 if self.low is None else self.low + 1


def pack(ratings: Ratings, rows: IntArray, shuffle_seed: int | None = None) -> PackedTasks:
    """Pack the given rating rows, one task a user.

    Within a task, ratings stand in time order, ties by item, or shuffled. Either way the result depends on
    which rows are given, not on their order.

    Args:
        ratings: the data set.
        rows: row numbers, each at most once.
        shuffle_seed: shuffle each task's ratings with this seed; null keeps the time order.
    """
    rows = rows[np.lexsort((ratings.item[rows], ratings.time[rows], ratings.user[rows]))]
    user = ratings.user[rows]
    if shuffle_seed is not None:
        key = np.random.default_rng([shuffle_seed, len(rows)]).random(len(rows))
        rows = rows[np.lexsort((key, user))]
    task, first = np.unique(user, return_index=True)
    return PackedTasks(
        torch.from_numpy(task),
        torch.from_numpy(np.append(first, len(rows)).astype(np.int64)),
        torch.from_numpy(ratings.item[rows]),
        torch.from_numpy(ratings.rating[rows]),
    )


def require(tasks: PackedTasks, sizes: EpisodeSizes, where: str) -> None:
    """Refuse tasks that are too small for the episode sizes.

    Raises:
        InputError: names how many tasks are too small, and the cure.
    """
    small = int((tasks.lengths < sizes.needed).sum())
    if small:
        raise InputError(
            f"{small} of {len(tasks.task)} {where} tasks have fewer than the {sizes.needed} ratings that the "
            f"support and query sizes need; raise the scenario's min_ratings to {sizes.needed} or lower the sizes"
        )


def draw(
    tasks: PackedTasks, chosen: Tensor, sizes: EpisodeSizes, generator: torch.Generator | None, shuffle: bool
) -> TaskBatch:
    """Draw one episode of each chosen task.

    Shuffled, the query set is drawn first and the support set from what is left, so that with a fixed order
    and a fixed query size the query rows stay the same whatever the support size. In time order the support
    set is the earliest ratings and the query set the ones that follow.

    Args:
        tasks: the packed tasks.
        chosen: positions of T tasks in `tasks`, shape (T,); a task may stand there twice.
        sizes: support and query sizes.
        generator: source of the random order and support sizes; null: the packed order is used as it is.
        shuffle: whether the packed order has no meaning (query first), or is time (support first).
    """
    length = tasks.lengths[chosen]
    support, query = _sizes(length, sizes, generator)
    width = int(length.max())
    if shuffle and generator is not None:
        key = torch.rand(len(chosen), width, generator=generator)
        key.masked_fill_(torch.arange(width) >= length[:, None], 2.0)
        order = key.argsort(dim=1)
    else:
        order = torch.arange(width).expand(len(chosen), width)
    start_support, start_query = (query, torch.zeros_like(query)) if shuffle else (torch.zeros_like(query), support)
    first = tasks.offset[chosen]
    return TaskBatch(
        tasks.task[chosen],
        _gather(tasks, first, order, start_support, support),
        _gather(tasks, first, order, start_query, query),
    )


def alone(batch: TaskBatch, number: int) -> TaskBatch:
    """One task of a batch, without padding, as a batch of its own."""
    parts = (Rows(*(column[number : number + 1, rows.mask[number]] for column in rows)) for rows in batch[1:])
    return TaskBatch(batch.task[number : number + 1], *parts)


def _sizes(length: Tensor, sizes: EpisodeSizes, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Support and query size of each episode, shapes (T,), never more than the task has."""
    if sizes.low is None or sizes.high is None:
        query = torch.full_like(length, sizes.query or 1)
        return length - query, query
    support = torch.full_like(length, sizes.low)
    if sizes.high > sizes.low:
        high = torch.minimum(length - (sizes.query or 1), torch.tensor(sizes.high)).clamp(min=sizes.low)
        uniform = torch.rand(len(length), generator=generator)
        support += (uniform * (high - sizes.low + 1)).long()
    rest = length - support
    return support, rest if sizes.query is None else rest.clamp(max=sizes.query)


def _gather(tasks: PackedTasks, first: Tensor, order: Tensor, start: Tensor, size: Tensor) -> Rows:
    """Rows ``start .. start + size`` of each task's order, padded to the largest size."""
    column = torch.arange(int(size.max()))
    mask = column < size[:, None]
    place = (start[:, None] + column).clamp(max=order.shape[1] - 1)
    position = (first[:, None] + order.gather(1, place)).masked_fill(~mask, 0)
    return Rows(tasks.item[position].masked_fill(~mask, 0), tasks.rating[position].masked_fill(~mask, 0.0), mask)
