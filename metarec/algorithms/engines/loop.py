"""learn2learn task by task: slow, and plain enough to be the oracle of the other engines."""

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.engines.base import Engine, descend, require_gradients, score
from metarec.algorithms.inner_loop import FastWeights, InnerLoop
from metarec.data.tasks import Rows, TaskBatch, alone
from metarec.nets.base import Net


class Loop(Engine):
    """One clone of learn2learn's learner for each task: no padding, no task dimension, whole tables."""

    name = "loop"

    def adapt(self, net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
        """See `Engine.adapt`; a table that adapts is copied whole for each task."""
        require_gradients()
        each = [_adapted(net, how, alone(TaskBatch(task, support, support), number)) for number in range(len(task))]
        return {name: torch.stack([fast[name] for fast in each]) for name in how.names}

    def losses(self, net: Net, how: InnerLoop, batch: TaskBatch) -> Tensor:
        """See `Engine.losses`."""
        require_gradients()
        losses = []
        for number in range(len(batch.task)):
            one = alone(batch, number)
            scores = score(net, _adapted(net, how, one), one.task, one.query.item)
            losses.append(how.loss.of_tasks(scores, one.query))
        return torch.cat(losses)


def _adapted(net: Net, how: InnerLoop, one: TaskBatch) -> Fast:
    """Fast weights of a single task, without a task dimension."""
    learner = how.learner(FastWeights({name: net.get_parameter(name) for name in how.names})).clone()
    return descend(net, how, learner, {}, one.task, one.support)
