"""Episodes drawn from packed tasks, many at once, and padded batches of them by one index operation a column.

No Python loop runs over tasks or ratings. Drawing costs one random number a rating of the chosen tasks and a
sort of little more than what is drawn, so it is done for many tasks at once; a batch of them is cheap.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import FloatArray, IntArray
from metarec.data.tasks import EpisodeSizes, PackedTasks, Rows, TaskBatch

Keys = np.ndarray[Any, np.dtype[np.int32]]
KEY_BITS = 31
"""Bits of the random keys that order a task's ratings; of n keys about n² / 2^32 pairs are equal."""


class Episodes(NamedTuple):
    """One episode of each of T tasks, without padding: support and query set are runs of the flat columns.

    Attributes:
        task: user rows, shape (T,).
        support_start: where each support set begins, shape (T,).
        support_size: how many ratings it has, shape (T,).
        query_start: the same for the query sets.
        query_size: the same for the query sets.
        item: item rows, shape (N,).
        rating: values, shape (N,).
    """

    task: IntArray
    support_start: IntArray
    support_size: IntArray
    query_start: IntArray
    query_size: IntArray
    item: IntArray
    rating: FloatArray

    def at(self, rows: slice | IntArray) -> "Episodes":
        """Some of the episodes, or all in another order; the flat columns stay."""
        return Episodes(
            self.task[rows],
            self.support_start[rows],
            self.support_size[rows],
            self.query_start[rows],
            self.query_size[rows],
            self.item,
            self.rating,
        )


def draw_episodes(
    tasks: PackedTasks, chosen: Tensor, sizes: EpisodeSizes, generator: torch.Generator | None, shuffle: bool
) -> Episodes:
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
    if tasks.query is not None:
        return _of_known_users(tasks, chosen, sizes, shuffle)
    length = tasks.lengths[chosen]
    first, item, rating = tasks.offset[chosen].numpy(), tasks.item.numpy(), tasks.rating.numpy()
    support, query = (size.numpy() for size in _sizes(length, sizes, generator))
    if shuffle and generator is not None:
        position = _random_order(first, length.numpy(), support + query, generator)
        first, item, rating = before(support + query), item[position], rating[position]
    support_start, query_start = (first + query, first) if shuffle else (first, first + support)
    return Episodes(tasks.task[chosen].numpy(), support_start, support, query_start, query, item, rating)


def _of_known_users(tasks: PackedTasks, chosen: Tensor, sizes: EpisodeSizes, shuffle: bool) -> Episodes:
    """Episodes of tasks whose support and query come from ratings of their own each, in the packed order."""
    assert tasks.query is not None
    asked = tasks.query[chosen].numpy()
    first, known = tasks.offset[chosen].numpy(), tasks.lengths[chosen].numpy() - asked
    support = known if sizes.low is None else known.clip(max=sizes.low)
    query = asked if sizes.query is None else asked.clip(max=sizes.query)
    starts = (first + asked, first) if shuffle else (first, first + known)
    columns = tasks.item.numpy(), tasks.rating.numpy()
    return Episodes(tasks.task[chosen].numpy(), starts[0], support, starts[1], query, *columns)


def padded(episodes: Episodes) -> TaskBatch:
    """The episodes as one batch, padded to the largest support and the largest query set; without buckets."""
    return TaskBatch(
        torch.from_numpy(episodes.task.copy()),
        _rows(episodes, episodes.support_start, episodes.support_size),
        _rows(episodes, episodes.query_start, episodes.query_size),
    )


def draw(
    tasks: PackedTasks, chosen: Tensor, sizes: EpisodeSizes, generator: torch.Generator | None, shuffle: bool
) -> TaskBatch:
    """Draw one episode of each chosen task, as one batch; see `draw_episodes`."""
    return padded(draw_episodes(tasks, chosen, sizes, generator, shuffle))


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


def _random_order(first: IntArray, length: IntArray, wanted: IntArray, generator: torch.Generator) -> IntArray:
    """Positions of the first `wanted` ratings of each task in a random order, one task after the other.

    Args:
        first: where each task's ratings begin in the packed columns, shape (T,).
        length: how many it has, shape (T,).
        wanted: how many are drawn, shape (T,).
        generator: source of the order.
    """
    key = torch.empty(int(length.sum()), dtype=torch.int32).random_(generator=generator).numpy()
    return smallest(key, length, wanted) + np.repeat(first - before(length), wanted)


def smallest(key: Keys, length: IntArray, wanted: IntArray) -> IntArray:
    """Where the `wanted` smallest keys of each task stand, in ascending order of the key, one task after the other.

    Keys above a bound are left out before sorting, where a task has many more of them than wanted. Of uniform
    keys, enough lie below it but once in some 10,000 tasks, and such a task is sorted whole: what is returned
    does not depend on the bound. Sorting goes by 16 bits at a time, which numpy does in linear time.

    Args:
        key: random numbers below ``2 ** KEY_BITS``, those of task 0, then those of task 1, ..., shape (N,).
        length: how many keys each task has, at least 1, shape (T,); the sum is N.
        wanted: how many are wanted, at most `length`, shape (T,).
    """
    share = ((wanted + 4 * np.sqrt(wanted) + 8) / length).clip(max=1.0)
    bound = (share * (2**KEY_BITS - 1)).astype(np.int32)
    low = key <= np.repeat(bound, length)
    short = np.add.reduceat(low, before(length), dtype=np.int64) < wanted
    low |= np.repeat(short, length)
    kept = np.add.reduceat(low, before(length), dtype=np.int64)
    place, task = np.flatnonzero(low), np.repeat(np.arange(len(kept), dtype=np.min_scalar_type(len(kept))), kept)
    key = key[place]
    order = np.lexsort((key.astype(np.uint16), (key >> 16).astype(np.uint16), task))
    return place[order[runs(before(kept), wanted)]]


def _rows(episodes: Episodes, start: IntArray, size: IntArray) -> Rows:
    """The runs ``start .. start + size`` of the flat columns, one a task, padded to the largest size."""
    column = np.arange(size.max())
    mask = column < size[:, None]
    position = (start[:, None] + column) * mask
    item, rating = episodes.item[position] * mask, episodes.rating[position] * mask
    return Rows(torch.from_numpy(item), torch.from_numpy(rating), torch.from_numpy(mask))


def before(size: IntArray) -> IntArray:
    """How much stands before each run when runs of these sizes follow each other, shape (T,)."""
    return size.cumsum() - size


def runs(start: IntArray, size: IntArray) -> IntArray:
    """The numbers ``start .. start + size`` of every run, one run after the other, shape (sum of sizes,)."""
    return np.arange(size.sum()) + np.repeat(start - before(size), size)
