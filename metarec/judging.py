"""Predictions of adapted models, what they are judged by, and the time that they take."""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.tasks import TaskBatch, alone
from metarec.data.unseen import APART
from metarec.metrics.base import TaskMetric

Columns = dict[str, Tensor]
"""One value per task and column."""


def adapted(algorithm: Algorithm, batch: TaskBatch) -> Tensor:
    """Predictions (T, Q) for the query sets after adaptation; zero-shot where there is nothing to adapt to."""
    if not batch.support.mask.shape[1]:
        return algorithm.predict({}, batch.task, batch.query.item)
    return algorithm.adapted(batch.task, batch.support, batch.query.item)


def judged(
    batch: TaskBatch,
    prediction: Mapping[str, Tensor],
    metrics: Mapping[str, Sequence[TaskMetric]],
    parts: Mapping[str, Tensor],
) -> Columns:
    """Every metric in every mode, one value per task, added to the running means.

    Args:
        batch: T tasks.
        prediction: by mode, predictions for their query sets, (T, Q).
        metrics: by mode, what they are judged by; those of a part take the query rows of its items alone.
        parts: by part, which items belong to it, (items,), bool, see `metarec.data.unseen.parts`.

    Returns:
        The values as ``MODE/METRIC``, and how many rows the support set, the query set, and what is unseen of it have.
    """
    query = batch.query
    masks = {part: query.mask & items[query.item] for part, items in parts.items()}
    columns: Columns = {
        "user": batch.task,
        "support_size": batch.support.mask.sum(dim=1),
        "query_size": query.mask.sum(dim=1),
        **{f"{part}_size": masks[part].sum(dim=1) for part in APART if part in masks},
    }
    for mode, every in metrics.items():
        for metric in every:
            values = metric.values(prediction[mode], query.rating, masks.get(metric.part, query.mask))
            metric.update(values)
            columns[f"{mode}/{metric.name}"] = values
    return columns


def seconds_alone(algorithm: Algorithm, batch: TaskBatch) -> Tensor:
    """Seconds to adapt to one user at a time and predict their query set, (T,): what serving would take."""
    seconds = []
    for number in range(len(batch.task)):
        one = alone(batch, number)
        _finish_queued_work(one.task.device)
        started = time.perf_counter()
        adapted(algorithm, one)
        _finish_queued_work(one.task.device)
        seconds.append(time.perf_counter() - started)
    return torch.tensor(seconds, dtype=torch.float64)


def _finish_queued_work(device: torch.device) -> None:
    """Wait for a GPU, so that the clock sees what it has been given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
