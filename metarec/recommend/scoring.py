"""Scores of adapted users: of a catalogue for a few, or of query sets for many."""

import time
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.tasks import Rows, TaskBatch
from metarec.recommend.items import ItemIndex
from metarec.recommend.memory import Report, budget_of, in_chunks
from metarec.recommend.paths import Users, unadapted, users

BLOCK = 8192
"""User-item pairs that are scored at once."""

USERS = 16
"""Most users whose catalogues are scored together: enough to share the item side, and blocks stay long."""


class Scored(NamedTuple):
    """Scores of adapted users.

    Attributes:
        scores: (T, Q), in the order of the batch; 0 where its query set is padded.
        report: what it took.
    """

    scores: Tensor
    report: Report


@torch.no_grad()
def score_all(
    algorithm: Algorithm, index: ItemIndex, task: Tensor, support: Rows | None, memory: int | None = None
) -> Tensor:
    """Adapt T users and score the index's catalogue for each, `BLOCK` pairs of user and item at a time.

    Args:
        algorithm: the algorithm, in evaluation mode.
        index: the item side of its net.
        task: user rows, (T,).
        support: ratings to adapt on, (T, S); null: zero-shot, nothing adapts.
        memory: bytes that may be used beyond the scores themselves; null: a quarter of what is free, and one user alone
            is not asked what it takes.

    Returns:
        (T, C), in the catalogue's order; where that is all items, the column of an item is its row, row 0 the unknown
        item. The same numbers as ``algorithm.predict(algorithm.adapt(task, support), task, items)``, but for rounding;
        zero-shot, as ``algorithm.predict({}, task, items)``.

    Raises:
        InputError: the net has changed since the index was made, or one user alone takes more than `memory`.
    """
    index.require_fresh(getattr(algorithm, "net", index.net))
    way = unadapted(algorithm, index) if support is None else users(algorithm, index)[0]
    if len(task) == 1 and memory is None:
        return _catalogue(way, len(index.catalogue), task, support)
    scores = _zeros(algorithm, task, len(index.catalogue))

    def work(part: Tensor, width: int) -> None:
        rows = None if support is None else _part(support, part, width)
        scores[part] = _catalogue(way, len(index.catalogue), task[part], rows).to(scores.dtype)

    lengths = torch.zeros_like(task) if support is None else _lengths(support)
    in_chunks(work, lengths[:, None], budget_of(memory, task.device), USERS)
    return scores


@torch.no_grad()
def adapt_and_score(
    algorithm: Algorithm, batch: TaskBatch, index: ItemIndex | None = None, memory: int | None = None
) -> Scored:
    """Adapt any number of users and score their query items, in chunks of users with similarly many ratings.

    Args:
        algorithm: the algorithm, in evaluation mode.
        batch: all users; ratings of the query set are not looked at. Padding costs nothing here.
        index: the item side of the algorithm's net; null: made here, where it is of use.
        memory: bytes that a chunk may use, beyond the batch itself and a few numbers a row of it; null: a quarter of
            what is free.

    Raises:
        InputError: the net has changed since the index was made, or one user alone takes more than `memory`.
    """
    started = time.perf_counter()
    if index is not None:
        index.require_fresh(getattr(algorithm, "net", index.net))
    way, reason = users(algorithm, index)
    budget = budget_of(memory, batch.task.device)
    scores = _zeros(algorithm, batch.task, batch.query.item.shape[1])

    def work(part: Tensor, support: int, query: int) -> None:
        task, rows = batch.task[part], _part(batch.query, part, query)
        found = way.score(way.adapt(task, _part(batch.support, part, support), query), task, rows.item)
        scores[part, :query] = found.masked_fill(~rows.mask, 0.0).to(scores.dtype)

    lengths = torch.stack([_lengths(batch.support), _lengths(batch.query)], dim=1)
    chunks = in_chunks(work, lengths, budget)
    return Scored(scores, Report(*chunks, budget, time.perf_counter() - started, reason))


def _catalogue(way: Users, items: int, task: Tensor, support: Rows | None) -> Tensor:
    """Scores (T, items), adapted if there is a support set; no inference tensor, even if the blocks are."""
    adapted = {} if support is None else way.adapt(task, support)
    size = max(1, BLOCK // len(task))
    blocks = [way.block(adapted, task, start, min(start + size, items)) for start in range(0, items, size)]
    return torch.cat(blocks, dim=1)


def _zeros(algorithm: Algorithm, task: Tensor, columns: int) -> Tensor:
    """Room for the scores of the users `task`, in the type of the algorithm's parameters, or else of its statistics."""
    held: list[Tensor] = [*algorithm.parameters()]
    held = held or [*algorithm.buffers()]
    dtypes = [tensor.dtype for tensor in held if tensor.is_floating_point()]
    dtype = reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()
    return torch.zeros(len(task), columns, dtype=dtype, device=task.device)


def _lengths(rows: Rows) -> Tensor:
    """How many columns of each task there are up to its last real one, (T,)."""
    places = torch.arange(1, rows.mask.shape[1] + 1, device=rows.mask.device) * rows.mask
    return torch.cat([places.new_zeros(len(places), 1), places], dim=1).amax(dim=1)


def _part(rows: Rows, part: Tensor, width: int) -> Rows:
    """The first `width` columns of some tasks."""
    return Rows(*(column[:, :width][part] for column in rows))
