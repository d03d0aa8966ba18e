"""Conditional neural process: the support set is encoded, the prediction conditioned on it (arXiv 1807.01613)."""

from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import SetEncoder, mlp, vector_widths
from metarec.data.tasks import Rows, TaskBatch
from metarec.nets.base import Net


class ConditionalProcess(Algorithm):
    """Predicts from a summary of the user's support set, without a gradient (CNP; Garnelo et al., ICML 2018).

    With x_s the item vector of support row s and e_s what the net's own score leaves of its rating, user i is

        r_i = sum_s MLP([x_s, e_s]) / (S + shrinkage),

    and is predicted to rate item q, with user vector u_i,

        net's score + MLP([r_i, u_i, x_q]).

    All of it, the net included, is learned by the loss of the query set. Zero-shot is the prediction from an empty
    support set, r_i = 0.

    Deviations: the decoder gives the mean alone, no variance, and is trained by `loss` instead of the Gaussian
    likelihood; it corrects a net's score instead of standing alone; r is shrunk, unless `shrinkage` is 0.

    Args:
        net: the net that encodes users and items; given by the configuration.
        width: width of r, >= 1.
        hidden: width of the hidden layer of both MLPs, >= 1.
        shrinkage: pseudo-rows of value 0 in each support set, >= 0; 0 is the paper's mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net has no encoder, or a number is out of range.
    """

    moves: ClassVar[str] = "summary of the support set"

    def __init__(
        self, net: Net, width: int = 32, hidden: int = 64, shrinkage: float = 1.0, loss: LossName = "squared_error"
    ) -> None:
        super().__init__()
        user, item = vector_widths(net)
        self.net, self.width, self.outer_loss = net, width, loss_named(loss)
        self.summary = SetEncoder(item, hidden, width, shrinkage)
        self.correction = mlp(width + user + item, hidden, 1)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set, given the support set."""
        fast = self._summarised(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The summary of each support set: `summary`, (T, width)."""
        with torch.no_grad():
            return self._summarised(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        encoded = self.net.encoder(task, item)
        summary = fast["summary"] if fast else encoded.item.new_zeros(len(task), self.width)
        given = torch.cat([summary.unsqueeze(1), encoded.user], dim=2).expand(-1, item.shape[1], -1)
        correction: Tensor = self.correction(torch.cat([given, encoded.item], dim=2))
        score: Tensor = self.net.decoder(encoded)
        return score + correction.squeeze(2)

    def _summarised(self, task: Tensor, support: Rows) -> Fast:
        """`summary`, differentiable in all parameters."""
        encoded = self.net.encoder(task, support.item)
        left = support.rating - self.outer_loss.expected(self.net.decoder(encoded))
        return {"summary": self.summary(encoded.item, left, support)}
