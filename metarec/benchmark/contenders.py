"""Contenders of one cell: the same loss and the same meta-gradient, computed by different code."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metarec.algorithms.engines import EngineName
from metarec.benchmark.setting import Cell, Setting
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.melu import MeLUNet

TOLERANCE = 1e-5
"""Relative difference from the loop's float32 loss and gradients up to which a contender computes the same."""

RULE = "rule."
"""What the names of the parameters of a learned update rule begin with, in an algorithm."""

LOOP = "loop"
LEARN2LEARN = "learn2learn"


class Outcome(NamedTuple):
    """What a step finds: the outer loss, and its gradient by name of the parameters, the net's or an algorithm's."""

    loss: float
    gradient: dict[str, Tensor]


class Contender(NamedTuple):
    """One way to compute an outer step.

    Attributes:
        engine: an engine of ours, or a library.
        batching: the batches it is given; `task by task` gets those in buckets and goes through their tasks.
        step: computes loss and gradients of one batch.
        outcome: does a step and returns what it found.
        shares: its true cost in each round as a share of what `step` takes; empty: all of it, but for the arithmetic
            bound.
        note: such as a version.
        compile: what compiles for given batches, where that is a step of its own.
        net: whose parameters get gradients; null where they lie elsewhere.
    """

    engine: str
    batching: str
    step: Callable[[TaskBatch], object]
    outcome: Callable[[TaskBatch], Outcome] | None
    shares: Sequence[float] = ()
    note: str = ""
    compile: Callable[[Sequence[TaskBatch]], object] | None = None
    net: nn.Module | None = None

    @property
    def batches(self) -> str:
        """The kind of batches it is given."""
        return "buckets" if self.batching == "task by task" else self.batching


def by_step(engine: str, batching: str, net: nn.Module, step: Callable[[TaskBatch], Any], note: str = "") -> Contender:
    """A contender whose step returns the loss and leaves gradients in the net's parameters."""

    def outcome(batch: TaskBatch) -> Outcome:
        value = float(step(batch))
        named = net.named_parameters()
        return Outcome(value, {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in named})

    return Contender(engine, batching, step, outcome, note=note, net=net)


def by_autograd(
    engine: str, batching: str, net: nn.Module, loss: Callable[[TaskBatch], Tensor], note: str = ""
) -> Contender:
    """A contender that computes the loss and lets autograd do the rest.

    Args:
        engine: its name.
        batching: the batches it is given.
        net: whose parameters get gradients.
        loss: the outer loss of a batch.
        note: such as a version.
    """

    def step(batch: TaskBatch) -> Tensor:
        for parameter in net.parameters():
            parameter.grad = None
        value = loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    return by_step(engine, batching, net, step, note)


def engine(setting: Setting, cell: Cell, name: EngineName, batching: str, net: MeLUNet | None = None) -> Contender:
    """One of our engines, around the benchmark's net or another one."""
    algorithm = setting.algorithm(name, cell, net)
    return by_autograd(name, batching, algorithm.net, algorithm.loss)


def ours(setting: Setting, cell: Cell) -> list[Contender]:
    """Our engines, in each batching that suits them."""
    return [
        engine(setting, cell, "loop", "task by task"),
        engine(setting, cell, "batched", "padded"),
        engine(setting, cell, "batched", "buckets"),
        engine(setting, cell, "fused", "buckets"),
        engine(setting, cell, "fused", "length-sorted"),
    ]


def check(contenders: Sequence[Contender], batch: TaskBatch) -> None:
    """Refuse to time a contender that computes something else than the first one.

    Args:
        contenders: the first is the oracle.
        batch: what they are compared on.

    Raises:
        InputError: names the contender and by how much it is off.
    """
    assert contenders[0].outcome is not None
    right = contenders[0].outcome(batch)
    for contender in contenders[1:]:
        if contender.outcome is None:
            continue
        found = contender.outcome(batch)
        loss, gradient = abs(found.loss - right.loss) / abs(right.loss), difference(found.gradient, right.gradient)
        if not max(loss, gradient) <= TOLERANCE:
            raise InputError(
                f"{contender.engine} ({contender.batching}) computes something else than {contenders[0].engine}: loss "
                f"off by {loss:.1e}, meta-gradient by {gradient:.1e}, more than {TOLERANCE:.0e}; no speed to compare"
            )


def difference(found: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """|found - right| / |right| over the parameters of a group together, the largest of all groups.

    What an update rule learns is a group, all else another: the gradients of a rule may be so much smaller than the
    net's that an error in them would not show in a norm over both.

    Args:
        found: gradients by name of the parameters.
        right: those of the oracle.

    Returns:
        The difference; infinite where a parameter is missing, NaN where a gradient is.
    """
    if found.keys() != right.keys():
        return float("inf")
    rule = [name for name in right if name.startswith(RULE)]
    groups = [group for group in (rule, [name for name in right if name not in rule]) if group]
    return float(torch.stack([_off(found, right, group) for group in groups]).max())  # a NaN stays, unlike in Python's


def _off(found: dict[str, Tensor], right: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    off = torch.stack([(found[name] - right[name]).double().norm() for name in names]).norm()
    relative: Tensor = off / torch.stack([right[name].double().norm() for name in names]).norm()
    return relative
