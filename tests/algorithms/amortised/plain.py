"""What the plain versions in these tests share: one task at a time, one row at a time, in numpy."""

import numpy as np
import torch
from torch import Tensor, nn

from metarec.data.tasks import Rows, TaskBatch
from metarec.nets.base import Net


def double(batch: TaskBatch) -> TaskBatch:
    support, query = (rows._replace(rating=rows.rating.double()) for rows in (batch.support, batch.query))
    return batch._replace(support=support, query=query)


def emptied(rows: Rows) -> Rows:
    return rows._replace(mask=torch.zeros_like(rows.mask))


def layered(layers: nn.Sequential, input: np.ndarray) -> np.ndarray:
    """Linear layers, with max(x, 0) between each two."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(linear):
        input = layer.weight.detach().numpy() @ input + layer.bias.detach().numpy()
        if number + 1 < len(linear):
            input = np.maximum(input, 0)
    return input


def rows_of(net: Net, task: Tensor, item: Tensor) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """User vector, item vector and the net's score of each of one user's items."""
    encoded = net.encoder(task[None], item[None])
    user, vectors = encoded.user[0, 0].detach().numpy(), encoded.item[0].detach().numpy()
    scores = net(task[None], item[None])[0].tolist()
    return [(user, vector, score) for vector, score in zip(vectors, scores, strict=True)]
