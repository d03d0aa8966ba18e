"""What adaptation does to the losses of a training batch, for the curves of a run."""

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.algorithms.losses import BPR, SQUARED_ERROR, Loss
from metarec.data.tasks import TaskBatch, joined
from metarec.metrics.collection import Feedback

LOSSES: dict[Feedback, Loss] = {"ratings": SQUARED_ERROR, "clicks": BPR}
"""What is shown of all methods, whatever each is trained by; scores of clicks may have any level, which BPR ignores."""


@torch.no_grad()
def curves(algorithm: Algorithm, batch: TaskBatch, feedback: Feedback) -> dict[str, Tensor]:
    """Mean losses of a batch, scalars: support and query before and after adaptation, and the query's gain.

    Without dropout, as the model is judged.

    Args:
        algorithm: the algorithm.
        batch: the batch.
        feedback: says which loss, see `LOSSES`.
    """
    loss = LOSSES[feedback]
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
        losses[f"train/support_loss_{moment}"] = loss.of_tasks(support, batch.support).mean()
        losses[f"train/query_loss_{moment}"] = loss.of_tasks(query, batch.query).mean()
    algorithm.train()
    return losses | {"train/gain": losses["train/query_loss_before"] - losses["train/query_loss_after"]}
