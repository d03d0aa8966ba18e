"""Losses of a task: of single rows, with the derivatives that hand-written engines need, and of pairs of rows."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarec.data.tasks import Rows
from metarec.errors import InputError
from metarec.messages import one_of

LossName = Literal["squared_error", "absolute_error", "binary_cross_entropy", "bpr"]


class RowLoss(NamedTuple):
    """A loss of one row, as functions of score and target, element by element.

    Attributes:
        name: what configurations call it.
        value: the loss, >= 0.
        slope: its first derivative with respect to the score.
        curvature: its second derivative.
        expected: the rating that a score stands for, element by element.
        of_clicks: whether targets must lie in [0, 1].
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor]
    expected: Callable[[Tensor], Tensor] = lambda score: score
    of_clicks: bool = False

    def of_tasks(self, score: Tensor, rows: Rows, shrinkage: float = 0.0) -> Tensor:
        """Mean loss of each task over its real rows, shape (T,).

        Args:
            score: scores, (T, R).
            rows: the true ones, (T, R).
            shrinkage: rows without loss that are counted as well; the fewer rows a task has, the less it weighs.
        """
        loss = self.value(score, rows.rating).masked_fill(~rows.mask, 0.0)
        counts = rows.mask.sum(dim=1, dtype=loss.dtype)
        return loss.sum(dim=1) / (counts + shrinkage).clamp(min=1)


class PairLoss(NamedTuple):
    """A loss of two rows of a task, a click and a row without one, as a function of how much higher the click scores.

    Attributes:
        name: what configurations call it.
        value: the loss, >= 0, of differences of scores, element by element.
        expected: the rating that a score stands for, element by element.
        of_clicks: whether targets must lie in [0, 1].
    """

    name: str
    value: Callable[[Tensor], Tensor]
    expected: Callable[[Tensor], Tensor] = torch.sigmoid
    of_clicks: bool = True

    def of_tasks(self, score: Tensor, rows: Rows, shrinkage: float = 0.0) -> Tensor:
        """Mean loss of each task over its pairs of a row rated above 0 and one rated 0, shape (T,); 0 without a pair.

        Memory: 4 T P N bytes a few times over, with P and N the most rows of either kind that a task has.

        Args:
            score: scores, (T, R).
            rows: the true ones, (T, R).
            shrinkage: c makes n / (n + c) of a mean over the pairs of n rows, as the c rows without loss of a
                `RowLoss` do.
        """
        clicked, click = _packed(score, rows.mask & (rows.rating > 0))
        other, none = _packed(score, rows.mask & (rows.rating <= 0))
        pair = click.unsqueeze(2) & none.unsqueeze(1)
        loss = self.value(clicked.unsqueeze(2) - other.unsqueeze(1)).masked_fill(~pair, 0.0).sum(dim=(1, 2))
        counts = rows.mask.sum(dim=1, dtype=loss.dtype)
        return loss / pair.sum(dim=(1, 2)).clamp(min=1) * (counts / (counts + shrinkage).clamp(min=1))


class WeightedLoss(NamedTuple):
    """A loss of one row whose rows count by weight, of one batch of tasks.

    Attributes:
        name: what configurations call the loss of one row.
        value: that loss, >= 0.
        weight: of each row, >= 0, and 0 where padded, (T, R).
        expected: the rating that a score stands for, element by element.
        of_clicks: whether targets must lie in [0, 1].
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    expected: Callable[[Tensor], Tensor]
    of_clicks: bool

    def of_tasks(self, score: Tensor, rows: Rows, shrinkage: float = 0.0) -> Tensor:
        """Weighted sum of each task's losses over the sum of weights and `shrinkage`, (T,); see `RowLoss.of_tasks`.

        A row of weight 2 counts as two rows; where all weights are 1, this is the loss of `RowLoss`.

        Args:
            score: scores, (T, R).
            rows: the true ones, (T, R).
            shrinkage: weight of rows without loss that are counted as well.
        """
        loss = self.value(score, rows.rating).masked_fill(~rows.mask, 0.0) * self.weight
        return loss.sum(dim=1) / (self.weight.sum(dim=1) + shrinkage).clamp(min=1e-12)


Loss = RowLoss | PairLoss | WeightedLoss
"""What all are for: `of_tasks`, one number a task; `expected`; whether the loss is one `of_clicks`."""


def weighted(loss: RowLoss, weight: Tensor) -> WeightedLoss:
    """The loss of one row with a weight (T, R) for each row."""
    return WeightedLoss(loss.name, loss.value, weight, loss.expected, loss.of_clicks)


def _packed(score: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen scores of each task side by side, in their order, and which of the columns are real; both (T, P)."""
    width = int(chosen.sum(dim=1).max())
    place = chosen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :width]
    return score.gather(1, place), chosen.gather(1, place)


