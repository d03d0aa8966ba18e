"""How a user's model follows their ratings: which of them it adapts to, from where, and with what weight."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import adapt_detached
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import RowLoss, weighted
from metarec.data.tasks import Rows
from metarec.errors import InputError, at_least
from metarec.nets.base import Net

Mode = Literal["reset", "continue", "window", "decay"]
MODES: tuple[Mode, ...] = ("reset", "continue", "window", "decay")

DAY = 86_400
"""Seconds."""


@dataclass(frozen=True)
class Adaptation:
    """What the modes need to know; the meta-model is frozen in all of them.

    - `reset`: the meta-model adapts anew to all that the user has said so far.
    - `window`: the same, to the last `window` ratings.
    - `decay`: the same, a rating of age a counting 2^(-a / half_life) times as much as a new one.
    - `continue`: the user's fast weights go on from where they are, each new rating by itself.

    A user who has said nothing yet is scored by the meta-model as it is, zero-shot.

    Attributes:
        window: ratings, >= 1.
        half_life: age at which a rating counts half, > 0.
        half_life_in: `events`: age in ratings that the user has given since, 0 for the last one; `days`: age in days at
            the event that is scored, for data whose times are seconds.
        steps: inner steps of `continue` for each new rating, >= 1; null: as many as the inner loop has, which are made
            for a whole support set and carry a user far towards a single rating.

    Raises:
        InputError: a number is out of range.
    """

    window: int = 20
    half_life: float = 20.0
    half_life_in: Literal["events", "days"] = "events"
    steps: int | None = 1

    def __post_init__(self) -> None:
        at_least(1, window=self.window, steps=self.steps)
        if not self.half_life > 0:
            raise InputError(f"half_life {self.half_life}: give a number > 0")
        if self.half_life_in not in ("events", "days"):
            raise InputError(f"half_life_in {self.half_life_in!r}: give 'events' or 'days'")

    def weights(self, size: Tensor, time: Tensor, now: Tensor, mask: Tensor) -> Tensor:
        """Weights of `decay`, (E, S), 0 where padded.

        Args:
            size: number of real rows of each event's support set, (E,).
            time: of each row, in seconds if days count, (E, S).
            now: when the event is scored, (E,).
            mask: False where padded, (E, S).
        """
        if self.half_life_in == "events":
            age = (size - 1).unsqueeze(1) - torch.arange(mask.shape[1], device=mask.device).double()
        else:
            age = (now.unsqueeze(1) - time).double() / DAY
        return torch.exp2(-age / self.half_life).masked_fill(~mask, 0.0)


def possible(algorithm: Algorithm, mode: Mode) -> str:
    """Why an algorithm has no such mode; empty: it has.

    Args:
        algorithm: the algorithm.
        mode: one of `MODES`.
    """
    name = type(algorithm).__name__
    if mode == "continue" and not _descends(algorithm):
        return f"{name} has no inner loop of gradient steps to go on with; take reset, window or decay"
    if mode == "decay" and not _descends(algorithm):
        return algorithm.weighs() and f"{algorithm.weighs()}; take reset or window"
    if mode == "decay" and not isinstance(_parts(algorithm)[1].loss, RowLoss):
        return f"{name}: a loss of pairs has no weight for each rating; take reset or window"
    return ""


def _descends(algorithm: Algorithm) -> bool:
    """Whether adaptation is gradient steps on the net, and at least one."""
    return algorithm.descends and _parts(algorithm)[1].adaptation_steps > 0


def _parts(algorithm: Algorithm) -> tuple[Net, InnerLoop]:
    """Net and inner loop, of first order, of an algorithm that `descends`."""
    parts: Any = algorithm
    return parts.net, parts.inner_loop.first()


def adapt_weighted(algorithm: Algorithm, task: Tensor, support: Rows, weight: Tensor) -> Fast:
    """Fast weights of T tasks whose support ratings count by weight.

    Args:
        algorithm: one for which `decay` is `possible`.
        task: user rows, (T,).
        support: ratings, (T, S).
        weight: >= 0, 0 where padded, (T, S); all 1: the same as `adapt`.
    """
    weight = weight.to(support.rating.dtype)
    if not algorithm.descends:
        return algorithm.adapt_weighted(task, support, weight)
    net, how = _parts(algorithm)
    assert isinstance(how.loss, RowLoss)
    return adapt_detached(Batched(), net, dataclasses.replace(how, loss=weighted(how.loss, weight)), task, support)


def begin(algorithm: Algorithm, task: Tensor, item: Tensor) -> Fast:
    """Where `continue` begins: fast weights of T tasks that are still those of the meta-model.

    Args:
        algorithm: one for which `continue` is `possible`.
        task: user rows, (T,).
        item: all items that a task is ever going to learn from, (T, R): of tables that adapt, these rows are held.
    """
    net, how = _parts(algorithm)
    first = item[:, :1]
    rows = Rows(first, torch.zeros(first.shape, device=item.device), torch.ones_like(first, dtype=torch.bool))
    with torch.enable_grad():
        fast = next(Batched().path(net, how, task, rows, item))
    return {name: weight.detach() for name, weight in fast.items()}


def go_on(algorithm: Algorithm, fast: Fast, task: Tensor, support: Rows, steps: int | None = None) -> Fast:
    """Fast weights after further steps on a support set, from where they are.

    Args:
        algorithm: one for which `continue` is `possible`.
        fast: as `begin` or this made them.
        task: user rows, (T,).
        support: what is new, (T, S).
        steps: how many; null: `adaptation_steps`.
    """
    net, how = _parts(algorithm)
    how = how if steps is None else dataclasses.replace(how, adaptation_steps=steps)
    leaves = {name: weight.detach().requires_grad_(weight.is_floating_point()) for name, weight in fast.items()}
    with torch.enable_grad():
        found = Batched().onward(net, how, leaves, task, support)
    return {name: weight.detach() for name, weight in found.items()}
