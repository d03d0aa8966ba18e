"""The metrics of ``functional`` as torchmetrics classes, and which metrics tables of ratings and of clicks have."""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor
from torch.nn import ModuleDict

from metarec.errors import InputError
from metarec.messages import one_of
from metarec.metrics import functional
from metarec.metrics.base import TaskMetric
from metarec.metrics.functional import Gain
from metarec.metrics.top import IN_TABLES, TopPerTask

Feedback = Literal["ratings", "clicks"]
"""What users leave behind: ratings on a scale, or clicks, which say nothing of the items without one."""


class MeanAbsoluteErrorPerTask(TaskMetric):
    """Mean absolute error of each task, then the mean over tasks; in rating units, >= 0.

    Args:
        part: part of the query rows that it is of, such as ``unseen``, see `metarec.data.unseen.parts`; empty: all.

    Example:
        >>> metric, mask = MeanAbsoluteErrorPerTask(), torch.ones(2, 2, dtype=torch.bool)
        >>> prediction = torch.tensor([[4.0, 1.0], [3.0, 3.0]])
        >>> values = metric.values(prediction, torch.tensor([[5.0, 3.0], [3.0, 2.0]]), mask)
        >>> metric.update(values)
        >>> values, metric.compute()
        (tensor([1.5000, 0.5000], dtype=torch.float64), tensor(1., dtype=torch.float64))
    """

    higher_is_better = False

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self.part = part

    @property
    def name(self) -> str:
        """``mae``; of a part of the query rows its name follows: ``mae_unseen``."""
        return "_".join(filter(None, ("mae", self.part)))

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``functional.mae``."""
        return functional.mae(prediction, target, mask)


class RootMeanSquaredErrorPerTask(TaskMetric):
    """Root mean squared error of each task, then the mean over tasks; in rating units, >= 0.

    Args:
        part: part of the query rows that it is of, such as ``unseen``, see `metarec.data.unseen.parts`; empty: all.

    Example:
        >>> metric, mask = RootMeanSquaredErrorPerTask(), torch.ones(1, 2, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[4.0, 1.0]]), torch.tensor([[5.0, 3.0]]), mask))
        >>> metric.compute()
        tensor(1.5811, dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self.part = part

    @property
    def name(self) -> str:
        """``rmse``; of a part of the query rows its name follows: ``rmse_unseen``."""
        return "_".join(filter(None, ("rmse", self.part)))

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``functional.rmse``."""
        return functional.rmse(prediction, target, mask)


class MeanSquaredErrorPerTask(TaskMetric):
    """Mean squared error of each task, then the mean over tasks; in squared rating units, >= 0.

    Where all tasks have equally many query rows, the root of its mean is the RMSE over all rows at once
    (micro), which many papers print.

    Example:
        >>> metric, mask = MeanSquaredErrorPerTask(), torch.ones(1, 2, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[4.0, 1.0]]), torch.tensor([[5.0, 3.0]]), mask))
        >>> metric.compute()
        tensor(2.5000, dtype=torch.float64)
    """

    higher_is_better = False

    @property
    def name(self) -> str:
        """``mse``."""
        return "mse"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The square of ``functional.rmse``."""
        return functional.rmse(prediction, target, mask).square()


