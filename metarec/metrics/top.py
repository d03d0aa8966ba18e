"""The metrics of ``ranking`` as torchmetrics classes: the top K among a task's own query items."""

from torch import Tensor

from metarec.metrics import ranking
from metarec.metrics.base import TaskMetric
from metarec.metrics.padded import check_k


class PrecisionPerTask(TaskMetric):
    """Precision at K of each task among its own query items, then the mean over tasks; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = PrecisionPerTask(k=2), torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('precision@2', tensor(0.5000, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``precision@5``."""
        return f"precision@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``ranking.precision``."""
        return ranking.precision(prediction, target, mask, self.k, self.relevant)


class RecallPerTask(TaskMetric):
    """Recall at K of each task among its own query items, then the mean over tasks; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = RecallPerTask(k=2), torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('recall@2', tensor(0.5000, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``recall@5``."""
        return f"recall@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``ranking.recall``."""
        return ranking.recall(prediction, target, mask, self.k, self.relevant)


class HitRatePerTask(TaskMetric):
    """Hit at K of each task among its own query items, then the mean over tasks, the hit rate; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = HitRatePerTask(k=2), torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('hit@2', tensor(1., dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``hit@5``."""
        return f"hit@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``ranking.hit_rate``."""
        return ranking.hit_rate(prediction, target, mask, self.k, self.relevant)


class ReciprocalRankPerTask(TaskMetric):
    """Reciprocal rank at K of each task among its query items, then the mean over tasks, MRR; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = ReciprocalRankPerTask(k=2), torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('mrr@2', tensor(0.5000, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``mrr@5``."""
        return f"mrr@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``ranking.reciprocal_rank``."""
        return ranking.reciprocal_rank(prediction, target, mask, self.k, self.relevant)


class AveragePrecisionPerTask(TaskMetric):
    """Average precision at K of each task among its query items, then the mean over tasks, MAP; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = AveragePrecisionPerTask(k=2), torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('map@2', tensor(0.2500, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``map@5``."""
        return f"map@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``ranking.average_precision``."""
        return ranking.average_precision(prediction, target, mask, self.k, self.relevant)
