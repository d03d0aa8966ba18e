"""Popularity: the more often an item was rated, the higher it stands, for everybody."""

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.baselines.means import Means
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks
from metarec.nets.base import Net


class Popularity(Means):
    """Ranks items by their number of training ratings; what it predicts are rating units, but only their order counts.

    An item at share p of the order of popularity is given the p-th quantile of the training ratings, with a vanishing
    part by its number of ratings that keeps the order within equal ratings, as all clicks are; in double precision, or
    it would vanish altogether. Equally popular items are equal.

    Args:
        net: gives the number of items; nothing else of it is used.
    """

    score: Tensor

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.register_buffer("score", torch.zeros(net.schema["items"], dtype=torch.float64))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Count the training ratings of each item."""
        count = torch.bincount(train.item, minlength=len(self.score))
        levels, place = torch.unique(count, return_inverse=True)
        below = torch.bincount(place).cumsum(0) - 1  # items that are as popular or less, but for one
        share = below[place].double() / max(1, len(count) - 1)
        ordered = train.rating.double().sort().values
        quantile = ordered[(share * (len(ordered) - 1)).round().long()]
        self.score.copy_(quantile + 1e-4 * place / max(1, len(levels) - 1))

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """The items' scores, (T, Q)."""
        return self.score[item]
