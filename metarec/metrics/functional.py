"""Errors, nDCG and AUC as pure functions: padded tasks in, one value per task out.

All functions take ``prediction`` and ``target`` of shape (T, Q) and a boolean ``mask`` of shape (T, Q)
whose False entries are padding. Padding may hold anything, NaN included, without effect. The result has
shape (T,).

Everything is computed in float64, whatever comes in: half precision is exact on the way up, autocast leaves
float64 alone, and sums over ranks stay within 1e-12 of the closed forms.

A task's value is NaN, never a silent number, where it has none:

* no query row;
* a prediction or a target inside the mask that is NaN or infinite;
* nDCG only: Q <= K query rows, where nothing is cut off and the figure would flatter every method; a negative
  rating, which is no gain; an ideal DCG of zero;
* AUC only: no relevant row, or none that is not.
"""

from typing import Literal

import torch
from torch import Tensor

from metarec.metrics.padded import check_k, masked, or_nan, standing

Gain = Literal["linear", "exponential"]
"""What a rating r is worth in DCG: r, or 2^r - 1."""


def mae(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of each task: (1/Q) sum_q abs(prediction_q - target_q).

    Args:
        prediction: predicted ratings, shape (T, Q).
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.

    Returns:
        Shape (T,), float64, >= 0; NaN for a task without rows or with a value that is not finite.

    Raises:
        ValueError: if the shapes differ, are not (T, Q), or the mask is not boolean.

    Example:
        >>> prediction, target = torch.tensor([[4.0, 1.0, 9.0]]), torch.tensor([[5.0, 3.0, 0.0]])
        >>> mae(prediction, target, mask=torch.tensor([[True, True, False]]))
        tensor([1.5000], dtype=torch.float64)
    """
    score, rating, valid = masked(prediction, target, mask)
    return or_nan(valid, (score - rating).abs().sum(1) / mask.sum(1))


def rmse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Root mean squared error of each task: sqrt((1/Q) sum_q (prediction_q - target_q)^2).

    The mean over tasks of this value (macro) is not the root of the mean over ratings (micro).

    Args:
        prediction: predicted ratings, shape (T, Q).
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.

    Returns:
        Shape (T,), float64, >= 0; NaN for a task without rows or with a value that is not finite.

    Raises:
        ValueError: if the shapes differ, are not (T, Q), or the mask is not boolean.

    Example:
        >>> prediction, target = torch.tensor([[4.0, 1.0, 9.0]]), torch.tensor([[5.0, 3.0, 0.0]])
        >>> rmse(prediction, target, mask=torch.tensor([[True, True, False]]))
        tensor([1.5811], dtype=torch.float64)
    """
    score, rating, valid = masked(prediction, target, mask)
    return or_nan(valid, ((score - rating).square().sum(1) / mask.sum(1)).sqrt())


def ndcg(prediction: Tensor, target: Tensor, mask: Tensor, k: int, gain: Gain) -> Tensor:
    """Normalised discounted cumulative gain at K of each task, among its own query items.

    DCG@K = sum_{rank=1..K} gain(rating at rank) / log2(1 + rank), divided by the DCG@K of the same query
    items in their best order (Järvelin and Kekäläinen, ACM TOIS 20(4), 2002). Tied predictions are scored by
    expectation: each row of a tie gets the mean discount of the ranks which the tie covers (McSherry and
    Najork, ECIR 2008), as in scikit-learn with ``ignore_ties=False``. A constant prediction therefore scores
    ``chance_ndcg``. Predictions are compared in the precision they come in: bf16 ties more of them.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings >= 0, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        gain: ``"linear"`` (r) or ``"exponential"`` (2^r - 1, Burges et al., ICML 2005). They are different
            metrics: name the one used wherever the number is printed.

    Returns:
        Shape (T,), float64, in [0, 1] up to rounding. NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k or gain is not allowed, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[3.0, 2.0, 1.0]])
        >>> ndcg(prediction, target, torch.ones(1, 3, dtype=torch.bool), k=2, gain="linear")
        tensor([0.8520], dtype=torch.float64)
    """
    check_cutoff(k, gain)
    score, rating, valid = masked(prediction, target, mask)
    before, upto = standing(score, mask)
    summed = torch.cat([score.new_zeros(1), _discounts(score, k).cumsum(0)])
    share = (summed[upto] - summed[before]) / (upto - before)
    gains = _gains(rating, gain)
    return _normalised((gains * share).sum(1), gains, rating, mask, valid, k)


def chance_ndcg(target: Tensor, mask: Tensor, k: int, gain: Gain) -> Tensor:
    """Expected nDCG at K of a uniformly random order of each task's query items.

    Every rank holds every item equally often, so E[DCG@K] = mean gain * sum_{rank=1..K} 1 / log2(1 + rank);
    the ideal DCG is that of ``ndcg``. Among ten rated items this is far from zero: print it beside every
    nDCG.

    Args:
        target: true ratings >= 0, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        gain: ``"linear"`` or ``"exponential"``.

    Returns:
        Shape (T,), float64, in (0, 1]; NaN by the same rules as ``ndcg``.

    Raises:
        ValueError: if k or gain is not allowed, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> target, mask = torch.tensor([[3.0, 2.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool)
        >>> chance_ndcg(target, mask, k=2, gain="linear")
        tensor([0.7654], dtype=torch.float64)
    """
    check_cutoff(k, gain)
    _, rating, valid = masked(target, target, mask)
    gains = _gains(rating, gain)
    expected = gains.sum(1) / mask.sum(1) * _discounts(gains, k).sum()
    return _normalised(expected, gains, rating, mask, valid, k)


def auc(prediction: Tensor, target: Tensor, mask: Tensor, relevant: float = 1.0) -> Tensor:
    """Area under the ROC curve of each task: how likely a relevant row is scored above one that is not.

    (1/PN) sum over relevant p and other n of [s_p > s_n] + [s_p = s_n] / 2, by the ranks of the relevant rows, where
    tied rows share their mean rank (Mann and Whitney, Ann. Math. Statist. 18(1), 1947). Chance is 1/2. Predictions
    are compared in the precision they come in: bf16 ties more of them.

    Where the rows that are not relevant are drawn evenly from a catalogue, this is an unbiased estimate of the AUC over
    the catalogue. Of nDCG, hit rate and other metrics of the top the same is not true: on sampled rows they can even
    order methods the other way round (Krichene and Rendle, KDD 2020).

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        relevant: the lowest rating of a relevant row.

    Returns:
        Shape (T,), float64, in [0, 1]. NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.3, 0.2, 0.1, 0.2]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        >>> auc(prediction, target, torch.ones(1, 4, dtype=torch.bool))
        tensor([0.8750], dtype=torch.float64)
    """
    score, rating, valid = masked(prediction, target, mask)
    ordered = score.masked_fill(~mask, torch.inf).sort(1).values
    rank = (torch.searchsorted(ordered, score) + torch.searchsorted(ordered, score, right=True) + 1) / 2.0
    chosen = mask & (rating >= relevant)
    hits = chosen.sum(1).double()
    pairs = hits * (mask.sum(1) - hits)
    above = rank.double().masked_fill(~chosen, 0.0).sum(1) - hits * (hits + 1) / 2
    return or_nan(valid, above / pairs)  # without a pair 0 / 0, which is NaN as well


def check_cutoff(k: int, gain: str) -> None:
    """Refuse a cut-off or a gain that nDCG does not have.

    Raises:
        ValueError: if k is not an integer >= 1, or gain is neither ``"linear"`` nor ``"exponential"``.
    """
    check_k(k)
    if gain not in ("linear", "exponential"):
        raise ValueError(f"nDCG got gain={gain!r}; give 'linear' (a rating r gains r) or 'exponential' (2^r - 1)")


def _gains(rating: Tensor, gain: Gain) -> Tensor:
    """What each rating is worth; a rating of 0, hence padding, is worth 0 under both gains."""
    return rating if gain == "linear" else rating.exp2() - 1


def _discounts(like: Tensor, k: int) -> Tensor:
    """1 / log2(1 + rank) for the ranks 1..Q of ``like`` (T, Q), zero beyond rank K; shape (Q,)."""
    rank = torch.arange(1, like.shape[1] + 1, dtype=torch.float64, device=like.device)
    return torch.where(rank <= k, 1 / torch.log2(1 + rank), 0.0)


def _normalised(dcg: Tensor, gains: Tensor, rating: Tensor, mask: Tensor, valid: Tensor, k: int) -> Tensor:
    """DCG divided by its ideal, NaN for the tasks for which the ratio says nothing."""
    ideal = (gains.sort(1, descending=True).values * _discounts(gains, k)).sum(1)
    decided = (mask.sum(1) > k) & (rating >= 0).all(1) & (ideal > 0)
    return or_nan(valid & decided, dcg / ideal)
