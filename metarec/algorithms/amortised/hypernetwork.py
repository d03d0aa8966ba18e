"""Hypernetwork: a network that emits each user's output layer from their support set (arXiv 1609.09106)."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import SetEncoder, vector_widths
from metarec.data.tasks import Rows, TaskBatch
from metarec.nets.base import Net, linear_width


class HyperNetwork(Algorithm):
    """Emits what a new user adds to the net's output layer (after Ha et al., ICLR 2017).

    With x_s the item vector of support row s, e_s what the net's own score leaves of its rating, and h_q the input of
    the net's output layer for item q, a constant 1 for the bias at its end,

        delta_i = E sum_s MLP([x_s, e_s]) / (S + shrinkage),  prediction = net's score + delta_i . h_q.

    It is the ridge head (`RidgeHead`) with the solve replaced by a learned map. The outer loss is that of the query
    set; net, MLP and E are all learned by it. An empty support set emits delta = 0: zero-shot is the net itself.

    Deviations: the paper emits the weights of every layer from a layer embedding; here they come from a support set,
    for the output layer alone, and are added to shared weights.

    Args:
        net: the net, linear in coefficients of the user; given by the configuration.
        width: width of the encoded support set, >= 1.
        hidden: width of the MLP's hidden layer, >= 1.
        shrinkage: pseudo-rows of value 0 in each support set, >= 0; 0: the mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net is not linear in anything, or a number is out of range.
    """

    moves: ClassVar[str] = "output layer or user vector"

    def __init__(
        self, net: Net, width: int = 32, hidden: int = 64, shrinkage: float = 1.0, loss: LossName = "squared_error"
    ) -> None:
        super().__init__()
        head = linear_width(net, "HyperNetwork")
        self.net, self.outer_loss = net, loss_named(loss)
        self.summary = SetEncoder(vector_widths(net)[1], hidden, width, shrinkage)
        self.emit = nn.Linear(width, head, bias=False)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set, scored with the emitted layer."""
        fast = self._emitted(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """What each user adds to the output layer: `delta`, (T, F + 1)."""
        with torch.no_grad():
            return self._emitted(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        linear = self.net.linear(task, item)
        return linear.moved(fast["delta"]) if fast else linear.score

    def _emitted(self, task: Tensor, support: Rows) -> Fast:
        """`delta`, differentiable in all parameters."""
        encoded = self.net.encoder(task, support.item)
        left = support.rating - self.outer_loss.expected(self.net.decoder(encoded))
        return {"delta": self.emit(self.summary(encoded.item, left, support))}
