"""A callback that ends training with an error that nobody expects."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Crash(Callback):
    """Raises in the second step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 2:
            raise RuntimeError("a crash")
