"""Loops over tasks with other libraries, as their careful users would write them.

What adapts is a module of its own, and what does not adapt is computed once for the whole batch, outside the loop.
Each library is optional; see the extra `peers`.
"""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metarec.algorithms.learn2learn import learn2learn
from metarec.benchmark.contenders import LEARN2LEARN, Contender, by_autograd
from metarec.benchmark.setting import INNER_LR, Cell, Setting
from metarec.data.tasks import TaskBatch
from metarec.nets.melu import MeLUNet


class Parts(NamedTuple):
    """A net cut where its adapting part begins.

    Attributes:
        model: the adapting part; gives a score less the mean rating for each row of what it is fed, (R, 1).
        feed: what it is fed for all rows of a batch, one task after the other, support before query.
    """

    model: nn.Module
    feed: Callable[[TaskBatch], Tensor]


class Whole(nn.Module):
    """The whole net as a map from rows of user and item ids, (R, 2), to scores less the mean, (R, 1)."""

    def __init__(self, net: MeLUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor) -> Tensor:
        """Score the rows of one task."""
        scores: Tensor = self.net(ids[:1, 0], ids[None, :, 1]) - self.net.decoder.mean
        return scores.view(-1, 1)


def cut(net: MeLUNet, adapts: str) -> Parts:
    """The adapting part of a net, for `decision`, `head` or `all`."""
    layers = [module for layer in net.decoder.layers for module in (layer, nn.ReLU())]

    def ids(batch: TaskBatch) -> Tensor:
        item, size = rows_of(batch)
        return torch.stack([batch.task.repeat_interleave(size), item], dim=1)

    def embedded(batch: TaskBatch) -> Tensor:
        item, size = rows_of(batch)
        encoded = net.encoder(batch.task, item[None])
        return torch.cat([encoded.user[:, 0].repeat_interleave(size, dim=0), encoded.item[0]], dim=1)

    if adapts == "all":
        return Parts(Whole(net), ids)
    if adapts == "head":
        body = nn.Sequential(*layers)
        return Parts(net.decoder.head, lambda batch: body(embedded(batch)))
    return Parts(nn.Sequential(*layers, net.decoder.head), embedded)


def rows_of(batch: TaskBatch) -> tuple[Tensor, Tensor]:
    """Items of all real rows, one task after the other, support before query, (N,); and rows a task, (T,)."""
    mask = torch.cat([batch.support.mask, batch.query.mask], dim=1)
    return torch.cat([batch.support.item, batch.query.item], dim=1)[mask], mask.sum(dim=1)


class Task(NamedTuple):
    """One task: what the adapting part is fed, and the ratings less the mean."""

    support: Tensor
    query: Tensor
    support_rating: Tensor
    query_rating: Tensor


def tasks_of(parts: Parts, batch: TaskBatch, mean: Tensor) -> Iterator[Task]:
    """The tasks of a batch, cut out of tensors made for all of them at once."""
    sizes = torch.stack([batch.support.mask.sum(dim=1), batch.query.mask.sum(dim=1)], dim=1).flatten().tolist()
    mask = torch.cat([batch.support.mask, batch.query.mask], dim=1)
    rating = torch.cat([batch.support.rating, batch.query.rating], dim=1)[mask] - mean
    fed, wanted = torch.split(parts.feed(batch), sizes), torch.split(rating[:, None], sizes)
    return (Task(fed[n], fed[n + 1], wanted[n], wanted[n + 1]) for n in range(0, len(sizes), 2))


def learn2learn_loop(setting: Setting, cell: Cell, net: MeLUNet | None = None) -> Contender:
    """learn2learn's MAML, one clone a task, around the benchmark's net or another one."""
    net = net or setting.net()
    parts = cut(net, cell.adapts)
    first_order = cell.order == 1
    maml = learn2learn("algorithms.maml").MAML(parts.model, lr=INNER_LR, first_order=first_order, allow_unused=True)

    def loss(batch: TaskBatch) -> Tensor:
        losses = []
        for task in tasks_of(parts, batch, net.decoder.mean):
            learner = maml.clone()
            for _ in range(cell.steps):
                learner.adapt(mse_loss(learner(task.support), task.support_rating))
            losses.append(mse_loss(learner(task.query), task.query_rating))
        return torch.stack(losses).mean()

    return by_autograd(LEARN2LEARN, "task by task", net, loss, version("learn2learn"))


def higher_loop(setting: Setting, cell: Cell) -> Contender:
    """Higher's differentiable SGD, one context a task; second order only."""
    higher: Any = importlib.import_module("higher")
    net = setting.net()
    parts = cut(net, cell.adapts)
    inner = torch.optim.SGD(parts.model.parameters(), lr=INNER_LR)

    def loss(batch: TaskBatch) -> Tensor:
        losses = []
        for task in tasks_of(parts, batch, net.decoder.mean):
            with higher.innerloop_ctx(parts.model, inner, copy_initial_weights=False) as (model, optimizer):
                for _ in range(cell.steps):
                    optimizer.step(mse_loss(model(task.support), task.support_rating))
                losses.append(mse_loss(model(task.query), task.query_rating))
        return torch.stack(losses).mean()

    return by_autograd("higher", "task by task", net, loss, version("higher"))


def torchopt_loop(setting: Setting, cell: Cell) -> Contender:
    """TorchOpt's MetaSGD, put back to the start after each task; second order only."""
    torchopt: Any = importlib.import_module("torchopt")
    net = setting.net()
    parts = cut(net, cell.adapts)
    inner = torchopt.MetaSGD(parts.model, lr=INNER_LR)

    def loss(batch: TaskBatch) -> Tensor:
        start = torchopt.extract_state_dict(parts.model, by="reference"), torchopt.extract_state_dict(inner)
        losses = []
        for task in tasks_of(parts, batch, net.decoder.mean):
            for _ in range(cell.steps):
                inner.step(mse_loss(parts.model(task.support), task.support_rating))
            losses.append(mse_loss(parts.model(task.query), task.query_rating))
            torchopt.recover_state_dict(parts.model, start[0])
            torchopt.recover_state_dict(inner, start[1])
        return torch.stack(losses).mean()

    return by_autograd("TorchOpt", "task by task", net, loss, version("torchopt"))


def version(package: str) -> str:
    """Name and version of an installed package."""
    return f"{package} {importlib.metadata.version(package)}"


def installed(module: str) -> bool:
    """Whether a module could be imported; imports nothing."""
    return importlib.util.find_spec(module) is not None
