"""Meta warm-up framework: meta networks scale and shift the id vector of a cold task (MWUF)."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.amortised.ids import IdVectors, frozen_attributes, frozen_encoding
from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import score
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import LossName, loss_named, shares
from metarec.algorithms.sets import mlp, vector_widths
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import at_least, below_one
from metarec.nets.base import Net


class MWUF(Algorithm):
    """Scales a cold id vector by what attributes say, shifts it by who interacted (Zhu et al., SIGIR 2021).

    A task is a new item where the data are swapped (`metarec.data.sources.swapped`), else a new user; the other side,
    who interacted with it, is the users of a new item. With x_i the vector of the task's attributes and u_s the other
    side's vector in support row s, both of a base model whose parameters are constants here,

        c_i = `adaptation_steps` steps of gradient descent on L_support(c) from the mean id vector of the known tasks,
        w_i = c_i * scale(x_i) + shift(sum_s u_s / (S + shrinkage)),

    entry by entry. c_i is the cold id vector, w_i the warm one that predicts. The meta networks, scale and shift, are
    learned by the loss of the query set under w_i, in which c_i is a constant: as in the paper, the cold loss moves the
    cold vector and the warm loss the meta networks. The base is the net with a learned id vector for each training task
    in the place of the user prior, see `IdVectors`. Without support ratings there is no shift, and c_i is the mean.

    Deviations: the paper trains the base first, then passes over the known items as if cold, whose cold vectors the
    optimizer moves batch by batch; here every outer step trains the base, on the loss of all rows under the known id
    vectors, and the meta networks, on episodes in which c_i starts from the mean each time. The two losses share no
    parameter that learns, so that only a clipped norm of all gradients couples them. The warm loss is of other rows
    than the cold loss, and a share `alpha` of it is that of the scaled mean vector, as before any support rating, so
    that zero-shot is trained as well. scale is 1 and shift 0 at first, so that training starts from the base itself;
    shift has no biases, so that nobody shifts nothing. u_s are the net's vectors of id and attributes; the id vector
    contains the user bias.

    Args:
        net: the net that is the base, with a user prior; given by the configuration.
        hidden: width of the hidden layer of scale and of shift, >= 1.
        alpha: share of the loss without support ratings, >= 0 and < 1; 0: none.
        inner_lr: step size, > 0.
        adaptation_steps: number of steps, >= 0.
        shrinkage: pseudo-ratings without error and with vector 0 in each support set, see `InnerLoop`; 0: the paper's
            mean.
        loss: of all rows: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy`, the paper's, or
            `bpr` of clicks.

    Raises:
        InputError: the net has no user prior, or a number is out of range.
    """

    moves: ClassVar[str] = "id vector"
    order: ClassVar[int | None] = 1

    def __init__(
        self,
        net: Net,
        hidden: int = 16,
        alpha: float = 0.1,
        inner_lr: float = 0.1,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(1, hidden=hidden)
        below_one(alpha=alpha)
        self.net, self.alpha, self.ids = net, alpha, IdVectors(net, "MWUF")
        self.inner_loop = InnerLoop(self.ids.names, inner_lr, adaptation_steps, shrinkage, True, loss_named(loss))
        attributes, other = vector_widths(net)
        self.scale = mlp(attributes, hidden, self.ids.width)
        self.shift = nn.Sequential(
            nn.Linear(other, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, self.ids.width, bias=False)
        )
        for parameter in (*self.scale[-1].parameters(), *self.shift[-1].parameters()):
            nn.init.zeros_(parameter)

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Let the net take over attributes and statistics."""
        super().prepare(ratings, train)
        self.ids.prepare(ratings, train)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the base's loss on all rows and the meta networks' loss."""
        return (self.ids.losses(self.net, self.inner_loop.loss, batch) + self.meta_losses(batch)).mean()

    def meta_losses(self, batch: TaskBatch) -> Tensor:
        """The loss that the meta networks are trained with, (T,)."""
        encoded = frozen_encoding(self.net, batch.task, batch.query.item)
        losses = [
            self.inner_loop.loss.of_tasks(self.ids.scores(self.net, vector, batch.task, encoded), batch.query)
            for vector in (self.cold(batch.task), self.warm(batch.task, batch.support))
        ]
        return self.alpha * losses[0] + (1 - self.alpha) * losses[1]

    def cold(self, task: Tensor) -> Tensor:
        """The scaled mean id vector, w of tasks without support ratings, (T, D)."""
        return self._scaled(self._mean(task), task)

    def warm(self, task: Tensor, support: Rows) -> Tensor:
        """w, (T, D), differentiable in the meta networks alone."""
        vector = self.ids.descend(self.net, self.inner_loop, self._mean(task), task, support)
        others = frozen_encoding(self.net, task, support.item).item
        weight = shares(support, self.inner_loop.shrinkage).unsqueeze(1)
        shift: Tensor = self.shift(torch.bmm(weight.to(others.dtype), others).squeeze(1))
        return self._scaled(vector, task) + shift

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The warm id vectors, as user prior and user bias of each task."""
        with torch.no_grad():
            return self.ids.fast(self.warm(task, support))

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast or self.ids.fast(self.cold(task)), task, item)

    def _mean(self, task: Tensor) -> Tensor:
        """The mean id vector of the known tasks as a constant, (T, D)."""
        return self.ids.mean(self.net).detach().expand(len(task), -1)

    def _scaled(self, vector: Tensor, task: Tensor) -> Tensor:
        """Cold id vectors (T, D) times the scale of the tasks' attributes."""
        scaled: Tensor = vector * (1 + self.scale(frozen_attributes(self.net, task)))
        return scaled
