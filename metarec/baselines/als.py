"""Matrix factorisation by alternating least squares, with new users folded in."""

from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import InputError, at_least
from metarec.nets.base import Net


class AlternatingLeastSquares(Algorithm):
    """Biased matrix factorisation: rating = mean + b_u + c_i + p_u . q_i (Koren et al., IEEE Computer 2009).

    Users [p_u, b_u] and items [q_i, c_i] are fitted in turn, each by ridge regression on the other, with the same
    `regularisation` lambda for factors and biases; each fit lowers

        sum_ui (rating_ui - mean - b_u - c_i - p_u . q_i)^2 + lambda (sum_u |[p_u, b_u]|^2 + sum_i |[q_i, c_i]|^2).

    A new user is folded in: [p_u, b_u] is the ridge solution on the support set, the items staying as they are.
    Zero-shot, p_u and b_u are 0.

    Args:
        net: gives the number of items; nothing else of it is used.
        factors: width of p_u and q_i, >= 1.
        regularisation: ridge penalty lambda on each squared entry, for sums (not means) of squared errors, > 0.
        sweeps: how often users and items are fitted in turn, >= 1.
        seed: seed of the initial item factors.

    Raises:
        InputError: a number is out of range.
    """

    moves: ClassVar[str] = "user vector, user bias"
    mean: Tensor
    item: Tensor

    def __init__(
        self, net: Net, factors: int = 10, regularisation: float = 5.0, sweeps: int = 15, seed: int = 0
    ) -> None:
        super().__init__()
        at_least(1, factors=factors, sweeps=sweeps)
        if not regularisation > 0:
            raise InputError(f"regularisation {regularisation}: give a number > 0")
        self.factors, self.regularisation, self.sweeps, self.seed = factors, regularisation, sweeps, seed
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("item", torch.zeros(net.schema["items"], factors + 1))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Factorise the training ratings."""
        users, items = len(train.task), len(self.item)
        user_of = torch.repeat_interleave(torch.arange(users), train.lengths)
        deviation = train.rating - train.rating.mean()
        generator = torch.Generator().manual_seed(self.seed)
        item = torch.randn(items, self.factors + 1, generator=generator) * 0.1
        item[:, -1] = 0.0
        for _ in range(self.sweeps):
            user = self._solve(user_of, users, item[train.item], deviation)
            item = self._solve(train.item, items, user[user_of], deviation)
        self.mean.fill_(float(train.rating.mean()))
        self.item.copy_(item)

    def _solve(self, group: Tensor, groups: int, other: Tensor, deviation: Tensor) -> Tensor:
        """Ridge solutions [factors, bias] (G, D + 1) of each group on the vectors [factors, bias] of the other side.

        Args:
            group: group of each rating, (N,).
            groups: G.
            other: vectors of the other side, (N, D + 1).
            deviation: ratings less their mean, (N,).
        """
        width = other.shape[1]
        gram = torch.zeros(groups, width, width)
        right = torch.zeros(groups, width)
        for rows in torch.split(torch.arange(len(group)), 100_000):  # bounds memory, not a loop over ratings
            inputs = with_one(other[rows])
            target = deviation[rows] - other[rows, -1]
            gram.index_add_(0, group[rows], inputs[:, :, None] * inputs[:, None, :])
            right.index_add_(0, group[rows], inputs * target[:, None])
        return ridge(gram, right, self.regularisation)

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fold in: the ridge solution on each support set."""
        return self.adapt_weighted(task, support, support.mask.to(support.rating.dtype))

    def weighs(self) -> str:
        """Ratings can have weights."""
        return ""

    def adapt_weighted(self, task: Tensor, support: Rows, weight: Tensor) -> Fast:
        """Fold in by weighted least squares."""
        item = self.item[support.item] * support.mask[..., None]
        inputs = with_one(item)
        target = (support.rating - self.mean) * support.mask - item[..., -1]
        scaled = (inputs * weight[..., None]).transpose(1, 2)
        return {"user": ridge(scaled @ inputs, (scaled @ target[..., None]).squeeze(-1), self.regularisation)}

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Mean + item bias, and for adapted users user bias + inner product, (T, Q)."""
        vectors = self.item[item]
        prediction = self.mean + vectors[..., -1]
        return prediction + (with_one(vectors) @ fast["user"][..., None]).squeeze(-1) if fast else prediction


def with_one(vectors: Tensor) -> Tensor:
    """Vectors [factors, bias] as the inputs [factors, 1] of the other side's regression."""
    return torch.cat([vectors[..., :-1], torch.ones_like(vectors[..., -1:])], dim=-1)


def ridge(gram: Tensor, right: Tensor, regularisation: float) -> Tensor:
    """Solutions (G, D) of (gram + regularisation I) x = right, for all G at once by Cholesky's method."""
    factor = torch.linalg.cholesky(gram + regularisation * torch.eye(gram.shape[-1], device=gram.device))
    return torch.cholesky_solve(right[..., None], factor).squeeze(-1)
