"""Track: tells W&B what a run is made of, how it goes, and what it leaves."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch.nn.utils import get_total_norm

from metarec.errors import DivergedError
from metarec.optim import gradients
from metarec.tracking import artifacts, charts
from metarec.tracking.axes import define_axes
from metarec.tracking.identity import note
from metarec.tracking.logger import runs

FIGURES = ("fit_seconds", "test_seconds", "select_seconds", "peak_memory_mb", "parameters", "tasks", "epochs", "steps")
"""What a run's summary takes over of ``metrics.json``, beside the test metrics that are logged anyway."""


class Track(Callback):
    """Tells W&B what the run folder says, and what it does not; without W&B, does nothing.

    Axes and summary of the metrics; what data set, split and weights the run uses; on logging steps, the norm of the
    outer gradient; once an epoch, histograms of learned inner-loop rates, those of the weights that are validated; an
    alert, one of each kind, where a loss or gradient is not finite or training diverged; the checkpoint that a fit
    leaves; after a test its figures, users and predictions, as `metarec.run_folder.RunFolder` has written them.

    Args:
        start_from: checkpoint that the fit begins with; null: none.
    """

    def __init__(self, start_from: str | None = None) -> None:
        self.start_from = start_from
        self._checked = 0
        self._alerts: set[str] = set()
        self._inputs = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Define axes; note data set and split, once a run, and the weights that a fit begins with."""
        metrics: Any = pl_module.metrics
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for run in runs(trainer):
            define_axes(run, [metric.name for metric in metrics["adapted"].values()])
            with artifacts.staging_in(_folder(trainer)):
                if not self._inputs:
                    artifacts.used(run, artifacts.dataset(data.ratings))
                    artifacts.used(run, artifacts.split(data))
                if stage == "fit" and self.start_from:
                    artifacts.used(run, artifacts.model(Path(self.start_from)))
        self._inputs = True

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """On logging steps, log the norm of the outer gradient before it is clipped."""
        found = runs(trainer) if _logs(trainer, trainer.global_step + 1) else []
        if not found:
            return
        norm = get_total_norm(gradients(pl_module.parameters()))
        for run in found:
            run.log({"train/gradient_norm": float(norm), **_moment(trainer)})
        scales = getattr(trainer.precision_plugin, "scaler", None) is not None  # overflows are expected, and skipped
        if not norm.isfinite() and not scales:
            self._alert(trainer, "gradient not finite", f"norm {float(norm)} before step {trainer.global_step + 1}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """On logging steps, look at the losses since the last one."""
        if _logs(trainer, trainer.global_step):
            self._check_losses(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the rest of the losses, which the module then forgets."""
        self._check_losses(trainer, pl_module)
        self._checked = 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log histograms of learned rates, in a fit."""
        inner_loop: Any = getattr(pl_module.algorithm, "inner_loop", None)
        if inner_loop is None or trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        rates = inner_loop.rule.learned_rates(inner_loop.inner_lr)
        for run in runs(trainer) if rates else []:
            run.log(charts.rate_histograms(inner_loop.names, rates) | _moment(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Alert before training that diverged ends with its error."""
        if isinstance(exception, DivergedError):
            self._check_losses(trainer, pl_module)
            self._alert(trainer, "training diverged", str(exception))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the best checkpoint."""
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        for run in runs(trainer) if best else []:
            note(_folder(trainer), "trained", run.id)
            with artifacts.staging_in(_folder(trainer)):
                artifacts.made(run, artifacts.model(Path(best)))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures of the test, its users, and which weights made them."""
        folder, module = _folder(trainer), pl_module
        for run in runs(trainer):
            summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            note(folder, "tested", run.id)
            run.summary.update({name: summary[name] for name in FIGURES if name in summary} | summary["metrics"])
            with artifacts.staging_in(folder):
                metric: Any = module.main_metric
                charts.log_users(run, pd.read_parquet(folder / "per_task.parquet"), metric.name)
                if trainer.ckpt_path:
                    artifacts.used(run, artifacts.model(Path(trainer.ckpt_path)))
                artifacts.made(run, artifacts.predictions(folder))

    def _check_losses(self, trainer: Trainer, module: Any) -> None:
        """Alert if a loss since the last look is not finite."""
        losses, begin = module.epoch_log.losses[self._checked :], self._checked
        if not losses or not runs(trainer):
            return
        self._checked += len(losses)
        odd = (~torch.stack(losses).isfinite()).nonzero()
        if len(odd):
            which = begin + int(odd[0])
            what = f"outer loss {float(module.epoch_log.losses[which])} in batch {which + 1} of an epoch"
            self._alert(trainer, "loss not finite", what)

    def _alert(self, trainer: Trainer, title: str, what: str) -> None:
        """Send an alert, once of each title."""
        if title in self._alerts:
            return
        self._alerts.add(title)
        for run in runs(trainer):
            text = f"{what} (epoch {trainer.current_epoch}, run folder {trainer.default_root_dir})"
            run.alert(f"metarec: {title}", text, level="ERROR")


def _folder(trainer: Trainer) -> Path:
    """The run folder."""
    return Path(trainer.default_root_dir)


def _moment(trainer: Trainer) -> dict[str, int]:
    """Where training is, on both axes; the first by the name that Lightning's logger gives it."""
    return {"trainer/global_step": trainer.global_step, "epoch": trainer.current_epoch}


def _logs(trainer: Trainer, step: int) -> bool:
    """Whether a step is one that Lightning logs."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every) and step % every == 0
