"""Matrix factorisation of implicit feedback by weighted alternating least squares, with new users folded in."""

import math
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.baselines.als import ridge
from metarec.baselines.clicks import OnClicks
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import InputError, at_least
from metarec.nets.base import Net


class ImplicitALS(OnClicks):
    """Weighted matrix factorisation of clicks: score = x_u . y_i (Hu, Koren and Volinsky, ICDM 2008).

    Over all users and items, clicked or not, it minimises

        sum_ui c_ui (p_ui - x_u . y_i)^2 + regularisation (sum_u |x_u|^2 + sum_i |y_i|^2),

    with p_ui = 1 and c_ui = 1 + alpha for a click, p_ui = 0 and c_ui = 1 for none, users and items in turn, each in
    closed form. The library `implicit` (github.com/benfred/implicit) fits the training clicks, by Cholesky's method. A
    new user is folded in by equation 4 of the paper, the items staying as they are:

        x_u = (Y'Y + alpha sum_i y_i y_i' + regularisation I)^-1 (1 + alpha) sum_i y_i,  over the items i clicked,

    which is what the library's `recalculate_user` gives.

    Args:
        net: gives the number of items; nothing else of it is used.
        factors: width of x_u and y_i, >= 1.
        regularisation: ridge penalty on each squared entry, for sums (not means) of squared errors, > 0.
        alpha: how much more a click counts than none, > 0.
        sweeps: how often users and items are fitted in turn, >= 1.
        seed: seed of the initial vectors.

    Raises:
        InputError: an argument is out of range.
    """

    moves: ClassVar[str] = "user vector"
    item: Tensor

    def __init__(
        self,
        net: Net,
        factors: int = 16,
        regularisation: float = 30.0,
        alpha: float = 15.0,
        sweeps: int = 15,
        seed: int = 0,
    ) -> None:
        super().__init__(net)
        at_least(1, factors=factors, sweeps=sweeps)
        at_least(0, seed=seed)
        for name, value in (("regularisation", regularisation), ("alpha", alpha)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} {value}: give a number > 0")
        self.factors, self.regularisation, self.alpha = factors, regularisation, alpha
        self.sweeps, self.seed = sweeps, seed
        self.register_buffer("item", torch.zeros(self.items, factors))

    def fit(self, train: PackedTasks) -> None:
        """Factorise the training clicks."""
        from implicit.cpu.als import AlternatingLeastSquares  # only who uses it pays for its import

        confidence = np.full(len(train.item), 1 + self.alpha, dtype=np.float32)
        shape = len(train.task), self.items
        clicks = csr_matrix((confidence, train.item.numpy(), train.offset.numpy()), shape=shape)
        model = AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularisation,
            iterations=self.sweeps,
            use_cg=False,
            num_threads=torch.get_num_threads(),
            random_state=self.seed,
        )
        with threadpool_limits(1, "blas"):  # the library has threads of its own, and warns of others inside them
            model.fit(clicks, show_progress=False)
        self.item.copy_(torch.from_numpy(model.item_factors))

    def fold_in(self, clicks: Rows) -> Fast:
        """Each user's vector: `user`, (T, D)."""
        vectors = self.item[clicks.item] * clicks.mask.unsqueeze(2)
        gram = self.item.mT @ self.item + self.alpha * vectors.mT @ vectors
        return {"user": ridge(gram, (1 + self.alpha) * vectors.sum(dim=1), self.regularisation)}

    def scores(self, fast: Fast, item: Tensor) -> Tensor:
        """Inner products, (T, Q)."""
        return (self.item[item] @ fast["user"].unsqueeze(2)).squeeze(2)
