"""A callback that ends training with an error that nobody expects."""

import os
import signal
import subprocess
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Crash(Callback):
    """Raises in the second step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 2:
            raise RuntimeError("a crash")


class KillService(Callback):
    """Kills the process that W&B has started beside this one, in a step, or when the test is over.

    Args:
        step: after which; null: when all is logged.
    """

    def __init__(self, step: int | None = 2) -> None:
        self.step = step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            self._kill()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.step is None and stage == "test":
            self._kill()

    def _kill(self) -> None:
        found = subprocess.run(["pgrep", "-P", str(os.getpid()), "wandb"], capture_output=True, text=True, check=True)
        for number in found.stdout.split():
            os.kill(int(number), signal.SIGKILL)


class KillSelf(Callback):
    """Kills this process in a step, where the environment's KILL names one."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if str(trainer.global_step) == os.environ.get("KILL"):
            os.kill(os.getpid(), signal.SIGKILL)
