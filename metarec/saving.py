"""Checkpoints that a run goes on from: where they are written, when, and that they are whole."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, distributed

from metarec import checkpoint
from metarec.errors import InputError, at_least
from metarec.files import replacing
from metarec.signals import Signals, Stopped

LAST = Path("checkpoints", "last.ckpt")
"""In a run folder, what training goes on from."""


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name, waits until it lies on the disk, and renames it.

    Lightning's own way writes into the folder for temporary files first, which may lie on another disk.
    """

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint as `metarec.checkpoint.read` does, on the CPU, whatever Lightning asks for."""
        return checkpoint.read(path)

    def save_checkpoint(self, content: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint, whole or not at all.

        Args:
            content: what to write.
            path: where.
            storage_options: none are known.
        """
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            except (OSError, RuntimeError) as error:  # torch's own, once its archive cannot be closed
                raise _disk_error(error, path) from error


class KeepLast(Callback):
    """Writes ``checkpoints/last.ckpt``, from which a killed run goes on to the same end, bit for bit.

    It is written between two steps, where no gradient waits and no validation is due: at the first step, then every
    so many minutes, when training ends, and after a signal, which then ends the program. SIGTERM or SIGINT is noted
    when it comes; several processes agree before each step.

    Args:
        minutes: between two saves, >= 0; 0: before every step. Null: nothing is saved, signals are heeded all the same.
    """

    def __init__(self, minutes: float | None = 10.0) -> None:
        at_least(0, save_minutes=minutes)
        self.minutes = minutes
        self._signals = Signals()
        self._due = 0.0
        self._stepped: int | None = None
        self._stopped_early = False
        self._metrics: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once what had been stopped early when it was saved."""
        _require_one_place(trainer)
        if trainer.ckpt_path is None:
            self._stopped_early, self._stepped = False, None
        trainer.should_stop = self._stopped_early

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen; Lightning has put its own handlers up by now, and takes them down after these.

        What was validated last is what schedules and other callbacks go by until the next validation.
        """
        self._signals.listen()
        if trainer.ckpt_path is not None:
            trainer._logger_connector._callback_metrics.update(self._metrics)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save where it is time to; leave if a signal has come."""
        loop = trainer.fit_loop.epoch_loop
        if self._stepped is not None:  # Lightning may have counted a step while it found its place
            loop._batches_that_stepped, self._stepped = self._stepped, None
        if batch_idx % trainer.accumulate_grad_batches:
            return  # gradients wait, which a checkpoint does not hold
        number, due = _agreed(trainer, self._signals.received, self._is_due())
        if due or (number and self.minutes is not None):
            self._save(trainer)
        if number:
            raise Stopped(number, self._cure)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of training, too; leave if a signal has come."""
        number, _ = _agreed(trainer, self._signals.received, False)
        self._stopped_early = trainer.should_stop
        self._metrics = dict(trainer.callback_metrics)
        if self.minutes is not None:
            trainer.save_checkpoint(_path(trainer))
        if number:
            raise Stopped(number, self._cure)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back; heed one that came meanwhile."""
        self._signals.leave()
        if self._signals.received:
            raise Stopped(self._signals.received, self._cure)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._signals.leave()

    def state_dict(self) -> dict[str, Any]:
        """Whether training was stopped early, and the metrics that are known."""
        return {"stopped_early": self._stopped_early, "metrics": self._metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        self._stopped_early, self._metrics = bool(state_dict["stopped_early"]), state_dict["metrics"]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note what Lightning's count of steps has to be when the first one begins."""
        if self.state_key in checkpoint.get("callbacks", {}):
            self._stepped = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]

    def _is_due(self) -> bool:
        return self.minutes is not None and time.monotonic() >= self._due

    def _save(self, trainer: Trainer) -> None:
        """Save the state between the last step and this one."""
        self._metrics = dict(trainer.callback_metrics)
        with _before_this_step(trainer):
            trainer.save_checkpoint(_path(trainer))
        self._due = time.monotonic() + 60 * (self.minutes or 0.0)

    @property
    def _cure(self) -> str:
        return "nothing was saved" if self.minutes is None else "go on with --resume=true"


@contextmanager
def _before_this_step(trainer: Trainer) -> Iterator[None]:
    """Let the trainer's progress be what it was before Lightning made this step's batch ready."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    last = progress.is_last_batch
    for part in (progress.total, progress.current):
        part.ready -= 1
    progress.is_last_batch = False
    try:
        yield
    finally:
        for part in (progress.total, progress.current):
            part.ready += 1
        progress.is_last_batch = last


def _require_one_place(trainer: Trainer) -> None:
    """Refuse processes that would go on from different steps, as where each machine has a run folder of its own.

    Raises:
        InputError: they would.
    """
    step = (trainer._checkpoint_connector._loaded_checkpoint or {}).get("global_step", 0)
    last, first = _most(trainer, step, -step)
    if last != -first:
        raise InputError(f"processes go on from different steps, {-first} and {last}; give all machines one run folder")


def _agreed(trainer: Trainer, number: int, due: bool) -> tuple[int, bool]:
    """What one process has noted or finds due, all do."""
    found, any_due = _most(trainer, number, int(due))
    return found, bool(any_due)


def _most(trainer: Trainer, *own: int) -> list[int]:
    """The largest that any process has of each number."""
    if trainer.world_size == 1:
        return list(own)
    numbers: Tensor = torch.tensor(own, device=trainer.strategy.root_device)
    distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
    found: list[int] = numbers.tolist()
    return found


def _disk_error(error: BaseException, path: Any) -> OSError:
    """The system's own error of a file that cannot be written, which torch's may hide, with the file's name."""
    first = error
    while first.__context__ is not None and not isinstance(first, OSError):
        first = first.__context__
    if isinstance(first, OSError):
        return OSError(first.errno, first.strerror, str(path))
    return OSError(errno.EIO, " ".join(str(error).split()), str(path))


def _path(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / LAST
