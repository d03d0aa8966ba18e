"""What a top K out of a whole catalogue is judged by: ranks of relevant items, coverage and novelty.

Scores come as (T, C): T tasks, C items of the catalogue. An item that a task's user has seen is no candidate; its score
is minus infinity. Nothing is sorted, and nothing larger than the scores is made, so that a chunk of users at a time
bounds the memory, however many users there are.
"""

import torch
from torch import Tensor

from metarec.metrics.ranks import Ranks

BLOCK = 65536
"""Columns of the catalogue that are counted at once."""


def catalogue_ranks(scores: Tensor, place: Tensor, relevant: Tensor, sound: Tensor) -> Ranks:
    """Where relevant items stand among all candidates: how many score above each, how many the same.

    The relevant scores of a task are sorted, each score of the catalogue finds its place among them, and counting those
    at each place gives every rank: C log Q comparisons a task, and C + Q numbers.

    Args:
        scores: no NaN; minus infinity: no candidate, (T, C).
        place: columns of T tasks' query items, (T, Q), -1: not in the catalogue.
        relevant: which of them are relevant, (T, Q), bool.
        sound: which tasks have a value at all, (T,), bool.

    Returns:
        The ranks; a relevant item that is no candidate counts as not relevant.
    """
    own = scores.gather(1, place.clamp(min=0))
    relevant = relevant & (place >= 0) & own.isfinite()
    ordered, order = own.masked_fill(~relevant, torch.inf).sort(1)
    above, least = (torch.zeros_like(place) for _ in range(2))
    for start in range(0, scores.shape[1], BLOCK):
        block = scores[:, start : start + BLOCK].contiguous()
        above += _passed(torch.searchsorted(ordered, block), place.shape[1])
        least += _passed(torch.searchsorted(ordered, block, right=True), place.shape[1])
    above, least = (torch.zeros_like(place).scatter(1, order, count) for count in (above, least))
    return Ranks(above, least - above, relevant, candidates(scores), sound)


def _passed(places: Tensor, width: int) -> Tensor:
    """How many of the places (T, B), 0 .. width, lie beyond each of 0 .. width - 1, (T, width)."""
    first = torch.arange(len(places), device=places.device)[:, None] * (width + 1)
    counts = torch.bincount((places + first).flatten(), minlength=len(places) * (width + 1))
    return counts.reshape(len(places), width + 1).flip(1).cumsum(1).flip(1)[:, 1:]


def candidates(scores: Tensor) -> Tensor:
    """How many items of the catalogue are candidates, (T,)."""
    return (scores > -torch.inf).sum(1)


def chosen(scores: Tensor, k: int) -> Tensor:
    """How likely each item is among the K best scored candidates of a task, (T, C), float32.

    1 above the K-th best score, 0 below. Items tied with it share the places that are left, each with the same
    probability: what random tie-breaking does on average.

    Args:
        scores: no NaN; minus infinity: no candidate, (T, C), C >= K.
        k: the cut-off K >= 1. A task with K candidates or fewer has no choice: its row is 0.
    """
    last = scores.topk(k, dim=1).values[:, -1:]
    above, tied = scores > last, scores == last
    share = (k - above.sum(1)) / tied.sum(1)
    likely = above.float().add_(tied * share[:, None])
    return likely.masked_fill_((candidates(scores) <= k)[:, None], 0.0)


def log_missed(likely: Tensor) -> Tensor:
    """Logarithm of the probability that no task's top K has the item, (C,), float64; to be summed over all tasks.

    Args:
        likely: what `chosen` returned, (T, C); ties are broken for each task apart.
    """
    return torch.log1p(-likely).sum(0, dtype=torch.float64)


def coverage(missed: Tensor) -> Tensor:
    """Catalogue coverage at K: the share of the catalogue that some user's top K has, a scalar in [0, 1].

    (1/C) sum over items i of 1 - prod over users u of (1 - p_ui), with p_ui from `chosen`; without ties the number of
    different items that anybody is recommended, over C (Ge, Delgado-Battenfeld and Jannach, RecSys 2010). It grows with
    the number of users U, by chance to about 1 - (1 - K/C)^U: compare it only where the users are the same.

    Args:
        missed: sum over users of `log_missed`, (C,).
    """
    return 1 - missed.exp().mean()


def self_information(count: Tensor, users: int) -> Tensor:
    """-log2 of the share of U training users who rated an item, in bits, (C,), float64.

    An item that nobody rated counts as one that a single user did: no more than log2(U) bits.

    Args:
        count: how many training users rated each item, (C,).
        users: U.
    """
    return -torch.log2(count.double().clamp(min=1) / users)


def novelty(likely: Tensor, information: Tensor, k: int) -> Tensor:
    """Novelty at K of each task: mean self-information of the K items recommended, in bits, (T,), float64, >= 0.

    (1/K) sum over items i of p_ui I_i, the surprisal of Zhou et al. (PNAS 107(10), 2010). 0 bits: every training user
    has rated all of them. NaN for a task with K candidates or fewer. More is not better as such: a random list is
    novel.

    Args:
        likely: what `chosen` returned, (T, C).
        information: of each item, (C,).
        k: the cut-off K.
    """
    value = (likely.double() @ information) / k
    return value.masked_fill(~likely.any(1), torch.nan)
