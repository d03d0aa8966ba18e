"""Metrics that match values of ratings, whatever the items: TaNP's precision and average precision at K.

A recommended item counts as a hit if its rating is one of the K largest ratings of the query set that no better
recommendation has used up, as in the authors' ``utils/scorer.py`` (github.com/IIEdm/TaNP, of Lin et al., WWW 2021,
arXiv 2103.06137). Any item of the same rating will do, so that chance is well above K / Q.

The order among equal predictions is that of ``torch.sort`` there, which promises none; here ties are scored by
expectation over all orders, in closed form. Arguments and shapes are those of `metarec.metrics.ranking`. A task's value
is NaN where it has none: K query rows or fewer, where the value is 1 whatever is predicted, and where the authors'
code counts such users; a prediction or target inside the mask that is NaN or infinite.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from metarec.metrics.chances import drawn
from metarec.metrics.padded import check_k, masked, or_nan, standing


def precision_values(prediction: Tensor, target: Tensor, mask: Tensor, k: int) -> Tensor:
    """Value-matching precision at K: how many of the K largest ratings the K best scored items hold, over K.

    (1/K) sum over values v of min(number of v among the K best scored, number of v among the K largest).

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[4.0, 2.0, 5.0, 4.0]])
        >>> precision_values(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=2)
        tensor([0.5000], dtype=torch.float64)
    """
    check_k(k)
    score, rating, sound = masked(prediction, target, mask)
    if score.shape[1] <= k:
        return or_nan(torch.zeros_like(sound), score.new_zeros(len(score)))
    return or_nan(sound & (mask.sum(1) > k), _mean(_hits(_board(score, rating, mask, k), k)) / k)


def map_values(prediction: Tensor, target: Tensor, mask: Tensor, k: int) -> Tensor:
    """Value-matching average precision at K: (1/K) sum over ranks n <= K that hit of the hits up to n, over n.

    With H_n the number of hits among the first n, H_n is H_{n-1} or one more, so that a hit at n adds
    H_n = (H_n^2 - H_{n-1}^2 + H_n - H_{n-1}) / 2, whose expectation over tied orders needs two moments.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[4.0, 2.0, 5.0, 4.0]])
        >>> map_values(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3)
        tensor([0.5556], dtype=torch.float64)
    """
    check_k(k)
    score, rating, sound = masked(prediction, target, mask)
    if score.shape[1] <= k:
        return or_nan(torch.zeros_like(sound), score.new_zeros(len(score)))
    board = _board(score, rating, mask, k)
    total = before = score.new_zeros(len(score))
    for rank in range(1, k + 1):
        hits = _hits(board, rank)
        moments = _mean(hits) + _mean_square(hits)
        total = total + (moments - before) / 2 / rank
        before = moments
    return or_nan(sound & (mask.sum(1) > k), total / k)


class Board(NamedTuple):
    """Where T tasks' query rows stand, and which values they have.

    Attributes:
        above: how many rows are predicted above each row, (T, Q).
        upto: how many are predicted above it or as high, itself included, (T, Q).
        same: which rows have each of the values that are among the K largest ratings, (T, V, Q), bool.
        quota: how often each value is among them, (T, V); 0 for tasks that have fewer of them.
    """

    above: Tensor
    upto: Tensor
    same: Tensor
    quota: Tensor


class Hits(NamedTuple):
    """What the first n of T tasks' recommendations hold of V values, of which one tie reaches beyond the n-th place.

    Attributes:
        before: how many of each value stand above that tie, (T, V).
        among: how many are in it, (T, V).
        quota: how many of each may count, (T, V).
        size: how many rows the tie has, (T, 1, 1).
        inside: how many of them are among the first n, (T, 1, 1).
    """

    before: Tensor
    among: Tensor
    quota: Tensor
    size: Tensor
    inside: Tensor


def _board(score: Tensor, rating: Tensor, mask: Tensor, k: int) -> Board:
    """Where the rows stand; there are more than K columns."""
    wanted = rating.masked_fill(~mask, -torch.inf).topk(k, dim=1).values
    equal = wanted[:, :, None] == wanted[:, None, :]
    quota = equal.sum(2).masked_fill(equal.tril(-1).any(2), 0)
    distinct = int((quota > 0).sum(1).max()) if len(quota) else 0
    first = (quota == 0).sort(dim=1, stable=True).indices[:, :distinct]
    same = mask[:, None, :] & (rating[:, None, :] == wanted.gather(1, first)[:, :, None])
    return Board(*standing(score, mask), same, quota.gather(1, first))


def _hits(board: Board, rank: int) -> Hits:
    """The hits of the first `rank` recommendations among the K largest ratings."""
    start, stop = (places.kthvalue(rank, 1).values[:, None, None] for places in (board.above, board.upto))
    place = board.above[:, None, :]
    before, among = (board.same & (place < start)).sum(2), (board.same & (place == start)).sum(2)
    return Hits(before, among, board.quota, stop - start, rank - start)


def _mean(hits: Hits) -> Tensor:
    """The expected number of hits, (T,)."""
    if _certain(hits):
        return torch.minimum(hits.before + hits.among, hits.quota).sum(1).double()
    count = _counts(hits)
    likely = drawn((hits.among[:, :, None],), (count,), hits.size, hits.inside)
    return (likely * _held(hits, count)).sum((1, 2))


def _mean_square(hits: Hits) -> Tensor:
    """The expected square of the number of hits, (T,), from those of each value and of each pair of values."""
    if _certain(hits):
        return _mean(hits).square()
    count = _counts(hits)
    held = _held(hits, count)
    single = drawn((hits.among[:, :, None],), (count,), hits.size, hits.inside) * held.square()
    one, other = hits.among[:, :, None, None, None], hits.among[:, None, :, None, None]
    size, inside = hits.size[..., None, None], hits.inside[..., None, None]
    both = drawn((one, other), (count[:, None], count[None, :]), size, inside)
    pairs = (both * held[:, :, None, :, None] * held[:, None, :, None, :]).sum((3, 4))
    return single.sum((1, 2)) + pairs.sum((1, 2)) - pairs.diagonal(dim1=1, dim2=2).sum(1)


def _certain(hits: Hits) -> bool:
    """Whether no tie reaches beyond the first n."""
    return bool((hits.inside == hits.size).all())


def _counts(hits: Hits) -> Tensor:
    """How many of a value the tie may give, 0 .. X, (X + 1,)."""
    return torch.arange(int(hits.inside.max()) + 1 if len(hits.inside) else 1, device=hits.inside.device)


def _held(hits: Hits, count: Tensor) -> Tensor:
    """The hits of each value if the tie gives so many of it, (T, V, X + 1), float64."""
    return torch.minimum(hits.before[:, :, None] + count, hits.quota[:, :, None]).double()
