"""The metrics of ``ranking`` as a torchmetrics class: the top K among a task's own query items."""

from torch import Tensor

from metarec.metrics import ranking
from metarec.metrics.base import TaskMetric
from metarec.metrics.padded import check_k

MEASURES = {
    "precision": ranking.precision,
    "recall": ranking.recall,
    "hit": ranking.hit_rate,
    "mrr": ranking.reciprocal_rank,
    "map": ranking.average_precision,
}
"""What can be said of the top K, by name; their means over tasks are the hit rate, the MRR and the MAP."""


class TopPerTask(TaskMetric):
    """One of `MEASURES` of each task at K among its own query items, then the mean over tasks; in [0, 1].

    Args:
        measure: which of `MEASURES`.
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value, nor have those without a relevant one.
        relevant: the lowest rating of a relevant item; the default is for ratings of 1 to 5.

    Raises:
        KeyError: there is no such measure.
        ValueError: if k is not an integer >= 1.

    Example:
        >>> mask = torch.ones(1, 4, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.4, 0.3, 0.2, 0.1]]), torch.tensor([[3.0, 5.0, 4.0, 1.0]])
        >>> metric = TopPerTask("precision", k=2)
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('precision@2', tensor(0.5000, dtype=torch.float64))
        >>> metric = TopPerTask("recall", k=2)
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('recall@2', tensor(0.5000, dtype=torch.float64))
        >>> metric = TopPerTask("hit", k=2)
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('hit@2', tensor(1., dtype=torch.float64))
        >>> metric = TopPerTask("mrr", k=2)
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('mrr@2', tensor(0.5000, dtype=torch.float64))
        >>> metric = TopPerTask("map", k=2)
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('map@2', tensor(0.2500, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, measure: str, k: int, relevant: float = ranking.RELEVANT) -> None:
        super().__init__()
        check_k(k)
        self.measure, self.of_top = measure, MEASURES[measure]
        self.k, self.relevant = k, relevant

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``precision@5``."""
        return f"{self.measure}@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See the measure in ``ranking``."""
        return self.of_top(prediction, target, mask, self.k, self.relevant)
