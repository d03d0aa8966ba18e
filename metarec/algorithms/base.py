"""The contract of an algorithm."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.losses import Loss, require_clicks
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError

Fast = dict[str, Tensor]
"""Fast weights by name, each with a leading task dimension; empty: the model as it is, without adaptation."""


class Algorithm(nn.Module):
    """Learns from tasks, adapts to the support set of new ones, and predicts their query set.

    `adapt` and `predict` are pure: they change nothing in the module.

    Attributes:
        moves: what a new user's support set changes, for people to read, where no argument `adapts` says it.
        order: 1 or 2 where the outer loss follows an inner loop of gradient steps, and no argument `first_order` says
            whether its gradient goes through them; null: there is none.
        undecayed: patterns on names of parameters that weight decay must leave alone: learned rates, penalties and
            transforms of gradients, for which 0 is no neutral value.
        descends: whether `adapt` is nothing but the steps of an `inner_loop` on a `net`, and `predict` that net's
            score, so that a user's fast weights can go on from where they are.
    """

    moves: ClassVar[str] = "nothing"
    order: ClassVar[int | None] = None
    undecayed: ClassVar[tuple[str, ...]] = ()
    descends: ClassVar[bool] = False

    @property
    def objective(self) -> Loss | None:
        """The loss that it is trained by: that of its inner loop, else its `outer_loss`; null: none."""
        inner_loop = getattr(self, "inner_loop", None)
        found: Loss | None = getattr(self, "outer_loss", None) if inner_loop is None else inner_loop.loss
        return found

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over attributes and statistics of the training tasks; called before each stage, with the same result.

        As it stands, for an algorithm whose `net` takes over all that there is.

        Raises:
            InputError: the loss does not suit the data's ratings.
        """
        if self.objective is not None and self.objective.of_clicks:
            require_clicks(f"loss {self.objective.name}", ratings.scale)
        self.net.prepare(ratings, train)  # type: ignore[union-attr, operator]

    def remarks(self) -> dict[str, str]:
        """What a run should note of how it computes, by topic."""
        return {}

    def loss(self, batch: TaskBatch) -> Tensor:
        """The outer loss of a batch, a scalar: the mean over its tasks.

        Raises:
            NotImplementedError: the method is not trained by gradients.
        """
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients; use `metarec test`")

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights of T tasks.

        Args:
            task: user rows, (T,).
            support: ratings to adapt on, (T, S).
        """
        raise NotImplementedError

    def weighs(self) -> str:
        """Why support ratings cannot count by weight; empty: they can, by `adapt_weighted`."""
        return f"{type(self).__name__} cannot weigh the ratings that it adapts to"

    def adapt_weighted(self, task: Tensor, support: Rows, weight: Tensor) -> Fast:
        """Fast weights of T tasks whose ratings count by weight: one of weight 2 as two of weight 1 would.

        Args:
            task: user rows, (T,).
            support: ratings to adapt on, (T, S).
            weight: >= 0, and 0 where padded, (T, S).

        Raises:
            InputError: ratings have no weights here.
        """
        raise InputError(self.weighs())

    def adapted(self, task: Tensor, support: Rows, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q) after adaptation, without gradients; the same as `adapt` and `predict`."""
        with torch.no_grad():
            return self.predict(self.adapt(task, support), task, item)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q) of the items `item` (T, Q) for the users `task` (T,)."""
        raise NotImplementedError
