"""Losses of a task, with the derivatives that hand-written engines need."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarec.data.tasks import Rows
from metarec.messages import one_of

LossName = Literal["squared_error", "absolute_error", "binary_cross_entropy"]


class Loss(NamedTuple):
    """A loss of one row, as functions of score and target, element by element.

    Attributes:
        value: the loss, >= 0.
        slope: its first derivative with respect to the score.
        curvature: its second derivative.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    curvature: Callable[[Tensor, Tensor], Tensor]

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


def shares(rows: Rows, shrinkage: float = 0.0) -> Tensor:
    """The weight of each row in its task's mean loss, (T, R); 0 where padded."""
    counts = rows.mask.sum(dim=1, keepdim=True, dtype=rows.rating.dtype)
    return rows.mask / (counts + shrinkage if shrinkage else counts).clamp_(min=1)


SQUARED_ERROR = Loss(
    lambda score, target: (score - target).square(),
    lambda score, target: (score - target).mul_(2.0),
    lambda score, target: torch.full_like(score, 2.0),
)
"""For ratings: (score - target)^2, in rating units squared."""

ABSOLUTE_ERROR = Loss(
    lambda score, target: (score - target).abs(),
    lambda score, target: (score - target).sign(),
    lambda score, target: torch.zeros_like(score),
)
"""For ratings, where the mean absolute error is what counts: |score - target|, in rating units."""

BINARY_CROSS_ENTROPY = Loss(
    lambda score, target: functional.binary_cross_entropy_with_logits(score, target, reduction="none"),
    lambda score, target: score.sigmoid() - target,
    lambda score, target: score.sigmoid() * (1.0 - score.sigmoid()),
)
"""For targets in [0, 1], such as seen or not; the score is a logit."""


def loss_named(name: str) -> Loss:
    """The loss of that name.

    Raises:
        InputError: there is none.
    """
    losses = {
        "squared_error": SQUARED_ERROR,
        "absolute_error": ABSOLUTE_ERROR,
        "binary_cross_entropy": BINARY_CROSS_ENTROPY,
    }
    return one_of("loss", name, losses)
