"""The metrics of ``ranking``, ``largest`` and ``values`` as torchmetrics classes: the top K of a task's query items."""

from torch import Tensor

from metarec.metrics import largest, ranking, values
from metarec.metrics.base import TaskMetric
from metarec.metrics.padded import check_k

MEASURES = {
    "precision": ranking.precision,
    "recall": ranking.recall,
    "hit": ranking.hit_rate,
    "mrr": ranking.reciprocal_rank,
    "map": ranking.average_precision,
    "ndcg_binary": ranking.binary_ndcg,
}
"""What can be said of the top K, by name; their means over tasks are the hit rate, the MRR and the MAP."""

IN_TABLES = ("precision", "recall", "hit", "mrr", "map")
"""Those of `MEASURES` that every run of ratings reports; the others are for who asks for them."""

OF_LARGEST = {
    "precision": largest.precision,
    "recall": largest.recall,
    "hit": largest.hit,
    "mrr": largest.reciprocal_rank,
    "ndcg": largest.ndcg,
}
"""The same where the M largest ratings are relevant; the nDCG is the binary one."""

OF_VALUES = {"precision_values": values.precision_values, "map_values": values.map_values}
"""The same where any item with the rating of one of the K largest is as good."""


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


class TopOfLargest(TaskMetric):
    """One of `OF_LARGEST` of each task at K, the M largest ratings being relevant, then the mean over tasks; in [0, 1].

    Args:
        measure: which of `OF_LARGEST`.
        most: M >= 1; tasks with M query rows or fewer have no value.
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value.

    Raises:
        KeyError: there is no such measure.
        ValueError: if k or most is not an integer >= 1.

    Example:
        >>> metric, mask = TopOfLargest("recall", most=1, k=2), torch.ones(1, 3, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[1.0, 1.0, 5.0]]), mask))
        >>> metric.name, metric.compute()
        ('recall_top1@2', tensor(1., dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, measure: str, most: int, k: int) -> None:
        super().__init__()
        check_k(most)
        check_k(k)
        self.measure, self.of_top = measure, OF_LARGEST[measure]
        self.most, self.k = most, k

    @property
    def name(self) -> str:
        """How many are relevant and the cut-off stand in the name: ``precision_top5@5``."""
        return f"{self.measure}_top{self.most}@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See the measure in ``largest``."""
        return self.of_top(prediction, target, mask, self.k, self.most)


class TopOfValues(TaskMetric):
    """One of `OF_VALUES` of each task at K, then the mean over tasks; in [0, 1].

    Args:
        measure: which of `OF_VALUES`.
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value.

    Raises:
        KeyError: there is no such measure.
        ValueError: if k is not an integer >= 1.

    Example:
        >>> metric, mask = TopOfValues("precision_values", k=2), torch.ones(1, 3, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[1.0, 5.0, 5.0]]), mask))
        >>> metric.name, metric.compute()
        ('precision_values@2', tensor(0.5000, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, measure: str, k: int) -> None:
        super().__init__()
        check_k(k)
        self.measure, self.of_top, self.k = measure, OF_VALUES[measure], k

    @property
    def name(self) -> str:
        """The cut-off stands in the name: ``precision_values@5``."""
        return f"{self.measure}@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See the measure in ``values``."""
        return self.of_top(prediction, target, mask, self.k)
