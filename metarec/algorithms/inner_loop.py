"""The inner loop: which parameters adapt, how far, how often, and the weights that do."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from metarec.algorithms.base import Fast
from metarec.algorithms.losses import SQUARED_ERROR, Loss
from metarec.algorithms.update_rules import GradientStep, UpdateRule
from metarec.errors import InputError, at_least
from metarec.messages import did_you_mean
from metarec.nets.base import Net
from metarec.nets.features import patch_names


class FastWeights(nn.Module):
    """The adapting parameters of a net, under one roof for learn2learn to clone and update."""

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.names = list(parameters)
        self.rows: Fast = {}
        for number, parameter in enumerate(parameters.values()):
            self.register_parameter(f"weight{number}", parameter)

    def put(self, fast: Fast) -> None:
        """Take these weights by name instead, as `stacked` makes them."""
        for number, name in enumerate(self.names):
            rows, change = patch_names(name)
            if change in fast:
                self.rows[name] = fast[rows]
            self._parameters[f"weight{number}"] = fast.get(change, fast.get(name))  # type: ignore[assignment]

    def fast(self) -> Fast:
        """The weights by their names in the net."""
        fast: Fast = {}
        for name, weight in zip(self.names, self._parameters.values(), strict=True):
            rows, change = patch_names(name)
            patched = {rows: self.rows[name], change: weight} if name in self.rows else {name: weight}
            fast |= patched  # type: ignore[arg-type]
        return fast


def stacked(parameters: Mapping[str, Tensor], tasks: int, tables: dict[str, Tensor]) -> Fast:
    """Weights with a leading dimension of T equal slices; of a table, the rows in use and their changes, all 0.

    Args:
        parameters: the shared ones, by name.
        tasks: T.
        tables: by name of a table, the rows of it in use, (T, R).
    """
    fast: Fast = {}
    for name, parameter in parameters.items():
        if name in tables:
            rows, change = patch_names(name)
            fast[rows] = tables[name].sort(dim=1).values
            fast[change] = parameter.new_zeros(*tables[name].shape, parameter.shape[1]).requires_grad_()
        else:
            fast[name] = parameter.expand(tasks, *parameter.shape)
    return fast


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

    L_i is the mean loss over the support set of task i; with `shrinkage` c, the sum over its n ratings divided by
    n + c instead of n, so that few ratings move the parameters less than many; of a loss of pairs, the mean times
    n / (n + c). In one step of squared error on a user bias alone, that is the shrunk mean residual that ordinary bias
    models use.

    Attributes:
        names: parameters that adapt, as `adapting` returns them.
        inner_lr: step size, > 0.
        adaptation_steps: number of steps, >= 0.
        shrinkage: c, >= 0; 0 is the definition of Finn et al.
        first_order: whether the inner gradients count as constants.
        loss: the loss of a set of rows.
        rule: what a step does with the gradients.
    """

    names: Sequence[str]
    inner_lr: float
    adaptation_steps: int
    shrinkage: float = 0.0
    first_order: bool = False
    loss: Loss = SQUARED_ERROR
    rule: UpdateRule = field(default_factory=GradientStep)

    def __post_init__(self) -> None:
        at_least(0, adaptation_steps=self.adaptation_steps, shrinkage=self.shrinkage)
        if not self.inner_lr > 0:
            raise InputError(f"inner_lr {self.inner_lr}: give a rate > 0")

    @property
    def adapts_encoder(self) -> bool:
        """Whether a parameter of the encoder adapts; if none does, items are encoded once for all steps."""
        return any(name.startswith("encoder.") for name in self.names)

    def first(self) -> "InnerLoop":
        """The same in first order: the same fast weights, without a graph of the steps."""
        return dataclasses.replace(self, first_order=True)

    def learner(self, weights: FastWeights) -> Any:
        """The rule's learner around the weights."""
        return self.rule.learner(weights, self.inner_lr, self.first_order)
