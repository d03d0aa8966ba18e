"""Metrics of the top K among a task's query items, of which those with the M largest ratings are relevant.

What RecBole-MetaRec reports of ratings, with M = K = 5 among ten query items: its ``MetaCollector.py`` calls the
positions of the five largest labels relevant, and RecBole computes precision, recall, hit, nDCG and MRR from those. So
many rows are relevant whatever the ratings are, and chance is high: with M = K = 5 of ten .5, .5, .996, .5 and .704.

Ratings on a scale of five tie, and the M-th largest is seldom the only one of its value. RecBole-MetaRec leaves both
kinds of ties to ``torch.topk``, which promises no order among equals. Here they are scored by expectation: of the g
rows that tie for the last m places among the M largest, any m are relevant, with equal probability; rows with equal
predictions stand in any order, independently of it. Neither the order of the rows nor padding matters then.

Arguments and shapes are those of `metarec.metrics.ranking`, with M in place of the lowest relevant rating. A task's
value is NaN where it has none: M query rows or fewer, of which all are relevant; K or fewer, where nothing is cut off;
a prediction or target inside the mask that is NaN or infinite.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from metarec.metrics.chances import drawn
from metarec.metrics.padded import check_k, masked, or_nan, standing


class Largest(NamedTuple):
    """Where T tasks' query rows stand, by prediction and by rating.

    Attributes:
        above: how many rows are predicted above each row, (T, Q), int64.
        upto: how many are predicted above it or as high, itself included, (T, Q), int64.
        likely: how likely each row is among the M largest ratings, (T, Q), float64; 0 for padding.
        decided: which tasks have a value, (T,), bool.
    """

    above: Tensor
    upto: Tensor
    likely: Tensor
    decided: Tensor


def largest(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Largest:
    """Where the rows stand.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q); only their order matters.
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        most: M >= 1, how many of the largest ratings are relevant.

    Raises:
        ValueError: if k or most is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.
    """
    check_k(k)
    check_k(most)
    score, rating, sound = masked(prediction, target, mask)
    larger, upto = standing(rating, mask)
    likely = ((most - larger).clamp(min=0).double() / (upto - larger)).clamp(max=1.0).masked_fill(~mask, 0.0)
    return Largest(*standing(score, mask), likely, sound & (mask.sum(1) > max(k, most)))


def precision(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Tensor:
    """Precision at K: the share of the K best scored query items that is among those with the M largest ratings.

    By chance M / Q. With M = K it is the recall, too.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q); only their order matters.
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        most: M >= 1, how many of the largest ratings are relevant.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k or most is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 4.0]])
        >>> precision(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3, most=2)
        tensor([0.5000], dtype=torch.float64)
    """
    found = largest(prediction, target, mask, k, most)
    return or_nan(found.decided, _hits(found, k) / k)


def recall(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Tensor:
    """Recall at K: the share of the query items with the M largest ratings that is among the K best scored ones.

    By chance K / Q. Arguments, result and errors as in `precision`.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 4.0]])
        >>> recall(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3, most=2)
        tensor([0.7500], dtype=torch.float64)
    """
    found = largest(prediction, target, mask, k, most)
    return or_nan(found.decided, _hits(found, k) / most)


def ndcg(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Tensor:
    """NDCG at K with the gain 1 for the query items with the M largest ratings and 0 for the others.

    By chance M / Q sum_{n=1..K} 1 / log2(1 + n) / sum_{n=1..min(K, M)} 1 / log2(1 + n). Arguments, result and errors as
    in `precision`.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 4.0]])
        >>> ndcg(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3, most=2)
        tensor([0.7664], dtype=torch.float64)
    """
    found = largest(prediction, target, mask, k, most)
    rank = torch.arange(1, k + 1, dtype=torch.float64, device=mask.device)
    summed = torch.cat([rank.new_zeros(1), (1 / torch.log2(1 + rank)).cumsum(0)])
    discounts = summed[found.upto.clamp(max=k)] - summed[found.above.clamp(max=k)]
    return or_nan(found.decided, _over_ties(found, discounts) / summed[min(k, most)])


def hit(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Tensor:
    """Hit at K: how likely one of the K best scored query items is among those with the M largest ratings.

    By chance 1 - C(Q - M, K) / C(Q, K). Arguments, result and errors as in `precision`.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[2.0, 4.0, 4.0, 5.0]])
        >>> hit(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=2, most=2)
        tensor([0.5000], dtype=torch.float64)
    """
    found = largest(prediction, target, mask, k, most)
    return or_nan(found.decided, 1 - _none(found, k, most)[:, -1])


def reciprocal_rank(prediction: Tensor, target: Tensor, mask: Tensor, k: int, most: int) -> Tensor:
    """Reciprocal rank at K: 1 / rank of the best scored query item among those with the M largest ratings, or 0.

    By chance sum_{n=1..K} C(Q - n, M - 1) / C(Q, M) / n. Arguments, result and errors as in `precision`.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[2.0, 4.0, 4.0, 5.0]])
        >>> reciprocal_rank(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3, most=2)
        tensor([0.4167], dtype=torch.float64)
    """
    found = largest(prediction, target, mask, k, most)
    rank = torch.arange(1, k + 1, dtype=torch.float64, device=mask.device)
    return or_nan(found.decided, (-_none(found, k, most).diff(dim=1) / rank).sum(1))


def _hits(found: Largest, k: int) -> Tensor:
    """How many of the M largest are among the K best scored ones on average, (T,)."""
    return _over_ties(found, (found.upto.clamp(max=k) - found.above.clamp(max=k)).double())


def _over_ties(found: Largest, worth: Tensor) -> Tensor:
    """Sum over rows of what the ranks that their tie covers are worth on average, if they are relevant, (T,)."""
    return (worth / (found.upto - found.above) * found.likely).masked_fill(found.likely == 0, 0.0).sum(1)


def _none(found: Largest, k: int, most: int) -> Tensor:
    """How likely none of the n best scored rows is among the M largest, for n = 0..K, (T, K + 1).

    Of the t rows that tie for the n-th place, j are among the first n. Let a of the t be surely relevant, b of them
    only perhaps, and let b' rows above the tie be perhaps relevant, and none surely. Then y of the b are relevant,
    and none of the b', with probability C(b, y) C(g - b' - b, m - y) / C(g, m), and j of t rows, of which a + y are
    relevant, hold none with C(t - a - y, j) / C(t, j).
    """
    if found.above.shape[1] <= k:  # no task has a value
        return found.likely.new_ones(len(found.likely), k + 1)
    start, stop = (places.sort(1).values[:, :k, None] for places in (found.above, found.upto))
    sure, perhaps = found.likely == 1, (found.likely > 0) & (found.likely < 1)
    surely_before, surely = _around(found.above, sure, start)
    before, among = _around(found.above, perhaps, start)
    left = (most - sure.sum(1))[:, None, None].clamp(min=0)
    size, place = stop - start, torch.arange(1, k + 1, device=start.device)[None, :, None] - start
    relevant = torch.arange(most + 1, device=start.device)
    none_before = drawn((among, before), (relevant, torch.zeros_like(before)), perhaps.sum(1)[:, None, None], left)
    free = drawn((surely + relevant,), (torch.zeros_like(surely),), size, place)
    likely = (none_before * free).nan_to_num().sum(2).masked_fill((surely_before > 0)[..., 0], 0.0)
    return torch.cat([torch.ones_like(likely[:, :1]), likely], 1)


def _around(above: Tensor, chosen: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the chosen rows stand above each tie that begins after `start` rows, and in it, (T, K, 1) each."""
    places = above.masked_fill(~chosen, torch.iinfo(torch.int64).max).sort(1).values
    ends = (torch.searchsorted(places, start[..., 0].contiguous(), right=right)[..., None] for right in (False, True))
    before, upto = ends
    return before, upto - before
