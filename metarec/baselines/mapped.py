"""A predictor whose predictions are mapped to the ratings that they stand for."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.data.draws import draw
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, PackedTasks, Rows
from metarec.errors import InputError, at_least
from metarec.nets.base import Net
from metarec.nets.output import MonotoneMap, interpolated

EPISODES = EpisodeSizes(1, 60, 20)
"""Of training users, to fit the map on: 1 to 60 ratings to adapt on, 20 or fewer to predict."""


class Mapped(Algorithm):
    """A predictor without gradients, and an increasing map of its predictions, fitted to the least absolute error.

    The median of the ratings that a prediction stands for, which a method trained for the absolute error may learn, is
    due to its rivals as well. The map is that of `metarec.nets.output.MonotoneMap`, one for adapted predictions and
    one for zero-shot ones, fitted on one episode of each training user with two ratings or more. The predictor has
    seen their ratings before, so its errors on them are a little smaller than on new users.

    Args:
        net: for the predictor; given by the configuration.
        predictor: makes the predictor from the net.
        pieces: of the map, an even number >= 2.
        steps: of Adam, to fit it, >= 0; 0: the map is the identity.
        seed: seed of the episodes, >= 0.

    Raises:
        InputError: a number is out of range, or `pieces` is odd.
    """

    moves: ClassVar[str] = "what the predictor adapts"
    edge: Tensor
    adapted_value: Tensor
    zero_shot_value: Tensor

    def __init__(
        self, net: Net, predictor: Callable[[Net], Algorithm], pieces: int = 40, steps: int = 300, seed: int = 0
    ) -> None:
        super().__init__()
        at_least(0, steps=steps, seed=seed)
        self.predictor, self.pieces, self.steps, self.seed = predictor(net), pieces, steps, seed
        for name in ("edge", "adapted_value", "zero_shot_value"):
            self.register_buffer(name, MonotoneMap(pieces).edge.clone())

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Prepare the predictor, and fit both maps on its predictions.

        Raises:
            InputError: no training user has enough ratings.
        """
        self.predictor.prepare(ratings, train)
        [chosen] = torch.nonzero(train.lengths >= EPISODES.needed, as_tuple=True)
        if not len(chosen):
            raise InputError(f"{type(self).__name__}: no training user has {EPISODES.needed} ratings to fit the map on")
        batch = draw(train, chosen, EPISODES, torch.Generator().manual_seed(self.seed), shuffle=True)
        fast = self.predictor.adapt(batch.task, batch.support)
        for into, found in ((self.adapted_value, fast), (self.zero_shot_value, {})):
            score = self.predictor.predict(found, batch.task, batch.query.item)
            into.copy_(self._fitted(score[batch.query.mask], batch.query.rating[batch.query.mask], ratings.scale))

    def _fitted(self, score: Tensor, rating: Tensor, scale: tuple[float, float]) -> Tensor:
        """The map's values at its edges, least in mean absolute error over rows (N,)."""
        output = MonotoneMap(self.pieces)
        output.prepare(scale, rating)
        self.edge.copy_(output.edge)
        optimizer = torch.optim.Adam(output.parameters(), lr=0.002)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                (output(score) - rating).abs().mean().backward()
                optimizer.step()
        return output.values().detach()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """As the predictor."""
        return self.predictor.adapt(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """What the predictor's predictions stand for, (T, Q)."""
        value = self.adapted_value if fast else self.zero_shot_value
        return interpolated(self.predictor.predict(fast, task, item), self.edge, value)
