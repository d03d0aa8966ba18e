"""Trivial predictors: random, global mean, item mean, item + user bias."""

from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.similarity import fitted_item_bias, shrunk_mean
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import at_least
from metarec.nets.base import Net


class Means(Algorithm):
    """What the trivial predictors share: global mean and item biases of the training ratings, no training.

    The item bias of item i is the sum of its ratings' deviations from the mean, over their number plus
    `item_shrinkage`. Items without a training rating have bias 0.

    Args:
        net: gives the number of items; nothing else of it is used.
        item_shrinkage: pseudo-ratings at the mean that each item is given, >= 0.

    Raises:
        InputError: `item_shrinkage` is out of range.
    """

    mean: Tensor
    item_bias: Tensor

    def __init__(self, net: Net, item_shrinkage: float = 0.0) -> None:
        super().__init__()
        at_least(0, item_shrinkage=item_shrinkage)
        self.item_shrinkage = item_shrinkage
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("item_bias", torch.zeros(net.schema["items"]))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Compute the statistics from the training tasks."""
        self.mean.fill_(float(train.rating.mean()))
        deviation = train.rating - self.mean.cpu()
        self.item_bias.copy_(shrunk_mean(train.item, deviation, len(self.item_bias), self.item_shrinkage))

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Nothing adapts."""
        return {}


class GlobalMean(Means):
    """Predicts the mean training rating for everything; its ranking is a draw, so its nDCG is chance."""

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """The global mean, (T, Q)."""
        return self.mean.expand(item.shape)


class ItemMean(Means):
    """Predicts the mean training rating of the item."""

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Item means, (T, Q)."""
        return self.mean + self.item_bias[item]


class RandomRating(Means):
    """Predicts a rating drawn from the training ratings; a random order with the right distribution.

    The draw for a user and an item is a hash of both, so it does not depend on the batch they stand in.

    Args:
        net: gives the number of items; nothing else of it is used.
        seed: seed of the hash.
    """

    quantiles: Tensor

    def __init__(self, net: Net, seed: int = 0) -> None:
        super().__init__(net)
        self.seed = seed
        self.register_buffer("quantiles", torch.zeros(1001))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the distribution of the training ratings."""
        ordered = train.rating.sort().values
        places = torch.linspace(0, len(ordered) - 1, len(self.quantiles)).round().long()
        self.quantiles.copy_(ordered[places])

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Random ratings, (T, Q), with a vanishing random part that breaks ties."""
        key = (task[:, None] * 1_000_003 + item) * 1_000_003 + self.seed + 1
        for factor in (0x45D9F3B, 0x119DE1F3):
            key = ((key ^ (key >> 16)) * factor) & 0xFFFFFFFF
        uniform = (key ^ (key >> 16)).double() / 0x1_0000_0000
        return (self.quantiles[(uniform * 1000).long()] + 1e-4 * (uniform - 0.5)).float()


class ItemUserBias(Means):
    """Predicts mean + item bias + user bias, both shrunk (Koren, KDD 2008, section 2.1).

    Item and user biases are fitted in turn on the training ratings; a new user's bias is the shrunk mean of
    what item biases leave of the support ratings. Zero-shot, the user bias is 0.

    Args:
        net: gives the number of items; nothing else of it is used.
        item_shrinkage: pseudo-ratings at the mean that each item is given, >= 0.
        user_shrinkage: pseudo-ratings at the mean that each user is given, >= 0.
        sweeps: how often both biases are fitted in turn, >= 1.

    Raises:
        InputError: a number is out of range.
    """

    moves: ClassVar[str] = "user bias"

    def __init__(self, net: Net, item_shrinkage: float = 5.0, user_shrinkage: float = 5.0, sweeps: int = 10) -> None:
        super().__init__(net, item_shrinkage)
        at_least(0, user_shrinkage=user_shrinkage)
        at_least(1, sweeps=sweeps)
        self.user_shrinkage, self.sweeps = user_shrinkage, sweeps

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Fit item and user biases in turn."""
        shrinkage = self.item_shrinkage, self.user_shrinkage
        item_bias = fitted_item_bias(train, len(self.item_bias), *shrinkage, self.sweeps)
        self.mean.fill_(float(train.rating.mean()))
        self.item_bias.copy_(item_bias)

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The shrunk mean residual of each support set."""
        return self.adapt_weighted(task, support, support.mask.to(support.rating.dtype))

    def weighs(self) -> str:
        """Ratings can have weights."""
        return ""

    def adapt_weighted(self, task: Tensor, support: Rows, weight: Tensor) -> Fast:
        """The weighted sum of residuals over the sum of weights and `user_shrinkage`."""
        residual = support.rating - self.mean - self.item_bias[support.item]
        total = (residual.masked_fill(~support.mask, 0.0) * weight).sum(dim=1)
        return {"user_bias": total / (weight.sum(dim=1) + self.user_shrinkage).clamp(min=1e-9)}

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Mean + item bias + user bias, (T, Q)."""
        prediction = self.mean + self.item_bias[item]
        return prediction + fast["user_bias"][:, None] if fast else prediction
