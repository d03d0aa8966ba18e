"""What adaptation does to the losses of a training batch, for the curves of a run."""

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.tasks import TaskBatch, joined, parts


@torch.no_grad()
def curves(algorithm: Algorithm, batch: TaskBatch) -> dict[str, Tensor]:
    """Mean squared errors of a batch, scalars: support and query before and after adaptation, and the query's gain.

    Without dropout, as the model is judged.
    """
    algorithm.eval()
    buckets = [_losses(algorithm, part) for part in parts(batch)]
    algorithm.train()
    means = {name: torch.cat([losses[name] for losses in buckets]).mean() for name in buckets[0]}
    return means | {"train/gain": means["train/query_loss_before"] - means["train/query_loss_after"]}


def _losses(algorithm: Algorithm, batch: TaskBatch) -> dict[str, Tensor]:
    """Support and query errors of each task before and after adaptation, each (T,)."""
    fast, item = algorithm.adapt(batch.task, batch.support), joined(batch).item
    widths = [batch.support.mask.shape[1], batch.query.mask.shape[1]]
    losses = {}
    for moment, weights in (("before", {}), ("after", fast)):
        support, query = torch.split(algorithm.predict(weights, batch.task, item), widths, dim=1)
        losses[f"train/support_loss_{moment}"] = SQUARED_ERROR.of_tasks(support, batch.support)
        losses[f"train/query_loss_{moment}"] = SQUARED_ERROR.of_tasks(query, batch.query)
    return losses
