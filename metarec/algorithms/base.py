"""The contract of an algorithm."""

from torch import Tensor, nn

from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch

Fast = dict[str, Tensor]
"""Fast weights by name, each with a leading task dimension; empty: the model as it is, without adaptation."""


class Algorithm(nn.Module):
    """Learns from tasks, adapts to the support set of new ones, and predicts their query set.

    `adapt` and `predict` are pure: they change nothing in the module.
    """

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over attributes and statistics of the training tasks; called before each stage, with the same result."""
        raise NotImplementedError

    def loss(self, batch: TaskBatch) -> Tensor:
        """The outer loss of a batch, a scalar: the mean over its tasks."""
        raise NotImplementedError

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights of T tasks.

        Args:
            task: user rows, (T,).
            support: ratings to adapt on, (T, S).
        """
        raise NotImplementedError

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q) of the items `item` (T, Q) for the users `task` (T,)."""
        raise NotImplementedError


def squared_error(prediction: Tensor, rows: Rows, shrinkage: float = 0.0) -> Tensor:
    """Mean squared error of each task over its real rows, shape (T,), in rating units squared.

    Args:
        prediction: predicted ratings, (T, R).
        rows: the true ones.
        shrinkage: rows without error that are counted as well; the fewer ratings a task has, the less it weighs.
    """
    error = (prediction - rows.rating).square().masked_fill(~rows.mask, 0.0)
    return error.sum(dim=1) / (rows.mask.sum(dim=1) + shrinkage).clamp(min=1)
