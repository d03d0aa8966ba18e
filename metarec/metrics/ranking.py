"""Metrics of the top K among a task's own query items, as pure functions: padded tasks in, one value per task out.

All take ``prediction`` and ``target`` (T, Q), a boolean ``mask`` (T, Q) whose False entries are padding and may hold
anything, the cut-off K, and the lowest rating of a relevant row. They return shape (T,), float64, in [0, 1]. Ties are
scored by expectation, so a constant prediction scores chance, which is not small among ten items: print such a row.

A task's value is NaN, never a silent number, where it has none: no relevant row; Q <= K query rows, where nothing is
cut off and the figure would flatter every method; a prediction or target inside the mask that is NaN or infinite.

The formulas, ties included, are those of `metarec.metrics.ranks`. Predictions are compared in the precision they come
in: bf16 ties more of them.
"""

from torch import Tensor

from metarec.metrics import ranks
from metarec.metrics.padded import check_k, masked, standing
from metarec.metrics.ranks import Ranks

RELEVANT = 4.0
"""The lowest rating of a relevant item on the scale 1 to 5."""


def query_ranks(prediction: Tensor, target: Tensor, mask: Tensor, relevant: float = RELEVANT) -> Ranks:
    """Where the relevant rows stand among the query rows of their task.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        relevant: the lowest rating of a relevant row.

    Raises:
        ValueError: if the shapes differ, are not (T, Q), or the mask is not boolean.
    """
    score, rating, sound = masked(prediction, target, mask)
    above, upto = standing(score, mask)
    return Ranks(above, upto - above, mask & (rating >= relevant), mask.sum(1), sound)


def precision(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """Precision at K of each task: the share of its K best scored query items that is relevant.

    By chance, R of Q rows being relevant, R / Q, whatever K is.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 1.0]])
        >>> precision(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=2)
        tensor([0.5000], dtype=torch.float64)
    """
    check_k(k)
    return ranks.precision(query_ranks(prediction, target, mask, relevant), k)


def recall(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """Recall at K of each task: the share of its R relevant query items that is among the K best scored ones.

    By chance K / Q. With R > K it cannot reach 1.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 4.0]])
        >>> recall(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=2)
        tensor([0.3333], dtype=torch.float64)
    """
    check_k(k)
    return ranks.recall(query_ranks(prediction, target, mask, relevant), k)


def hit_rate(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """Hit at K of each task: 1 if a relevant query item is among the K best scored ones, else 0.

    Under ties across the cut-off, how likely that is. By chance 1 - C(Q - R, K) / C(Q, K): .98 with half of ten items
    relevant and K = 4.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.2, 0.2, 0.1]]), torch.tensor([[1.0, 2.0, 4.0, 1.0]])
        >>> hit_rate(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=2)
        tensor([0.5000], dtype=torch.float64)
    """
    check_k(k)
    return ranks.hit(query_ranks(prediction, target, mask, relevant), k)


def reciprocal_rank(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """Reciprocal rank at K of each task: 1 / rank of its best scored relevant query item, 0 beyond rank K.

    Its mean over tasks is the MRR (Voorhees, TREC-8, 1999). Under ties the expectation of 1 / rank, which is not
    1 / expected rank. By chance sum_{n=1..K} C(Q - n, R - 1) / C(Q, R) / n.

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[1.0, 4.0, 4.0, 1.0]])
        >>> reciprocal_rank(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3)
        tensor([0.5000], dtype=torch.float64)
    """
    check_k(k)
    return ranks.reciprocal_rank(query_ranks(prediction, target, mask, relevant), k)


def average_precision(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """Average precision at K of each task: (1 / min(R, K)) sum over ranks n <= K with a relevant item of precision@n.

    Its mean over tasks is the MAP. The divisor is the number of relevant items that the top K could hold, so that a
    perfect order scores 1; some divide by R, torchmetrics 1.9 by the number of relevant items that the top K does hold.
    By chance, with H_K = sum_{n=1..K} 1/n, (R / (Q min(R, K))) (H_K + (R - 1) / (Q - 1) (K - H_K)).

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 1.0, 4.0, 1.0]])
        >>> average_precision(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3)
        tensor([0.8333], dtype=torch.float64)
    """
    check_k(k)
    return ranks.average_precision(query_ranks(prediction, target, mask, relevant), k)


def binary_ndcg(prediction: Tensor, target: Tensor, mask: Tensor, k: int, relevant: float = RELEVANT) -> Tensor:
    """NDCG at K of each task with the gain 1 for a relevant query item and 0 for any other, whatever its rating.

    What RecBole calls nDCG. By chance R / Q sum_{n=1..K} 1 / log2(1 + n) / sum_{n=1..min(K, R)} 1 / log2(1 + n).

    Args:
        prediction: scores, shape (T, Q); only their order matters.
        target: true ratings, shape (T, Q).
        mask: False = padding, shape (T, Q), bool.
        k: the cut-off K >= 1.
        relevant: the lowest rating of a relevant row; the default is for ratings of 1 to 5.

    Returns:
        Shape (T,), float64, in [0, 1]; NaN for a task without a value: see the module's rules.

    Raises:
        ValueError: if k is no cut-off, the shapes differ or are not (T, Q), or the mask is not bool.

    Example:
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[5.0, 2.0, 4.0, 1.0]])
        >>> binary_ndcg(prediction, target, torch.ones(1, 4, dtype=torch.bool), k=3)
        tensor([0.9197], dtype=torch.float64)
    """
    check_k(k)
    return ranks.ndcg(query_ranks(prediction, target, mask, relevant), k)
