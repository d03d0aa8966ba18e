"""EASE: a linear model from items to items in closed form, on residuals or clicks (Steck, arXiv 1905.03375)."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.similarity import dense, require_room
from metarec.baselines.clicks import OnClicks
from metarec.baselines.residuals import OnBiases, spread
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import InputError
from metarec.nets.base import Net


class EASE(OnBiases):
    """Embarrassingly shallow autoencoder: rating = mean + c_i + b_u + sum_j e_uj B_ji.

    With X (users, items) the residuals of the training ratings after biases, 0 where there is no rating,

        B = argmin |X - X B|^2 + penalty |B|^2  with B_jj = 0,  so  B_ji = -P_ji / P_ii,  P = (X'X + penalty I)^-1,

    equation 8 of the paper. A new user is folded in by their support set's residuals e_u alone, a row of X times B.
    Deviation: the paper has X of ones for items that were clicked, and ranks, see `ClickEASE`; a 0 there says "not
    clicked", here it says "as the biases have it".

    Memory: B takes 4 items^2 bytes (60 MB for MovieLens 1M), and while it is made 8 users x items + 24 items^2.

    Args:
        net: gives the number of items; nothing else of it is used.
        penalty: on each squared weight, in squared rating units, > 0.
        item_shrinkage: pseudo-ratings at the mean that each item's bias is given.
        user_shrinkage: pseudo-ratings at the mean that each user's bias is given.

    Raises:
        InputError: an argument is out of range, or there are too many items.
    """

    moves: ClassVar[str] = "user bias, residuals of the support set"
    weight: Tensor

    def __init__(
        self, net: Net, penalty: float = 100.0, item_shrinkage: float = 5.0, user_shrinkage: float = 5.0
    ) -> None:
        super().__init__(net, item_shrinkage, user_shrinkage)
        self.penalty = penalty
        self.register_buffer("weight", no_weights(net.schema["items"], penalty))

    def fit(self, train: PackedTasks) -> None:
        """Compute B."""
        residual, _ = dense(train, torch.arange(len(train.task)), len(train.task), len(self.weight))
        self.weight.copy_(item_weights(residual, self.penalty))

    def fold_in(self, task: Tensor, support: Rows) -> Fast:
        """What the support set says of every item: `correction`, (T, items)."""
        item, residual, _ = spread(support)
        return {"correction": residual @ self.weight[item]}

    def correction(self, fast: Fast, item: Tensor) -> Tensor:
        """The items' own, (T, Q)."""
        return fast["correction"].gather(1, item)


class ClickEASE(OnClicks):
    """Embarrassingly shallow autoencoder of clicks, as in the paper: score = sum of B_ji over the items j clicked.

    B is that of `EASE`, with X (users, items) 1 where a user clicked on an item and 0 elsewhere. A new user is folded
    in by the clicks of their support set, a row of X times B.

    Memory: as `EASE`.

    Args:
        net: gives the number of items; nothing else of it is used.
        penalty: on each squared weight, in clicks, > 0.

    Raises:
        InputError: the penalty is out of range, or there are too many items.
    """

    moves: ClassVar[str] = "clicks of the support set"
    weight: Tensor

    def __init__(self, net: Net, penalty: float = 1000.0) -> None:
        super().__init__(net)
        self.penalty = penalty
        self.register_buffer("weight", no_weights(self.items, penalty))

    def fit(self, train: PackedTasks) -> None:
        """Compute B."""
        _, clicked = dense(train, torch.arange(len(train.task)), len(train.task), self.items)
        self.weight.copy_(item_weights(clicked, self.penalty))

    def fold_in(self, clicks: Rows) -> Fast:
        """What the clicks say of every item: `score`, (T, items)."""
        item, _, clicked = spread(clicks)
        return {"score": clicked @ self.weight[item]}

    def scores(self, fast: Fast, item: Tensor) -> Tensor:
        """The items' own, (T, Q)."""
        return fast["score"].gather(1, item)


def no_weights(items: int, penalty: float) -> Tensor:
    """B before it is computed, (items, items).

    Raises:
        InputError: the penalty is out of range, or there are too many items.
    """
    if not 0 < penalty < math.inf:
        raise InputError(f"penalty {penalty}: give a number > 0")
    require_room(items, items, "items")
    return torch.zeros(items, items)


def item_weights(table: Tensor, penalty: float) -> Tensor:
    """B of a table X (users, items), (items, items), computed in double precision."""
    gram = (table.mT @ table).double()
    gram.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    return (-inverse / inverse.diagonal()).fill_diagonal_(0.0)
