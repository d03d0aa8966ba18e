"""Ridge head: each user's own coefficients by ridge regression on learned features (arXiv 1805.08136)."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, error_named
from metarec.algorithms.neighbours import ResidualNeighbours
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, linear_width
from metarec.nets.output import Output


class RidgeHead(Algorithm):
    """Learns features on which a ridge regression fits a new user (R2D2; Bertinetto et al., ICLR 2019).

    A net's score is linear in some coefficients w of a user: the output layer's weights in a stack of dense layers,
    the user vector in a factorisation machine. With h_s what multiplies them in support row s, a constant 1 for the
    bias at its end, and e_s what the net's own score leaves of the rating, user i moves them by

        delta_i = (sum_s h_s h_s' + diag(penalty))^-1 sum_s h_s e_s,

    the solution of least squares with a prior at the shared w, as the posterior mean of Bayesian linear regression.
    The outer loss is that of the query rows scored with w + delta_i, differentiated through the solve; features,
    shared coefficients and penalties are all learned by it. Users with few ratings move less. Zero-shot, delta is 0.

    The system is solved in its smaller form, of F unknowns or of S rows, by Cholesky, all tasks at once.
    Deviations: the paper classifies, shrinks towards 0 instead of towards learned coefficients, and learns one penalty.

    Args:
        net: the net, linear in coefficients of the user; given by the configuration.
        penalty: what each feature's penalty starts from, in squared units of the feature, > 0.
        loss: of the query set; `absolute_error` trains for the mean absolute error. The support set is always fitted
            by least squares, on scores.
        output: a learned map of the score to a rating, `MonotoneMap` or `OrderedLogit` of `metarec.nets.output`; null:
            the score is the rating.
        neighbours: makes, from the net, what carries over to similar items what the ridge leaves of the support set; it
            is added to the score with a learned weight, before the map. Null: nothing is.

    Raises:
        InputError: the net is not linear in anything, the penalty is out of range, or the loss is not one of ratings.
    """

    moves: ClassVar[str] = "output layer or user vector"
    undecayed: ClassVar[tuple[str, ...]] = ("log_penalty", "neighbour_weight")

    def __init__(
        self,
        net: Net,
        penalty: float = 5.0,
        loss: LossName = "squared_error",
        output: Output | None = None,
        neighbours: Callable[[Net], ResidualNeighbours] | None = None,
    ) -> None:
        super().__init__()
        width = linear_width(net, "RidgeHead")
        if not 0 < penalty < math.inf:
            raise InputError(f"penalty {penalty}: give a number > 0")
        self.net, self.outer_loss = net, error_named(loss, "least squares fits no logits")
        self.output, self.neighbours = output, neighbours and neighbours(net)
        if self.neighbours is not None:
            self.neighbour_weight = nn.Parameter(torch.ones(()))
        self.log_penalty = nn.Parameter(torch.full((width,), math.log(penalty)))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Let the net take over attributes and statistics, the map the rating scale, the neighbours the ratings."""
        super().prepare(ratings, train)
        if self.neighbours is not None:
            self.neighbours.prepare(train)
        if self.output is not None:
            self.output.prepare(ratings.scale, train.rating)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on the query set."""
        fast = self._solved(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """How far each user's coefficients move, `delta` (T, F), and what an output and neighbours want to know."""
        with torch.no_grad():
            return self._solved(task, support)

    def weighs(self) -> str:
        """What is left to neighbours, or read as a user's habits, has no weights."""
        if self.neighbours is not None or (self.output is not None and self.output.habit_width):
            return "RidgeHead with neighbours, or with an output that follows habits, cannot weigh ratings"
        return ""

    def adapt_weighted(self, task: Tensor, support: Rows, weight: Tensor) -> Fast:
        """Weighted least squares: rows and residuals times the root of their weight."""
        if self.weighs():
            raise InputError(self.weighs())
        with torch.no_grad():
            return self._solved(task, support, weight)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        linear = self.net.linear(task, item)
        score = linear.moved(fast["delta"]) if fast else linear.score
        if fast and self.neighbours is not None:
            score = score + self.neighbour_weight * self.neighbours(fast, task, item)
        return score if self.output is None else self.output(score, fast.get("habits"))

    def _solved(self, task: Tensor, support: Rows, weight: Tensor | None = None) -> Fast:
        """`delta` (T, F); `habits` (T, H) for an output; what neighbours fold in; differentiable in all parameters."""
        linear = self.net.linear(task, support.item)
        residual = (support.rating - linear.score).masked_fill(~support.mask, 0.0)
        input = linear.input.masked_fill(~support.mask.unsqueeze(2), 0.0)
        if weight is not None:
            input, residual = input * weight.sqrt().unsqueeze(2), residual * weight.sqrt()
        fast = {"delta": ridge(input, residual, self.log_penalty.exp())}
        if self.output is None and self.neighbours is None:
            return fast
        fitted = linear.moved(fast["delta"])
        if self.output is not None and self.output.habit_width:
            fast["habits"] = self.output.habits(support, fitted)
        if self.neighbours is not None:
            fast |= self.neighbours.fold_in(support, fitted)
        return fast


def ridge(input: Tensor, target: Tensor, penalty: Tensor) -> Tensor:
    """Least squares with a penalty for each coefficient: argmin_w |X w - y|^2 + sum_f penalty_f w_f^2, a task each.

    Args:
        input: X, (T, S, F); rows of zeros count for nothing.
        target: y, (T, S).
        penalty: (F,), > 0.

    Returns:
        w, (T, F).
    """
    with torch.autocast(input.device.type, enabled=False):
        return _ridge(input.to(penalty.dtype), target.to(penalty.dtype), penalty)


def _ridge(input: Tensor, target: Tensor, penalty: Tensor) -> Tensor:
    """The same, all in one precision."""
    rows, width = input.shape[1:]
    if width <= rows:
        gram = input.mT @ input + torch.diag(penalty)
        return torch.cholesky_solve(input.mT @ target.unsqueeze(2), torch.linalg.cholesky(gram)).squeeze(2)
    scaled = input / penalty
    gram = scaled @ input.mT + torch.eye(rows, dtype=input.dtype, device=input.device)
    dual = torch.cholesky_solve(target.unsqueeze(2), torch.linalg.cholesky(gram))
    return (scaled.mT @ dual).squeeze(2)