def shares(rows: Rows, shrinkage: float = 0.0) -> Tensor:
    """The weight of each row in its task's mean loss, (T, R); 0 where padded."""
    counts = rows.mask.sum(dim=1, keepdim=True, dtype=rows.rating.dtype)
    return rows.mask / (counts + shrinkage if shrinkage else counts).clamp_(min=1)


SQUARED_ERROR = RowLoss(
    "squared_error",
    lambda score, target: (score - target).square(),
    lambda score, target: (score - target).mul_(2.0),
    lambda score, target: torch.full_like(score, 2.0),
)
"""For ratings: (score - target)^2, in rating units squared."""

ABSOLUTE_ERROR = RowLoss(
    "absolute_error",
    lambda score, target: (score - target).abs(),
    lambda score, target: (score - target).sign(),
    lambda score, target: torch.zeros_like(score),
)
"""For ratings, where the mean absolute error is what counts: |score - target|, in rating units."""

BINARY_CROSS_ENTROPY = RowLoss(
    "binary_cross_entropy",
    lambda score, target: functional.binary_cross_entropy_with_logits(score, target, reduction="none"),
    lambda score, target: score.sigmoid() - target,
    lambda score, target: score.sigmoid() * (1.0 - score.sigmoid()),
    expected=torch.sigmoid,
    of_clicks=True,
)
"""For targets in [0, 1], such as clicked or not; the score is a logit."""

BPR = PairLoss("bpr", lambda difference: -functional.logsigmoid(difference))
"""Bayesian personalised ranking, for clicks (Rendle et al., UAI 2009, arXiv 1205.2618, section 4.1).

The loss of a row p with a click and a row q without one, both of the same set of one task, is softplus(s_q - s_p) =
-log sigmoid(s_p - s_q). Divided by log 2, its mean bounds 1 - AUC, the share of pairs in the wrong order, from above.
Only differences of scores count, so that they have no level. Deviations: the paper draws one pair a step, here all
pairs of a set count; its prior on the parameters is the optimizer's weight decay.
"""


def loss_named(name: str) -> Loss:
    """The loss of that name.

    Raises:
        InputError: there is none.
    """
    losses: list[Loss] = [SQUARED_ERROR, ABSOLUTE_ERROR, BINARY_CROSS_ENTROPY, BPR]
    return one_of("loss", name, {loss.name: loss for loss in losses})


def error_named(name: str, why: str) -> Loss:
    """The loss of that name, for what can only be trained on errors of ratings.

    Args:
        name: of the loss.
        why: the reason, for the error.

    Raises:
        InputError: there is no such loss, or its scores are no ratings.
    """
    loss = loss_named(name)
    if loss.of_clicks:
        raise InputError(f"loss {name}: {why}; give squared_error or absolute_error")
    return loss


def require_clicks(asking: str, scale: tuple[float, float]) -> None:
    """Refuse ratings that cannot stand for clicks.

    Args:
        asking: who needs clicks, for the error.
        scale: lowest and highest rating.

    Raises:
        InputError: the scale leaves [0, 1].
    """
    if not 0 <= scale[0] <= scale[1] <= 1:
        raise InputError(
            f"{asking}: ratings in {list(scale)}; give targets in [0, 1], as metarec.data.sources.clicks makes them"
        )
