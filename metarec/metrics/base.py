"""The base of all per-task metrics as torchmetrics classes, which sum over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric


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
        part: which part of the query rows the mask is to hold, see `metarec.data.unseen.parts`; empty: all.
        total: sum of the values, float64.
        tasks: how many tasks had a value, int64.
        missing: how many had none, int64.
    """

    full_state_update = False
    is_differentiable = False
    part = ""
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
