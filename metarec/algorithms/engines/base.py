"""The contract of an engine, and what all engines share: scores of a net with fast weights."""

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from metarec.algorithms.base import Fast
from metarec.algorithms.inner_loop import InnerLoop
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Encoded, Net


class Engine:
    """Computes inner loops; it has no state, net and inner loop come with each call."""

    name: ClassVar[str]

    def in_use(self, net: Net, how: InnerLoop) -> str:
        """What computes the meta-gradients of this net and inner loop, for people to read."""
        return self.name

    def adapt(self, net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
        """Adapt parameters of a net to every task's support set.

        Args:
            net: the net; it is not changed.
            how: which parameters, how far, how often, on which loss.
            task: user rows (T,).
            support: ratings (T, S).

        Returns:
            Fast weights by name, each (T, ...), connected to the net's parameters when gradients are enabled.

        Raises:
            InputError: called under ``torch.inference_mode``, where no gradient exists.
        """
        raise NotImplementedError

    def losses(self, net: Net, how: InnerLoop, batch: TaskBatch) -> Tensor:
        """Query losses (T,) of the net adapted to each task of a batch, connected to the net's parameters.

        Raises:
            InputError: called under ``torch.inference_mode``.
        """
        raise NotImplementedError

    def scores(self, net: Net, how: InnerLoop, task: Tensor, support: Rows, item: Tensor) -> Tensor:
        """Scores (T, R) of the items `item` (T, R) after adaptation, without gradients."""
        fast = adapt_detached(self, net, how, task, support)
        with torch.no_grad():
            return score(net, fast, task, item)


def descend(net: Net, how: InnerLoop, learner: Any, start: Fast, task: Tensor, support: Rows) -> Fast:
    """The learner's fast weights after all steps; see `descent`."""
    return deque(descent(net, how, learner, start, task, support), maxlen=1).pop()


def descent(net: Net, how: InnerLoop, learner: Any, start: Fast, task: Tensor, support: Rows) -> Iterator[Fast]:
    """Take the steps one by one with a learner of learn2learn, on the sum of the support losses.

    Args:
        net: the net.
        how: the inner loop.
        learner: a clone around `FastWeights`.
        start: weights that take the net's places besides the learner's; empty: none.
        task: user rows (T,).
        support: ratings (T, S).

    Yields:
        The learner's fast weights by name: before the first step, and after each.
    """
    encoded = None if how.adapts_encoder else encode(net, start, task, support.item)
    yield learner.module.fast()
    for _ in range(how.adaptation_steps):
        scores = score(net, start | learner.module.fast(), task, support.item, encoded)
        learner.adapt(how.loss.of_tasks(scores, support, how.shrinkage).sum())
        yield learner.module.fast()


def adapt_detached(engine: Engine, net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
    """Adapt for prediction: works under ``no_grad`` and leaves no graph behind."""
    with torch.enable_grad():
        fast = engine.adapt(net, how.first(), task, support)
    return {name: weight.detach() for name, weight in fast.items()}


def score(net: Net, fast: Fast, task: Tensor, item: Tensor, encoded: Encoded | None = None) -> Tensor:
    """Scores (T, R) of a net some of whose parameters are replaced by fast weights.

    Args:
        net: the net.
        fast: fast weights by name; empty: the net as it is.
        task: user rows (T,).
        item: item rows (T, R).
        encoded: what the encoder makes of them, if known already.
    """
    if encoded is None:
        encoded = encode(net, fast, task, item)
    scores: Tensor = functional_call(net.decoder, _of(fast, "decoder."), (encoded,))
    return scores


def encode(net: Net, fast: Fast, task: Tensor, item: Tensor) -> Encoded:
    """What the encoder makes of users (T,) and items (T, R), some of its parameters replaced by fast weights."""
    own = _of(fast, "encoder.")
    encoded: Encoded = functional_call(net.encoder, own, (task, item)) if own else net.encoder(task, item)
    return encoded


def _of(fast: Fast, part: str) -> Fast:
    """The fast weights of one part of the net, by their names in it."""
    return {name.removeprefix(part): weight for name, weight in fast.items() if name.startswith(part)}


def require_gradients() -> None:
    """Refuse to adapt where autograd is off for good.

    Raises:
        InputError: under ``torch.inference_mode``.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("adaptation needs gradients; run with --trainer.inference_mode=false")
