"""Neighbourhood models: what similar items, or similar users, say of a rating."""

from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.similarity import dense, nearest, require_room, shrunk_cosine, weighted_mean
from metarec.baselines.residuals import OnBiases, spread
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import at_least
from metarec.nets.base import Net

BLOCK = 2**23
"""Entries of a table of user-item pairs and training users that `UserKNN` works on at once."""


class ItemKNN(OnBiases):
    """Item-based nearest neighbours on residuals (Sarwar et al., WWW 2001; Koren, KDD 2008, section 2.2).

    With e_ui the residual of a rating after biases, and U(i, j) the n_ij training users who rated both items,

        s_ij = n_ij / (n_ij + shrinkage)  sum_U(i,j) e_ui e_uj / sqrt(sum_U(i,j) e_ui^2  sum_U(i,j) e_uj^2),

        rating = mean + c_i + b_u + sum_j s_ij e_uj / (sum_j |s_ij| + regularisation),

    where j runs over the k items of the support set with the largest |s_ij|, and all that tie with the k-th. A new
    user is so folded in from the support set alone.

    Deviations from Koren: unlike items count too, with their sign; the regularisation, his has none, so that few or
    unlike neighbours say little.

    Memory: the similarities take 4 items^2 bytes (60 MB for MovieLens 1M), and while they are made
    8 users x items + 32 items^2; predictions, 4 T Q S bytes a few times over.

    Args:
        net: gives the numbers of users and items; nothing else of it is used.
        neighbours: k, >= 1.
        shrinkage: of similarities, in common users, >= 0.
        regularisation: of the weighted mean, in similarities, >= 0.
        item_shrinkage: pseudo-ratings at the mean that each item's bias is given.
        user_shrinkage: pseudo-ratings at the mean that each user's bias is given.

    Raises:
        InputError: an argument is out of range, or there are too many items.
    """

    moves: ClassVar[str] = "user bias, residuals of the support set"
    similarity: Tensor

    def __init__(
        self,
        net: Net,
        neighbours: int = 20,
        shrinkage: float = 100.0,
        regularisation: float = 0.1,
        item_shrinkage: float = 5.0,
        user_shrinkage: float = 5.0,
    ) -> None:
        super().__init__(net, item_shrinkage, user_shrinkage)
        at_least(1, neighbours=neighbours)
        at_least(0, shrinkage=shrinkage, regularisation=regularisation)
        items = net.schema["items"]
        require_room(items, items, "items")
        self.neighbours, self.shrinkage, self.regularisation = neighbours, shrinkage, regularisation
        self.register_buffer("similarity", torch.zeros(items, items))

    def fit(self, train: PackedTasks) -> None:
        """Compute the similarities of all items; an item is no neighbour of itself."""
        residual, rated = dense(train, torch.arange(len(train.task)), len(train.task), len(self.similarity))
        found = similarity((residual.mT, rated.mT), (residual.mT, rated.mT), self.shrinkage)
        self.similarity.copy_(found.fill_diagonal_(0.0))

    def fold_in(self, task: Tensor, support: Rows) -> Fast:
        """The support set: `item` and `residual`, (T, S)."""
        return {"item": support.item, "residual": support.rating}

    def correction(self, fast: Fast, item: Tensor) -> Tensor:
        """The neighbours' weighted mean residual, (T, Q)."""
        weight = nearest(self.similarity[item.unsqueeze(2), fast["item"].unsqueeze(1)], self.neighbours)
        return weighted_mean(weight, fast["residual"].unsqueeze(1), self.regularisation)


