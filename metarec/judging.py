"""Predictions of adapted models, and the time that they take."""

import time

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.tasks import TaskBatch, alone


def adapted(algorithm: Algorithm, batch: TaskBatch) -> Tensor:
    """Predictions (T, Q) for the query sets after adaptation; zero-shot where there is nothing to adapt to."""
    if not batch.support.mask.shape[1]:
        return algorithm.predict({}, batch.task, batch.query.item)
    return algorithm.adapted(batch.task, batch.support, batch.query.item)


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
