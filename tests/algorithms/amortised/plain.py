"""What the plain versions in these tests share: one task at a time, one row at a time, in numpy."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarec.algorithms.amortised.ids import IdVectors
from metarec.data.tasks import Rows, TaskBatch
from metarec.nets.base import Net

Module = TypeVar("Module", bound=nn.Module)


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


def randomised(module: Module) -> Module:
    """The module with all parameters moved by random numbers, so that nothing is left at 0."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return module


def under(net: Net, ids: IdVectors, vector: Tensor, task: Tensor, item: Tensor) -> Tensor:
    """Scores (R,) of one task's items by the whole net, its user prior and bias replaced by an id vector (D,)."""
    parts = torch.split(vector, ids.widths)
    scores: Tensor = functional_call(net, dict(zip(ids.names, parts, strict=True)), (task[None], item[None]))
    return scores[0]
