"""What a run leaves behind, and how fine-tuning is set up: Lightning callbacks."""

import itertools
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from torch import distributed

from metarec import __version__
from metarec.files import replacing, write_json
from metarec.metrics.collection import MeanAbsoluteErrorPerTask
from metarec.module import Columns


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best weights as ``checkpoints/best.ckpt`` in the run folder, and the last as ``last.ckpt``.

    Args:
        monitor: validation metric that decides.
        mode: `min` or `max`.
    """

    def __init__(self, monitor: str = "val/adapted/mae", mode: str = "min") -> None:
        super().__init__(monitor=monitor, mode=mode, filename="best", save_last=True, enable_version_counter=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the checkpoints into the run folder, whichever logger is in use."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)


class AverageWeights(EMAWeightAveraging):
    """Validates, keeps and tests an exponential moving average of the weights instead of the last ones.

    Lightning's callback goes on swapping weights when the same trainer validates or tests after a fit, so that
    a best checkpoint would be judged with the weights that were not averaged; here it ends with the fit. Buffers
    are not averaged: attribute codes are whole numbers.

    Args:
        decay: weight of the old average in each step, in (0, 1).
    """

    def __init__(self, decay: float = 0.995) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the average when the fit is over; the module holds it by then."""
        self._average_model = None


class SelectAdaptation(Callback):
    """Before a test, sets the number of steps and the step size that do best on validation users.

    Every pair of the grid is tried; the smallest validation MAE wins. Test users play no part.

    Args:
        steps: numbers of steps to try.
        rates: step sizes to try.
    """

    def __init__(self, steps: Sequence[int] = (1, 3, 10, 30), rates: Sequence[float] = (0.01, 0.03, 0.1, 0.3)) -> None:
        self.steps, self.rates = list(steps), list(rates)
        self.chosen: dict[str, float] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try the grid on the validation episodes."""
        inner_loop: Any = pl_module.algorithm.inner_loop  # type: ignore[union-attr]
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        batches = [trainer.strategy.batch_to_device(batch, pl_module.device) for batch in loader]
        best = float("inf")
        for steps, rate in itertools.product(self.steps, self.rates):
            inner_loop.adaptation_steps, inner_loop.inner_lr = steps, rate
            error = _mean_absolute_error(pl_module, batches)
            if error < best:
                best, self.chosen = error, {"adaptation_steps": steps, "inner_lr": rate, "val_mae": error}
        inner_loop.adaptation_steps = int(self.chosen["adaptation_steps"])
        inner_loop.inner_lr = self.chosen["inner_lr"]


def _mean_absolute_error(module: Any, batches: Sequence[Any]) -> float:
    """Mean over the tasks of the batches of the adapted model's absolute error."""
    metric = MeanAbsoluteErrorPerTask().to(module.device)
    for batch in batches:
        fast = module.algorithm.adapt(batch.task, batch.support)
        prediction = module.algorithm.predict(fast, batch.task, batch.query.item)
        metric.update(metric.values(prediction, batch.query.rating, batch.query.mask))
    return float(metric.compute())


class RunFolder(Callback):
    """Writes ``metrics.json``, ``per_task.parquet`` and ``predictions.parquet``, and tells W&B the same.

    The run folder is the trainer's `default_root_dir`. All files are written whole or not at all.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = 0.0
        self._predictions: list[Columns] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock and log the best checkpoint as an artifact."""
        self.seconds["fit_seconds"] = time.perf_counter() - self._started
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if trainer.is_global_zero and best:
            for logger in _wandb(trainer):
                import wandb

                artifact = wandb.Artifact(f"model-{logger.experiment.id}", type="model")
                artifact.add_file(best)
                logger.experiment.log_artifact(artifact)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the results of the test."""
        self.seconds["test_seconds"] = time.perf_counter() - self._started
        columns = _gathered(pl_module.per_task)  # type: ignore[arg-type]
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        table = _frame(columns, trainer)
        folder = Path(trainer.default_root_dir)
        with replacing(folder / "per_task.parquet") as temporary:
            table.to_parquet(temporary, index=False)
        write_json(folder / "metrics.json", self._summary(trainer, pl_module, len(table)))
        for logger in _wandb(trainer):
            logger.log_table("per_user", dataframe=table)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions."""
        self._predictions.append({name: column.cpu() for name, column in outputs.items()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions, one row a user and item."""
        columns = _gathered(self._predictions)
        if trainer.is_global_zero:
            with replacing(Path(trainer.default_root_dir) / "predictions.parquet") as temporary:
                _frame(columns, trainer).to_parquet(temporary, index=False)

    def _summary(self, trainer: Trainer, module: Any, tasks: int) -> dict[str, Any]:
        """What `metrics.json` holds."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        means = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        chosen = [callback.chosen for callback in trainer.callbacks if isinstance(callback, SelectAdaptation)]  # type: ignore[attr-defined]
        return {
            "metarec": __version__,
            "torch": torch.__version__,
            "data": {"name": data.ratings.name, "source": data.ratings.source, "digest": data.ratings.digest},
            "split": {"digest": data.split.digest, "left_out": data.split.left_out},
            "seed": data.seed,
            "tasks": tasks,
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "adaptation": chosen[0] if chosen else {},
            "metrics": means,
            **{name: round(value, 3) for name, value in self.seconds.items()},
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def _gathered(batches: list[Columns]) -> Columns:
    """The columns of all batches of all processes, one after the other."""
    if distributed.is_available() and distributed.is_initialized():
        everyone: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(everyone, batches)
        batches = list(itertools.chain.from_iterable(everyone))
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def _frame(columns: Columns, trainer: Trainer) -> pd.DataFrame:
    """A data frame with original ids, sorted by user row."""
    ratings = trainer.datamodule.ratings  # type: ignore[attr-defined]
    table = pd.DataFrame({name: column.numpy() for name, column in columns.items()})
    table = table.sort_values("user", kind="stable", ignore_index=True)
    for name, ids in (("user", ratings.user_ids), ("item", ratings.item_ids)):
        if name in table:
            table[name] = [ids[row] for row in table[name]]
    return table


def _wandb(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers among the trainer's loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
