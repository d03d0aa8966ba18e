"""learn2learn on all tasks of a batch in one call.

learn2learn's clone holds the adapting parameters with a leading task dimension, and each step takes the *sum* of
the tasks' support losses: tasks share no fast weight, so the gradient of the sum is every task's own gradient. Of
a table that adapts, each task holds its changes to the rows that its support set uses, and no copy.
"""

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Fast
from metarec.algorithms.engines.base import Engine, descent, require_gradients, score
from metarec.algorithms.inner_loop import FastWeights, InnerLoop, stacked
from metarec.data.buckets import coarser
from metarec.data.tasks import Rows, TaskBatch, parts
from metarec.nets.base import Net

BUCKET_COST = 1500
"""What one more bucket costs besides its rows, in support rows: its many small operations on the way back."""


class Batched(Engine):
    """One clone of learn2learn's learner for all tasks, whatever the net."""

    name = "batched"

    def adapt(self, net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
        """See `Engine.adapt`; tables that adapt come as `rows_` and `change_`, see `metarec.nets.features.Patch`."""
        return deque(self.path(net, how, task, support), maxlen=1).pop()

    def path(self, net: Net, how: InnerLoop, task: Tensor, support: Rows, item: Tensor | None = None) -> Iterator[Fast]:
        """The fast weights that `adapt` returns, before the first step and after each.

        Args:
            net: the net; it is not changed.
            how: which parameters, how far, how often, on which loss.
            task: user rows (T,).
            support: ratings (T, S).
            item: items (T, R) whose rows of tables that adapt are held; null: those of the support set.
        """
        used = support.item if item is None else item
        tables = net.table_rows(task, used) if how.adapts_encoder and how.rule.by_row else {}
        parameters = {name: net.get_parameter(name) for name in how.names}
        return _path(net, how, stacked(parameters, len(task), tables), task, support)

    def onward(self, net: Net, how: InnerLoop, fast: Fast, task: Tensor, support: Rows) -> Fast:
        """Fast weights after all steps from where they are.

        Args:
            net: the net; it is not changed.
            how: how far, how often, on which loss.
            fast: what to begin with, as `path` gives it, with the rows of tables that the support set uses.
            task: user rows (T,).
            support: ratings (T, S).
        """
        return deque(_path(net, how, fast, task, support), maxlen=1).pop()

    def losses(self, net: Net, how: InnerLoop, batch: TaskBatch) -> Tensor:
        """See `Engine.losses`; buckets are adapted one after the other, where they save enough padding."""
        losses = []
        for part in few_parts(batch):
            fast = self.adapt(net, how, part.task, part.support)
            scores = score(net, fast, part.task, part.query.item)
            losses.append(how.loss.of_tasks(scores, part.query))
        return torch.cat(losses)

    def task_gradients(self, net: Net, how: InnerLoop, batch: TaskBatch) -> Fast:
        """The meta-gradient of each task's own query loss, for what must clip or weigh tasks one by one.

        Args:
            net: the net; no gradient of it is touched.
            how: the inner loop; what its update rule learns gets no gradient here.
            batch: T tasks; its buckets are not used.

        Returns:
            By parameter, (T, ...). Of a table that is looked up by row, `rows_` (T, R) and `change_` (T, R, D)
            instead, see `metarec.nets.features.Patch`: the gradient is 0 in all other rows.

        Raises:
            InputError: called under ``torch.inference_mode``.
        """
        used = torch.cat([batch.support.item, batch.query.item], dim=1)
        tables = net.table_rows(batch.task, used) if how.rule.by_row else {}
        shared = {name: parameter.detach() for name, parameter in net.named_parameters()}
        start = stacked(shared, len(batch.task), tables)
        leaves = {name: weight.requires_grad_() for name, weight in start.items() if weight.is_floating_point()}
        with torch.enable_grad():
            fast = deque(_path(net, how, start, batch.task, batch.support), maxlen=1).pop()
            scores = score(net, fast, batch.task, batch.query.item)
            loss = how.loss.of_tasks(scores, batch.query).sum()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return start | dict(zip(leaves, found, strict=True))


def few_parts(batch: TaskBatch) -> list[TaskBatch]:
    """The buckets of a batch, each a batch, as `parts` gives them; neighbours joined where a bucket costs too much."""
    return parts(batch._replace(buckets=coarser(batch.buckets, BUCKET_COST)))


def _path(net: Net, how: InnerLoop, start: Fast, task: Tensor, support: Rows) -> Iterator[Fast]:
    """`start` with the adapting weights replaced by those before the first step, and after each."""
    require_gradients()
    weights = {name: net.get_parameter(name) if name in start else nn.Parameter(torch.empty(0)) for name in how.names}
    learner = how.learner(FastWeights(weights)).clone()  # which copies the weights: no table, of which changes are kept
    learner.module.put(start)
    for fast in descent(net, how, learner, start, task, support):
        yield start | fast
