"""Plain pretraining: the net is trained on all known users together, and fine-tuned on each new one."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import adapt_detached, score
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import LossName, loss_named
from metarec.data.tasks import Rows, TaskBatch, joined
from metarec.nets.base import Net


class Pretrain(Algorithm):
    """Joint training without an inner loop; adaptation happens for new users only.

    The outer loss is the mean over T tasks of the net's loss on their n_i ratings, support and query set together,

        1/T sum_i 1/n_i sum_r loss(score_theta(i, r), rating_ir).

    A new user's parameters are theta_i = theta - inner_lr * grad L_support_i(theta), `adaptation_steps` times. With
    ``adaptation_steps=0`` this is the zero-shot row of a table; with more, fine-tuning of the parameters `adapts`.
    Which steps and rate to fine-tune with is chosen on validation users by the callback `SelectAdaptation`.

    Args:
        net: the net to train; given by the configuration.
        adapts: which parameters fine-tuning changes: groups of the net such as `all` or `head`, or patterns.
        inner_lr: step size of fine-tuning, > 0.
        adaptation_steps: number of fine-tuning steps on a new user's support set, >= 0.
        shrinkage: pseudo-ratings without error in each support set, >= 0, see `InnerLoop`.
        loss: of both training and fine-tuning: `squared_error` or `absolute_error` of ratings, or
            `binary_cross_entropy` or `bpr` of clicks.

    Raises:
        InputError: nothing adapts, a number is out of range, or there is no such loss.
    """

    descends: ClassVar[bool] = True

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("all",),
        inner_lr: float = 0.01,
        adaptation_steps: int = 0,
        shrinkage: float = 0.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        self.net = net
        self.inner_loop = InnerLoop(adapting(net, adapts), inner_lr, adaptation_steps, shrinkage, loss=loss_named(loss))

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on all their rows, without adaptation."""
        rows = joined(batch)
        return self.inner_loop.loss.of_tasks(self.predict({}, batch.task, rows.item), rows).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` fine-tuning steps."""
        return adapt_detached(Batched(), self.net, self.inner_loop, task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)