class NDCGPerTask(TaskMetric):
    """nDCG at K of each task among its own query items, then the mean over tasks; in [0, 1].

    Args:
        k: the cut-off K >= 1; tasks with K query rows or fewer have no value.
        gain: ``linear`` (a rating r gains r) or ``exponential`` (2^r - 1).

    Raises:
        ValueError: if k or gain is not allowed.

    Example:
        >>> metric, mask = NDCGPerTask(k=2, gain="linear"), torch.ones(1, 3, dtype=torch.bool)
        >>> prediction, target = torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[3.0, 2.0, 1.0]])
        >>> metric.update(metric.values(prediction, target, mask))
        >>> metric.name, metric.compute()
        ('ndcg_linear@2', tensor(0.8520, dtype=torch.float64))
    """

    higher_is_better = True

    def __init__(self, k: int, gain: Gain) -> None:
        super().__init__()
        functional.check_cutoff(k, gain)
        self.k = k
        self.gain: Gain = gain

    @property
    def name(self) -> str:
        """Gain and cut-off stand in the name: ``ndcg_linear@5``, ``ndcg_exp@5``."""
        return f"ndcg_{'exp' if self.gain == 'exponential' else 'linear'}@{self.k}"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``functional.ndcg``."""
        return functional.ndcg(prediction, target, mask, self.k, self.gain)


class AreaUnderCurvePerTask(TaskMetric):
    """Area under the ROC curve of each task, then the mean over tasks; in [0, 1], chance is 1/2.

    Example:
        >>> metric, mask = AreaUnderCurvePerTask(), torch.ones(1, 3, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[0.3, 0.1, 0.2]]), torch.tensor([[1.0, 1.0, 0.0]]), mask))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    @property
    def name(self) -> str:
        """``auc``."""
        return "auc"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``functional.auc``; rows rated 1 or more are relevant."""
        return functional.auc(prediction, target, mask)


def metrics_of(feedback: Feedback, k: int = 5, relevant: float = 4.0) -> dict[str, TaskMetric]:
    """The metrics that suit what users leave behind, by name; the first one has a value where predictions are finite.

    Clicks are judged by AUC alone: the other rows of a query set are sampled, see ``functional.auc``, and scores are
    no ratings.

    Args:
        feedback: ``ratings`` or ``clicks``.
        k: the cut-off of all metrics of the top of ratings.
        relevant: the lowest rating of a relevant item, see `rating_metrics`.

    Returns:
        A new metric for each name.

    Raises:
        InputError: there is no such feedback.
        ValueError: if k is not an integer >= 1.

    Example:
        >>> list(metrics_of("clicks"))
        ['auc']
    """
    return one_of("feedback", feedback, {"ratings": rating_metrics, "clicks": click_metrics})(k, relevant)


def metrics_apart(feedback: Feedback, parts: Iterable[str]) -> dict[str, TaskMetric]:
    """The metrics of parts of the query rows, by name: errors; none for clicks, whose scores are no ratings.

    Args:
        feedback: ``ratings`` or ``clicks``.
        parts: what the parts are called, see `metarec.data.unseen.parts`.

    Returns:
        A new metric for each name.

    Example:
        >>> list(metrics_apart("ratings", ["unseen", "seen"]))
        ['mae_unseen', 'rmse_unseen', 'mae_seen', 'rmse_seen']
    """
    kinds = (MeanAbsoluteErrorPerTask, RootMeanSquaredErrorPerTask) if feedback == "ratings" else ()
    return {metric.name: metric for part in parts for metric in (kind(part) for kind in kinds)}


def as_modules(metrics: dict[str, TaskMetric]) -> ModuleDict:
    """The metrics under names that a ModuleDict takes: ``ndcg_exp_at_5``."""
    return ModuleDict({name.replace("@", "_at_"): metric for name, metric in metrics.items()})


def require_negatives(feedback: Feedback, negatives: int, disliked: bool) -> None:
    """Refuse to judge clicks without rows that are none, or ratings among such rows.

    Args:
        feedback: ``ratings`` or ``clicks``.
        negatives: how many the data draw for each rating.
        disliked: whether the data have rows of rating 0 of their own, as `metarec.data.transforms.likes` makes them.

    Raises:
        InputError: the two do not go together.
    """
    if negatives if feedback == "ratings" else not (negatives or disliked):
        raise InputError(
            f"model.feedback {feedback} with data.negatives {negatives}: give clicks and a number >= 1, as "
            "configs/feedback/clicks.yaml does, or likes and 0, as likes.yaml does, or ratings and 0"
        )


def click_metrics(k: int = 5, relevant: float = 1.0) -> dict[str, TaskMetric]:
    """The metrics of every table of clicks, by name, a new one for each; neither argument is used."""
    return {"auc": AreaUnderCurvePerTask()}


def rating_metrics(k: int = 5, relevant: float = 4.0) -> dict[str, TaskMetric]:
    """The metrics of every rating table, by name.

    Args:
        k: the cut-off of both nDCGs, precision, recall, hit rate, MRR and MAP.
        relevant: the lowest rating of a relevant item, for the last five of them. The default suits ratings of 1 to 5;
            on another scale, give what the data set's users would call liked.

    Returns:
        A new metric for each name.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> list(rating_metrics(k=5))[:5]
        ['mae', 'rmse', 'mse', 'ndcg_linear@5', 'ndcg_exp@5']
        >>> list(rating_metrics(k=5))[5:]
        ['precision@5', 'recall@5', 'hit@5', 'mrr@5', 'map@5']
    """
    metrics: list[TaskMetric] = [
        MeanAbsoluteErrorPerTask(),
        RootMeanSquaredErrorPerTask(),
        MeanSquaredErrorPerTask(),
        NDCGPerTask(k, "linear"),
        NDCGPerTask(k, "exponential"),
        *(TopPerTask(measure, k, relevant) for measure in IN_TABLES),
    ]
    return {metric.name: metric for metric in metrics}
