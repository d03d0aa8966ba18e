"""Metrics of the top K from ranks alone, whatever they are ranks among: a query set, or a whole catalogue.

Ties are scored by expectation over all orders of the tied candidates, in closed form (McSherry and Najork, ECIR 2008).
With b candidates above a row and g tied with it, itself included, its rank is one of b + 1 .. b + g, each equally
likely; of these ranks, ``m = min(b + g, K) - min(b, K)`` are among the top K. Where all candidates are tied, each value
is therefore that of chance, exactly: a random order scores it on average.

A task's value is NaN where it is not sound, has no relevant candidate, or has K candidates or fewer: nothing would be
cut off, and every figure would flatter.

All functions take the `Ranks` of T tasks and a cut-off K >= 1, and return shape (T,), float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from metarec.metrics.padded import or_nan


class Ranks(NamedTuple):
    """Where the relevant rows of T tasks stand among all candidates.

    Attributes:
        above: b, how many candidates stand above each row, (T, Q), int64.
        tied: g, how many are tied with it, itself included, >= 1 for a relevant row, (T, Q), int64.
        relevant: which rows are relevant candidates, (T, Q), bool; what stands in the others means nothing.
        candidates: how many candidates there are, (T,), int64.
        sound: which tasks have finite scores, (T,), bool.
    """

    above: Tensor
    tied: Tensor
    relevant: Tensor
    candidates: Tensor
    sound: Tensor


def by_chance(ranks: Ranks) -> Ranks:
    """The same tasks with all candidates tied; each metric of it is the expectation over random orders."""
    tied = ranks.candidates[:, None].expand_as(ranks.above)
    return ranks._replace(above=torch.zeros_like(ranks.above), tied=tied)


def precision(ranks: Ranks, k: int) -> Tensor:
    """Share of the top K that is relevant: sum over relevant rows of m / g, over K. By chance R / C."""
    return _decided(ranks, k, _hits(ranks, k) / k)


def recall(ranks: Ranks, k: int) -> Tensor:
    """Share of the R relevant rows that is in the top K: sum over them of m / g, over R. By chance K / C."""
    return _decided(ranks, k, _hits(ranks, k) / ranks.relevant.sum(1))


def hit(ranks: Ranks, k: int) -> Tensor:
    """Whether a relevant row is in the top K; under ties, how likely. By chance 1 - C(C - R, K) / C(C, K)."""
    return _decided(ranks, k, _first(ranks, k)[0].sum(1))


def reciprocal_rank(ranks: Ranks, k: int) -> Tensor:
    """One over the rank of the first relevant row, 0 if that is beyond K; under ties, its expectation."""
    likely, rank = _first(ranks, k)
    return _decided(ranks, k, (likely / rank).sum(1))


def average_precision(ranks: Ranks, k: int) -> Tensor:
    """(1 / min(R, K)) sum over ranks n = 1..K that hold a relevant row of the precision among the first n.

    A relevant row with A relevant rows above it and r among its g tied ones, itself included, stands at its tie's j-th
    place with probability 1/g, and then has A + (r - 1) (j - 1) / (g - 1) relevant ones before it on average. Divided
    by the rank b + j and summed over the places inside the top K, with S = sum_j 1 / (b + j), that is

        ((1 + A) S + (r - 1) / (g - 1) (m - (b + 1) S)) / g.
    """
    start, stop = _ends(ranks, k)
    one_over = 1 / torch.arange(1, k + 1, dtype=torch.float64, device=start.device)
    summed = _from_zero(one_over)
    series = summed[stop] - summed[start]
    before, among = _relevant_around(ranks)
    slope = (among - 1).double() / (ranks.tied - 1).clamp(min=1)
    value = ((1 + before) * series + slope * (stop - start - (ranks.above + 1) * series)) / ranks.tied.clamp(min=1)
    best = ranks.relevant.sum(1).clamp(max=k)
    return _decided(ranks, k, value.masked_fill(~ranks.relevant, 0.0).sum(1) / best)


def ndcg(ranks: Ranks, k: int) -> Tensor:
    """NDCG with the gain 1 for a relevant row and 0 for any other, where r and 2^r - 1 are the same.

    DCG@K = sum over ranks n = 1..K that hold a relevant row of 1 / log2(1 + n), divided by that of all R relevant rows
    at the top.
    """
    start, stop = _ends(ranks, k)
    rank = torch.arange(1, k + 1, dtype=torch.float64, device=start.device)
    summed = _from_zero(1 / torch.log2(1 + rank))
    share = (summed[stop] - summed[start]) / ranks.tied.clamp(min=1)
    best = summed[ranks.relevant.sum(1).clamp(max=k)]
    return _decided(ranks, k, share.masked_fill(~ranks.relevant, 0.0).sum(1) / best)


def _decided(ranks: Ranks, k: int, value: Tensor) -> Tensor:
    """The values, NaN for the tasks for which they say nothing."""
    return or_nan(ranks.sound & (ranks.candidates > k) & ranks.relevant.any(1), value)


def _ends(ranks: Ranks, k: int) -> tuple[Tensor, Tensor]:
    """The ranks that each row's tie covers, cut at K, are those from the first number + 1 to the second, (T, Q)."""
    return ranks.above.clamp(max=k), (ranks.above + ranks.tied).clamp(max=k)


def _from_zero(terms: Tensor) -> Tensor:
    """Sums of the first 0, 1, .. K terms, (K + 1,)."""
    return torch.cat([terms.new_zeros(1), terms.cumsum(0)])


def _hits(ranks: Ranks, k: int) -> Tensor:
    """How many relevant rows are in the top K on average, (T,)."""
    start, stop = _ends(ranks, k)
    share = (stop - start).double() / ranks.tied.clamp(min=1)
    return share.masked_fill(~ranks.relevant, 0.0).sum(1)


def _first(ranks: Ranks, k: int) -> tuple[Tensor, Tensor]:
    """How likely the first relevant row is at the j-th place of its tie, inside the top K, and its rank there; (T, J).

    Its tie of g candidates, r of them relevant, has none of these among its first j - 1 with probability
    prod_{i < j} (g - i + 1 - r) / (g - i + 1), and the next one is relevant with r / (g - j + 1). J is the size of the
    largest such tie, K at most: 1 where there are none.
    """
    start, row = pad(ranks.above.masked_fill(~ranks.relevant, k), (0, 1), value=k).min(1, keepdim=True)
    relevant = (ranks.relevant & (ranks.above == start)).sum(1, keepdim=True)
    tied = pad(ranks.tied, (0, 1)).gather(1, row)
    places = min(k, int(tied.max())) if len(tied) else 1
    place = torch.arange(1, places + 1, device=start.device)
    left = (tied - place + 1).clamp(min=1)
    none = ((left - relevant).clamp(min=0) / left.double()).cumprod(1).roll(1, 1)
    none[:, :1] = 1
    rank = start + place
    inside = (place <= tied) & (rank <= k)
    return (none * relevant / left).masked_fill(~inside, 0.0), rank


def _relevant_around(ranks: Ranks) -> tuple[Tensor, Tensor]:
    """How many relevant rows stand above each row, and how many are tied with it, itself included, (T, Q)."""
    place = ranks.above.masked_fill(~ranks.relevant, torch.iinfo(torch.int64).max)
    ordered = place.sort(1).values
    before = torch.searchsorted(ordered, place)
    return before, torch.searchsorted(ordered, place, right=True) - before
