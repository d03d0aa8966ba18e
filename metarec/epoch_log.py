"""What training has shown since its epoch began, so that a run resumed inside the epoch logs the same means."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


class EpochLog:
    """Outer losses and curves of the steps of this epoch.

    Attributes:
        losses: the outer loss of each batch, scalars.
    """

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self._curves: list[Tensor] = []
        self._names: list[str] = []

    def add_curves(self, curves: Mapping[str, Tensor], tasks: int) -> None:
        """Note the curves of a logging step.

        Args:
            curves: scalars by name, of the same names in each step.
            tasks: how many tasks they are means of.
        """
        self._names = list(curves)
        weight = torch.tensor(float(tasks), device=next(iter(curves.values())).device)
        self._curves.append(torch.stack([*(value.detach().float() for value in curves.values()), weight]))

    def means(self) -> dict[str, Tensor]:
        """The mean outer loss of the epoch, and the means over tasks of what its logging steps showed."""
        found = {"train/loss_epoch": torch.stack(self.losses).mean()}
        if self._curves:
            rows = torch.stack(self._curves).double()
            values = (rows[:, :-1] * rows[:, -1:]).sum(0) / rows[:, -1].sum()
            found |= {f"{name}_epoch": value.float() for name, value in zip(self._names, values, strict=True)}
        return found

    def clear(self) -> None:
        """Begin another epoch."""
        self.losses.clear()
        self._curves.clear()

    def state(self, module: LightningModule) -> dict[str, Any]:
        """What a checkpoint keeps: of every process, the losses (processes, batches) and curves (processes, ...).

        Args:
            module: what is trained, which knows the other processes.
        """
        losses, curves = (_of_all(module, rows) for rows in (self.losses, self._curves))
        return {"losses": losses, "curves": curves, "names": self._names}

    def load(self, state: Mapping[str, Any], rank: int, device: torch.device) -> None:
        """Go on from a checkpoint.

        Args:
            state: what `state` gave; where other processes trained then, their first stands for any that it lacks.
            rank: of this process.
            device: where the steps compute.
        """
        self._names = list(state["names"])
        self.losses, self._curves = (_rows_of(state[name].to(device), rank) for name in ("losses", "curves"))


def faults(state: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a state that a checkpoint holds, in words."""
    names, curves, losses = (state.get(name) for name in ("names", "curves", "losses"))
    if not isinstance(losses, Tensor) or not (losses.ndim == 2 or not losses.numel()):
        yield "its losses of the epoch are none"
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield "its names of curves are none"
    elif not isinstance(curves, Tensor) or (curves.numel() and curves.shape[2:] != (len(names) + 1,)):
        yield "its curves of the epoch are none"
    skipped = state.get("skipped")
    if not isinstance(skipped, int) or skipped < 0:
        yield "its count of skipped steps is none"


def _of_all(module: LightningModule, rows: list[Tensor]) -> Tensor:
    """What all processes have, (processes, rows, ...), on the CPU; empty, where there is nothing."""
    if not rows:
        return torch.zeros(0)
    own = torch.stack(rows)
    found: Any = module.all_gather(own)
    return torch.as_tensor(found).reshape(-1, *own.shape).cpu()


def _rows_of(stacked: Tensor, rank: int) -> list[Tensor]:
    """A process's own rows of what all processes had."""
    return list(stacked[rank if rank < len(stacked) else 0].unbind()) if stacked.numel() else []
