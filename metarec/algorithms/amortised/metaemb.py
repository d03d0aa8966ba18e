"""Meta-Embedding: a generator of id vectors, trained for what they are worth before and after a step (MetaEmb)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.amortised.ids import IdVectors, frozen_attributes, frozen_encoding
from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import score
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import vector_widths
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError, below_one
from metarec.nets.base import Net


class MetaEmb(Algorithm):
    """Generates a new task's id vector from its attributes, good at once and after a step (Pan et al., SIGIR 2019).

    A task is a new item (an ad, in the paper) where the data are swapped (`metarec.data.sources.swapped`), else a new
    user. With x_i the vector of its attributes and p the id vector that all tasks share, both of a base model whose
    parameters are constants here, the generator g and one step of gradient descent give

        v_i = p + scale tanh(W x_i),   v_i' = v_i - inner_lr grad_v L_support(v_i),

    and W is learned by the mean over tasks of alpha L_support(v_i) + (1 - alpha) L_query(v_i'), the cold-start and the
    warm-up loss, differentiated through the step. Zero-shot, a task is scored with v_i, adapted with v_i'. The base is
    the net with a learned id vector p + d_i for each training task in the place of p, see `IdVectors`.

    Deviations: the paper trains the base first and W then; here every outer step trains both, the base on the loss of
    all rows under the known id vectors, W on the meta loss under the base as it is by then. The two losses share no
    parameter that learns, so that only a clipped norm of all gradients couples them. The generator adds to p, the
    paper's gives the whole vector; x_i is the net's own vector of the attributes, summed or side by side, where the
    paper's are averaged; the id vector contains the user bias; with `shrinkage`, few ratings move it less. The authors'
    code takes the step with each support row's own gradient, on a copy of v_i for that row, and scores one query row
    with each copy; here, as in the paper's equations, it is the gradient of the mean. The first version of their code
    left the cold-start loss out.

    Args:
        net: the net that is the base, with a user prior; given by the configuration.
        scale: largest absolute value that the generator adds, > 0.
        alpha: share of the cold-start loss, >= 0 and < 1.
        inner_lr: step size, > 0.
        adaptation_steps: number of steps, >= 0; 1 is the paper's.
        shrinkage: pseudo-ratings without error in each support set, see `InnerLoop`; 0 is the paper's.
        loss: of all rows: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy`, the paper's, or
            `bpr` of clicks.

    Raises:
        InputError: the net has no user prior, or a number is out of range.
    """

    moves: ClassVar[str] = "id vector"
    order: ClassVar[int | None] = 2

    def __init__(
        self,
        net: Net,
        scale: float = 0.2,
        alpha: float = 0.1,
        inner_lr: float = 0.1,
        adaptation_steps: int = 1,
        shrinkage: float = 0.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise InputError(f"scale {scale}: give a number > 0")
        below_one(alpha=alpha)
        self.net, self.scale, self.alpha, self.ids = net, scale, alpha, IdVectors(net, "MetaEmb")
        self.inner_loop = InnerLoop(self.ids.names, inner_lr, adaptation_steps, shrinkage, loss=loss_named(loss))
        self.generator = nn.Linear(vector_widths(net)[0], self.ids.width, bias=False)

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Let the net take over attributes and statistics."""
        super().prepare(ratings, train)
        self.ids.prepare(ratings, train)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the base's loss on all rows and the generator's meta loss."""
        return (self.ids.losses(self.net, self.inner_loop.loss, batch) + self.meta_losses(batch)).mean()

    def meta_losses(self, batch: TaskBatch) -> Tensor:
        """The loss that the generator is trained with, (T,)."""
        cold = self.generated(batch.task)
        warm = self.ids.descend(self.net, self.inner_loop, cold, batch.task, batch.support)
        losses = [
            self.inner_loop.loss.of_tasks(self._frozen_scores(vector, batch.task, rows), rows)
            for vector, rows in ((cold, batch.support), (warm, batch.query))
        ]
        return self.alpha * losses[0] + (1 - self.alpha) * losses[1]

    def generated(self, task: Tensor) -> Tensor:
        """v, (T, D), differentiable in the generator alone."""
        added = torch.tanh(self.generator(frozen_attributes(self.net, task)))
        return self.ids.prior(self.net).detach() + self.scale * added

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The generated id vectors after the step, as user prior and user bias of each task."""
        how = self.inner_loop.first()
        return self.ids.fast(self.ids.descend(self.net, how, self.generated(task), task, support))

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast or self.ids.fast(self.generated(task)), task, item)

    def _frozen_scores(self, vector: Tensor, task: Tensor, rows: Rows) -> Tensor:
        """The frozen base's scores (T, R) of rows under id vectors (T, D)."""
        return self.ids.scores(self.net, vector, task, frozen_encoding(self.net, task, rows.item))