class UserKNN(OnBiases):
    """User-based nearest neighbours on residuals (Herlocker et al., SIGIR 1999; doi 10.1145/312624.312682).

    With e_ui the residual of a rating after biases, and I(u, v) the n_uv items that both users rated,

        s_uv = n_uv / (n_uv + shrinkage)  sum_I(u,v) e_ui e_vi / sqrt(sum_I(u,v) e_ui^2  sum_I(u,v) e_vi^2),

        rating = mean + c_i + b_u + sum_v s_uv e_vi / (sum_v |s_uv| + regularisation),

    where v runs over the k training users with the largest |s_uv| of those who rated item i, and all that tie with
    the k-th. A new user is folded in from the support set alone; a training user is never their own neighbour.

    Deviations: the paper takes deviations from users' means, and weighs by min(n, 50) / 50; here they are residuals
    after both biases, and the weight is as in `ItemKNN`.

    Memory: the training residuals take 5 users x items bytes (120 MB for MovieLens 1M). New users take 4 T users
    bytes a few times over, and 8 users N while they are folded in, with N the items in their support sets.
    Predictions are made for as many pairs of user and item at once as make `BLOCK` entries (32 MB, a few times over).

    Args:
        net: gives the numbers of users and items; nothing else of it is used.
        neighbours: k, >= 1.
        shrinkage: of similarities, in common items, >= 0.
        regularisation: of the weighted mean, in similarities, >= 0.
        item_shrinkage: pseudo-ratings at the mean that each item's bias is given.
        user_shrinkage: pseudo-ratings at the mean that each user's bias is given.

    Raises:
        InputError: an argument is out of range, or there are too many users and items.
    """

    moves: ClassVar[str] = "user bias, similarities to training users"
    residual: Tensor
    rated: Tensor

    def __init__(
        self,
        net: Net,
        neighbours: int = 50,
        shrinkage: float = 10.0,
        regularisation: float = 1.0,
        item_shrinkage: float = 5.0,
        user_shrinkage: float = 5.0,
    ) -> None:
        super().__init__(net, item_shrinkage, user_shrinkage)
        at_least(1, neighbours=neighbours)
        at_least(0, shrinkage=shrinkage, regularisation=regularisation)
        items, users = net.schema["items"], net.schema["users"]
        require_room(items, users, "items and users")
        self.neighbours, self.shrinkage, self.regularisation = neighbours, shrinkage, regularisation
        self.register_buffer("residual", torch.zeros(items, users))
        self.register_buffer("rated", torch.zeros(items, users, dtype=torch.bool))

    def fit(self, train: PackedTasks) -> None:
        """Keep the residuals, an item a row."""
        items, users = self.residual.shape
        residual, rated = dense(train, train.task, users, items)
        self.residual.copy_(residual.mT)
        self.rated.copy_(rated.mT)

    def fold_in(self, task: Tensor, support: Rows) -> Fast:
        """Similarities to all training users: `similarity`, (T, users)."""
        item, residual, rated = spread(support)
        others = self.residual[item].mT, self.rated[item].to(residual.dtype).mT
        found = similarity((residual, rated), others, self.shrinkage)
        return {"similarity": found.scatter(1, task.unsqueeze(1), 0.0)}

    def correction(self, fast: Fast, item: Tensor) -> Tensor:
        """The neighbours' weighted mean residual, (T, Q)."""
        found = torch.zeros_like(item, dtype=self.residual.dtype)
        user, column = item.nonzero(as_tuple=True)  # row 0, padding or the unknown item, has no neighbours
        size = max(1, BLOCK // self.residual.shape[1])
        for at in zip(
            torch.split(user, size), torch.split(column, size), strict=True
        ):  # bounds memory, not a loop over ratings
            rows = item[at]
            weight = nearest(fast["similarity"][at[0]] * self.rated[rows], self.neighbours)
            found[at] = weighted_mean(weight, self.residual[rows], self.regularisation)
        return found


def similarity(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], shrinkage: float) -> Tensor:
    """Cosines over the columns that both rows have, times n / (n + shrinkage) with n such columns; else 0.

    Args:
        left: values (A, N), 0 where there is none, and whether there is one (A, N), 0 or 1.
        right: the same of the other side, (B, N) each.
        shrinkage: >= 0.

    Returns:
        (A, B), between -1 and 1.
    """
    (x, in_x), (y, in_y) = left, right
    return shrunk_cosine(x @ y.mT, x.square() @ in_y.mT, in_x @ y.square().mT, in_x @ in_y.mT, shrinkage)
