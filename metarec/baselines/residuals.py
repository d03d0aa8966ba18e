"""What predictors share that work on what item and user biases leave of the ratings."""

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.similarity import residuals
from metarec.baselines.means import ItemUserBias
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows
from metarec.nets.base import Net


class OnBiases(Algorithm):
    """What predictors share that add a correction to `ItemUserBias`: rating = mean + c_i + b_u + correction.

    Biases are fitted first, and a new user's bias is folded in. Residuals are what they leave of the ratings, of
    training and support set alike; from these alone the correction is made. Zero-shot, there is none, and no b_u.

    Args:
        net: gives the numbers of users and items; nothing else of it is used.
        item_shrinkage: pseudo-ratings at the mean that each item is given.
        user_shrinkage: pseudo-ratings at the mean that each user is given.
    """

    def __init__(self, net: Net, item_shrinkage: float, user_shrinkage: float) -> None:
        super().__init__()
        self.biases = ItemUserBias(net, item_shrinkage, user_shrinkage)

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Fit the biases, then the correction to what they leave."""
        self.biases.prepare(ratings, train)
        self.fit(residuals(train, self.biases.item_bias.cpu(), self.biases.user_shrinkage))

    def fit(self, train: PackedTasks) -> None:
        """Take over the training tasks; their ratings are residuals."""
        raise NotImplementedError

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The user bias, and what `fold_in` makes of the residuals of the support set."""
        fast = self.biases.adapt(task, support)
        residual = support.rating - self.biases.predict(fast, task, support.item)
        item, residual = support.item.masked_fill(~support.mask, 0), residual.masked_fill(~support.mask, 0.0)
        return fast | self.fold_in(task, Rows(item, residual, support.mask))

    def fold_in(self, task: Tensor, support: Rows) -> Fast:
        """What the correction needs of new users' support sets, whose ratings are residuals; 0 where padded."""
        raise NotImplementedError

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Mean + item bias, and for adapted users user bias + correction, (T, Q)."""
        prediction = self.biases.predict(fast, task, item)
        return prediction + self.correction(fast, item) if fast else prediction

    def correction(self, fast: Fast, item: Tensor) -> Tensor:
        """What adapted users' ratings are expected to be above mean and biases, (T, Q)."""
        raise NotImplementedError


def spread(support: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Support sets over the items that occur in any of them: these items (N,), residuals and whether rated (T, N)."""
    item, place = torch.unique(support.item, return_inverse=True)
    empty = support.rating.new_zeros(len(place), len(item))
    rated = support.mask.to(empty.dtype)
    return item, empty.scatter_add(1, place, support.rating), empty.scatter_add(1, place, rated)
