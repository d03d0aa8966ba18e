"""What adaptation does to the losses of a training batch, for the curves of a run."""

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.tasks import TaskBatch, joined


@torch.no_grad()
def curves(algorithm: Algorithm, batch: TaskBatch) -> dict[str, Tensor]:
    """Mean squared errors of a batch, scalars: support and query before and after adaptation, and the query's gain.

    Without dropout, as the model is judged.
    """
    algorithm.eval()
    item = joined(batch).item
    widths = [batch.support.mask.shape[1], batch.query.mask.shape[1]]
    losses = {}
    scores = {
        "before": algorithm.predict({}, batch.task, item),
        "after": algorithm.adapted(batch.task, batch.support, item),
    }
    for moment, rows in scores.items():
        support, query = torch.split(rows, widths, dim=1)
        losses[f"train/support_loss_{moment}"] = SQUARED_ERROR.of_tasks(support, batch.support).mean()
        losses[f"train/query_loss_{moment}"] = SQUARED_ERROR.of_tasks(query, batch.query).mean()
    algorithm.train()
    return losses | {"train/gain": losses["train/query_loss_before"] - losses["train/query_loss_after"]}
