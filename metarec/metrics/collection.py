"""The metrics of ``functional`` as torchmetrics classes, which sum over batches and processes."""

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from metarec.errors import InputError
from metarec.messages import one_of
from metarec.metrics import functional
from metarec.metrics.functional import Gain

Feedback = Literal["ratings", "clicks"]
"""What users leave behind: ratings on a scale, or clicks, which say nothing of the items without one."""


class TaskMetric(Metric):
    """Mean over tasks of a value per task, with one evaluation of each value.

    The two halves are apart, because the per-task table needs the values and the log needs their mean:

        values = metric.values(prediction, target, mask)   # pure, shape (T,), for the table
        metric.update(values)                              # adds them up, for the log

    ``update`` takes the values, not the batch, so nothing is computed twice. ``compute`` gives the mean
    over the tasks that have a value (macro average), NaN if none has; tasks without one are counted in
    ``missing``, never taken as 0. Between processes only three numbers travel. Calling the metric,
    ``metric(values)``, updates it and returns the mean of that batch.

    Keep several in a ``ModuleDict``: a ``MetricCollection`` would hand the same values to all of them.

    Attributes:
        total: sum of the values, float64.
        tasks: how many tasks had a value, int64.
        missing: how many had none, int64.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    tasks: Tensor
    missing: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("tasks", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("missing", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        """What logs and columns call it."""
        raise NotImplementedError

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """One value per task; changes nothing.

        Args:
            prediction: shape (T, Q).
            target: shape (T, Q).
            mask: False = padding, shape (T, Q), bool.

        Returns:
            Shape (T,), float64; NaN for a task that has no value.
        """
        raise NotImplementedError

    def update(self, values: Tensor) -> None:
        """Add the values of a batch of tasks.

        Args:
            values: what ``values`` returned, shape (T,); entries that are not finite count as missing.

        Raises:
            ValueError: if the shape is not (T,).
        """
        if values.dim() != 1:
            raise ValueError(f"{self.name} was updated with shape {tuple(values.shape)}; give one value per task, (T,)")
        finite = values.isfinite()
        # Lightning's "bf16-true" casts the float state; adding in place would keep it in bf16, this does not.
        self.total = self.total + values.double().masked_fill(~finite, 0.0).sum()
        self.tasks = self.tasks + finite.sum()
        self.missing = self.missing + (~finite).sum()

    def compute(self) -> Tensor:
        """Mean over all tasks that have a value, a float64 scalar; NaN if there is none."""
        return self.total / self.tasks


class MeanAbsoluteErrorPerTask(TaskMetric):
    """Mean absolute error of each task, then the mean over tasks; in rating units, >= 0.

    Example:
        >>> metric, mask = MeanAbsoluteErrorPerTask(), torch.ones(2, 2, dtype=torch.bool)
        >>> prediction = torch.tensor([[4.0, 1.0], [3.0, 3.0]])
        >>> values = metric.values(prediction, torch.tensor([[5.0, 3.0], [3.0, 2.0]]), mask)
        >>> metric.update(values)
        >>> values, metric.compute()
        (tensor([1.5000, 0.5000], dtype=torch.float64), tensor(1., dtype=torch.float64))
    """

    higher_is_better = False

    @property
    def name(self) -> str:
        """``mae``."""
        return "mae"

    def values(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See ``functional.mae``."""
        return functional.mae(prediction, target, mask)


class RootMeanSquaredErrorPerTask(TaskMetric):
    """Root mean squared error of each task, then the mean over tasks; in rating units, >= 0.

    Example:
        >>> metric, mask = RootMeanSquaredErrorPerTask(), torch.ones(1, 2, dtype=torch.bool)
        >>> metric.update(metric.values(torch.tensor([[4.0, 1.0]]), torch.tensor([[5.0, 3.0]]), mask))
        >>> metric.compute()
        tensor(1.5811, dtype=torch.float64)
    """

    higher_is_better = False

    @property
    def name(self) -> str:
        """``rmse``."""
        return "rmse"

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


def metrics_of(feedback: Feedback, k: int = 5) -> dict[str, TaskMetric]:
    """The metrics that suit what users leave behind, by name; the first one has a value where predictions are finite.

    Clicks are judged by AUC alone: the other rows of a query set are sampled, see ``functional.auc``, and scores are
    no ratings.

    Args:
        feedback: ``ratings`` or ``clicks``.
        k: the cut-off of both nDCGs of ratings.

    Returns:
        A new metric for each name.

    Raises:
        InputError: there is no such feedback.
        ValueError: if k is not an integer >= 1.

    Example:
        >>> list(metrics_of("clicks"))
        ['auc']
    """
    return one_of("feedback", feedback, {"ratings": rating_metrics, "clicks": click_metrics})(k)


def require_negatives(feedback: Feedback, negatives: int) -> None:
    """Refuse to judge clicks without rows that are none, or ratings among such rows.

    Args:
        feedback: ``ratings`` or ``clicks``.
        negatives: how many the data draw for each rating.

    Raises:
        InputError: the two do not go together.
    """
    if (feedback == "clicks") != (negatives > 0):
        raise InputError(
            f"model.feedback {feedback} with data.negatives {negatives}: give clicks and a number >= 1, as "
            "configs/feedback/clicks.yaml does, or ratings and 0"
        )


def click_metrics(k: int = 5) -> dict[str, TaskMetric]:
    """The metrics of every table of clicks, by name, a new one for each; the cut-off is not used."""
    return {"auc": AreaUnderCurvePerTask()}


def rating_metrics(k: int = 5) -> dict[str, TaskMetric]:
    """The metrics of every rating table, by name.

    Args:
        k: the cut-off of both nDCGs.

    Returns:
        A new metric for each name.

    Raises:
        ValueError: if k is not an integer >= 1.

    Example:
        >>> list(rating_metrics(k=5))
        ['mae', 'rmse', 'mse', 'ndcg_linear@5', 'ndcg_exp@5']
    """
    metrics: list[TaskMetric] = [
        MeanAbsoluteErrorPerTask(),
        RootMeanSquaredErrorPerTask(),
        MeanSquaredErrorPerTask(),
        NDCGPerTask(k, "linear"),
        NDCGPerTask(k, "exponential"),
    ]
    return {metric.name: metric for metric in metrics}
