"""Ridge head: each user's output layer by ridge regression on learned features (arXiv 1805.08136)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net
from metarec.nets.dense import HeadInput, head_input, head_width


class RidgeHead(Algorithm):
    """Learns features on which a ridge regression fits a new user (R2D2; Bertinetto et al., ICLR 2019).

    With h_s the input of the net's output layer in support row s, a constant 1 for the bias at its end, and e_s what
    the net's own score leaves of the rating, user i moves the output layer by

        delta_i = (sum_s h_s h_s' + diag(penalty))^-1 sum_s h_s e_s,

    the solution of least squares with a prior at the shared layer, as the posterior mean of Bayesian linear regression.
    The outer loss is that of the query rows scored with the layer moved, differentiated through the solve; features,
    shared layer and penalties are all learned by it. Users with few ratings move less. Zero-shot is the net itself.

    The system is solved in its smaller form, of F + 1 unknowns or of S rows, by Cholesky, all tasks at once.
    Deviations: the paper classifies, shrinks towards 0 instead of towards a learned layer, and learns one penalty.

    Args:
        net: the net, whose decoder is a stack of dense layers; given by the configuration.
        penalty: what each feature's penalty starts from, in squared units of the feature, > 0.
        loss: of the query set; `absolute_error` trains for the mean absolute error. The support set is always fitted
            by least squares.

    Raises:
        InputError: the net has no output layer of this kind, or the penalty is out of range.
    """

    moves: ClassVar[str] = "output layer"

    def __init__(self, net: Net, penalty: float = 5.0, loss: LossName = "squared_error") -> None:
        super().__init__()
        width = head_width(net, "RidgeHead")
        if not 0 < penalty < math.inf:
            raise InputError(f"penalty {penalty}: give a number > 0")
        self.net, self.outer_loss = net, loss_named(loss)
        self.log_penalty = nn.Parameter(torch.full((width,), math.log(penalty)))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Let the net take over attributes and statistics."""
        self.net.prepare(ratings, train)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on the query set."""
        fast = self._solved(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """How far each user's output layer moves: `delta`, (T, F + 1)."""
        with torch.no_grad():
            return self._solved(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        features = self.features(task, item)
        if not fast:
            return features.score
        return features.score + torch.bmm(features.input, fast["delta"].unsqueeze(2)).squeeze(2)

    def features(self, task: Tensor, item: Tensor) -> HeadInput:
        """What the output layer is fed for the items `item` (T, R)."""
        return head_input(self.net, task, item)

    def _solved(self, task: Tensor, support: Rows) -> Fast:
        """`delta`, differentiable in all parameters."""
        features = self.features(task, support.item)
        residual = (support.rating - features.score).masked_fill(~support.mask, 0.0)
        input = features.input.masked_fill(~support.mask.unsqueeze(2), 0.0)
        return {"delta": ridge(input, residual, self.log_penalty.exp())}


def ridge(input: Tensor, target: Tensor, penalty: Tensor) -> Tensor:
    """Least squares with a penalty for each coefficient: argmin_w |X w - y|^2 + sum_f penalty_f w_f^2, a task each.

    Args:
        input: X, (T, S, F); rows of zeros count for nothing.
        target: y, (T, S).
        penalty: (F,), > 0.

    Returns:
        w, (T, F).
    """
    rows, width = input.shape[1:]
    if width <= rows:
        gram = input.mT @ input + torch.diag(penalty)
        return torch.cholesky_solve(input.mT @ target.unsqueeze(2), torch.linalg.cholesky(gram)).squeeze(2)
    scaled = input / penalty
    gram = scaled @ input.mT + torch.eye(rows, dtype=input.dtype, device=input.device)
    dual = torch.cholesky_solve(target.unsqueeze(2), torch.linalg.cholesky(gram))
    return (scaled.mT @ dual).squeeze(2)
