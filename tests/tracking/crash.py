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
    """Kills the process that W&B has started beside this one, in the second step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 2:
            found = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "wandb"], capture_output=True, text=True, check=True
            )
            for number in found.stdout.split():
                os.kill(int(number), signal.SIGKILL)
