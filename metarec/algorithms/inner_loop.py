"""The inner loop: gradient steps on the support set, for all tasks of a batch in one call.

learn2learn's MAML does the adaptation. Its clone holds the adapting parameters with a leading task dimension,
and each step takes the *sum* of the tasks' support losses: tasks share no fast weight, so the gradient of the
sum is every task's own gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metarec.algorithms.base import Fast, squared_error
from metarec.algorithms.learn2learn import maml_class
from metarec.data.tasks import Rows
from metarec.errors import InputError, at_least
from metarec.messages import did_you_mean
from metarec.nets.base import Encoded, Net


class FastWeights(nn.Module):
    """The adapting parameters of a net, under one roof for learn2learn to clone and update."""

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.names = list(parameters)
        for number, parameter in enumerate(parameters.values()):
            self.register_parameter(f"weight{number}", parameter)

    def stack(self, tasks: int) -> None:
        """Give every weight a leading dimension of `tasks` equal slices."""
        for name, weight in self._parameters.items():
            if weight is not None:
                self._parameters[name] = weight.expand(tasks, *weight.shape)  # type: ignore[assignment]

    def fast(self) -> Fast:
        """The weights by their names in the net."""
        return dict(zip(self.names, self._parameters.values(), strict=True))  # type: ignore[arg-type]


def adapting(net: Net, patterns: Sequence[str]) -> list[str]:
    """Names of the net's parameters that adapt.

    Args:
        net: the net.
        patterns: names of the net's `groups`, or patterns on parameter names such as ``decoder.layers.*``.

    Raises:
        InputError: there is no pattern, or one matches nothing; names the nearest ones that would.
    """
    if not patterns:
        raise InputError(f"adapts: nothing; give at least one of {list(net.groups)} or a pattern")
    names = [name for name, _ in net.named_parameters()]
    chosen: set[str] = set()
    for pattern in patterns:
        wanted = net.groups.get(pattern, [pattern])
        found = {name for name in names if any(fnmatchcase(name, w) for w in wanted)}
        if not found:
            raise InputError(
                f"adapts: {pattern!r} matches no parameter; groups are {list(net.groups)}"
                + did_you_mean(pattern, [*net.groups, *names], 0.3)
            )
        chosen |= found
    return [name for name in names if name in chosen]


@dataclass
class InnerLoop:
    """How a net adapts: theta_i = theta - inner_lr * grad L_i(theta), `adaptation_steps` times.

    L_i is the mean squared error over the support set of task i; with `shrinkage` c, the sum over its n ratings
    divided by n + c instead of n, so that few ratings move the parameters less than many. In one step of
    size 1/2 on a user bias alone, that is the shrunk mean residual that ordinary bias models use.

    Attributes:
        names: parameters that adapt, as `adapting` returns them.
        inner_lr: step size, > 0.
        adaptation_steps: number of steps, >= 0.
        shrinkage: c, >= 0; 0 is the definition of Finn et al.
    """

    names: Sequence[str]
    inner_lr: float
    adaptation_steps: int
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        at_least(0, adaptation_steps=self.adaptation_steps, shrinkage=self.shrinkage)
        if not self.inner_lr > 0:
            raise InputError(f"inner_lr {self.inner_lr}: give a rate > 0")


def score(net: Net, fast: Fast, task: Tensor, item: Tensor, encoded: Encoded | None = None) -> Tensor:
    """Scores (T, R) of a net some of whose parameters are replaced by fast weights.

    Args:
        net: the net.
        fast: fast weights by name; empty: the net as it is.
        task: user rows (T,).
        item: item rows (T, R).
        encoded: what the encoder makes of them, if known already.
    """
    parts: dict[str, Fast] = {"encoder": {}, "decoder": {}}
    for name, weight in fast.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = weight
    if encoded is None:
        encoded = functional_call(net.encoder, parts["encoder"], (task, item))
    scores: Tensor = functional_call(net.decoder, parts["decoder"], (encoded,))
    return scores


def adapt(net: Net, how: InnerLoop, task: Tensor, support: Rows, first_order: bool) -> Fast:
    """Adapt parameters of a net to every task's support set.

    Args:
        net: the net; it is not changed.
        how: which parameters, how far, how often.
        task: user rows (T,).
        support: ratings (T, S).
        first_order: treat the inner gradients as constants, and build no graph of them.

    Returns:
        Fast weights by name, each (T, ...), connected to the net's parameters when gradients are enabled.

    Raises:
        InputError: called under ``torch.inference_mode``, where no gradient exists.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("adaptation needs gradients; run with --trainer.inference_mode=false")
    parameters = dict(net.named_parameters())
    learner = maml_class()(
        FastWeights({name: parameters[name] for name in how.names}),
        lr=how.inner_lr,
        first_order=first_order,
        allow_unused=True,
    ).clone()
    learner.module.stack(len(task))
    once = not any(name.startswith("encoder.") for name in how.names)
    encoded = net.encoder(task, support.item) if once else None
    for _ in range(how.adaptation_steps):
        prediction = score(net, learner.module.fast(), task, support.item, encoded)
        learner.adapt(squared_error(prediction, support, how.shrinkage).sum())
    fast: Fast = learner.module.fast()
    return fast


def adapt_detached(net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
    """Adapt as `adapt` does, for prediction: works under ``no_grad`` and leaves no graph behind."""
    with torch.enable_grad():
        fast = adapt(net, how, task, support, first_order=True)
    return {name: weight.detach() for name, weight in fast.items()}
