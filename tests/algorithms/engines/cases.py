"""Nets, batches and inner loops on which engines are compared."""

import numpy as np
import torch

from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.update_rules import GradientStep
from metarec.data.draws import draw
from metarec.data.ratings import Ratings
from metarec.data.tasks import Bucket, EpisodeSizes, Rows, TaskBatch, pack
from metarec.nets.base import Net
from tests.nets.tiny import TINY

NETS = TINY


def drawn(ratings: Ratings, sizes: EpisodeSizes, tasks: int, seed: int, dtype: torch.dtype, loss: str) -> TaskBatch:
    """A batch of tasks in order of support length, in two buckets, with targets that suit the loss."""
    packed, generator = pack(ratings, np.arange(len(ratings))), torch.Generator().manual_seed(seed)
    batch = draw(packed, torch.randperm(len(packed.task), generator=generator)[:tasks], sizes, generator, shuffle=True)
    length = batch.support.mask.sum(dim=1)
    order = length.argsort()
    sides = []
    for rows in (batch.support, batch.query):
        rating = rows.rating.to(dtype)
        if loss in ("bpr", "binary_cross_entropy"):
            rating = (rating >= 4).to(dtype) if loss == "bpr" else (rating - 1) / 4
        sides.append(Rows(*(column[order] for column in rows._replace(rating=rating))))
    length, cut, query = length[order], tasks // 2, batch.query.mask.shape[1]
    buckets = (Bucket(0, cut, int(length[:cut].max()), query), Bucket(cut, tasks, int(length.max()), query))
    return TaskBatch(batch.task[order], *sides, buckets)


def meta_gradient(
    net: Net, batch: TaskBatch, engine: str, adapts: list[str], rule: type = GradientStep, **options: object
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The outer loss of a batch and its gradient in all parameters, with learned update rules off their start."""
    torch.manual_seed(1)
    algorithm = MAML(net, adapts, 0.1, engine=engine, update_rule=rule, **options).to(batch.support.rating.dtype)
    with torch.no_grad():
        for parameter in algorithm.rule.parameters():
            parameter += 0.05 * torch.rand_like(parameter)
    loss = algorithm.loss(batch)
    parameters = list(algorithm.parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return loss.detach(), list(gradients)
