"""A predictor without gradients, and what similar items in the support set add to it."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.neighbours import ResidualNeighbours
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import at_least
from metarec.nets.base import Net


class WithNeighbours(Algorithm):
    """A predictor, and neighbours that carry over to similar items what it leaves of the support set.

    With alternating least squares, factors and neighbours in one model (Koren, KDD 2008, section 5), each fitted by
    itself: what a method that learns to adapt around neighbours has to beat. Zero-shot, neighbours say nothing.

    Args:
        net: for both; given by the configuration.
        predictor: makes the predictor from the net.
        neighbours: makes the neighbours from the net.
        weight: of what they add, >= 0.

    Raises:
        InputError: the weight is out of range.
    """

    moves: ClassVar[str] = "what the predictor adapts, what it leaves of the support set"

    def __init__(
        self,
        net: Net,
        predictor: Callable[[Net], Algorithm],
        neighbours: Callable[[Net], ResidualNeighbours] = ResidualNeighbours,
        weight: float = 0.7,
    ) -> None:
        super().__init__()
        at_least(0, weight=weight)
        self.predictor, self.neighbours, self.weight = predictor(net), neighbours(net), weight

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Prepare both on the training tasks."""
        self.predictor.prepare(ratings, train)
        self.neighbours.prepare(train)

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """As the predictor, and what it leaves of the support set for the neighbours."""
        with torch.no_grad():
            fast = self.predictor.adapt(task, support)
            return fast | self.neighbours.fold_in(support, self.predictor.predict(fast, task, support.item))

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        prediction = self.predictor.predict(fast, task, item)
        return prediction + self.weight * self.neighbours.forward(fast, task, item) if fast else prediction
