"""Reptile (Nichol et al. 2018, arXiv 1803.02999)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import adapt_detached, score
from metarec.algorithms.engines.batched import Batched, few_parts
from metarec.algorithms.gradient.surrogate import pull, settled, weights
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import LossName, loss_named
from metarec.data.tasks import Rows, TaskBatch, joined
from metarec.errors import at_least
from metarec.nets.base import Net


class Reptile(Algorithm):
    """Moves the starting point towards the weights that gradient steps on each task lead to.

    With phi_i the weights after `adaptation_steps` steps on task i, an outer step is theta + eps mean_i(phi_i - theta).
    As in the paper's section 3, (theta - phi_i) / inner_lr, the sum of the gradients that the steps took, stands for
    task i's gradient, so that any outer optimizer takes the outer step; `SGD(lr=eps * inner_lr)` takes the one above.
    One inner step is joint training.

    In training phi_i is adapted to support and query set together: the paper splits no task. New users adapt to their
    support set. The loss that is shown is that of the adapted weights on the rows they are adapted to.

    Deviations: the inner loop takes plain gradient steps on all rows of a task, the paper Adam's steps (beta1 = 0) on
    batches of them. Parameters that do not adapt, which the paper does not have, get the ordinary gradient of the mean
    loss at the adapted weights.

    Args:
        net: the net to start from; given by the configuration.
        adapts: which parameters adapt: groups of the net such as `all` or `decision`, or patterns on parameter names.
        inner_lr: step size of the inner loop.
        adaptation_steps: number of inner steps, >= 1.
        shrinkage: pseudo-ratings without error in each task, see `InnerLoop`; 0 is the paper's loss.
        loss: of all rows: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy` or `bpr` of clicks.

    Raises:
        InputError: nothing adapts, or a number is out of range.
    """

    order: ClassVar[int | None] = 1
    descends: ClassVar[bool] = True

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("all",),
        inner_lr: float = 0.02,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(1, adaptation_steps=adaptation_steps)
        self.net, self.engine = net, Batched()
        names = adapting(net, adapts)
        self.inner_loop = InnerLoop(names, inner_lr, adaptation_steps, shrinkage, True, loss_named(loss))

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on all rows, with Reptile's gradient."""
        return torch.cat([self._losses(part.task, joined(part)) for part in few_parts(batch)]).mean()

    def _losses(self, task: Tensor, rows: Rows) -> Tensor:
        """Losses (T,) of the tasks, each with its own gradient."""
        how = self.inner_loop
        start, *_, end = self.engine.path(self.net, how, task, rows)
        moved = [(start[name] - end[name]).detach() / how.inner_lr for name in weights(how.names, end)]
        scores = score(self.net, settled(self.net, how.names, end), task, rows.item)
        return how.loss.of_tasks(scores, rows) + pull(self.net, how.names, end, moved)

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps."""
        return adapt_detached(self.engine, self.net, self.inner_loop, task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)
