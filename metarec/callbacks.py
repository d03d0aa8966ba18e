"""What happens around training: which weights are kept, and how fine-tuning is set up."""

import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from metarec import learning
from metarec.errors import InputError
from metarec.judging import adapted
from metarec.metrics.base import TaskMetric


class ProgressBar(RichProgressBar):
    """A bar that is drawn, and reads the metrics it shows, every few steps only: reading one stops a GPU.

    Args:
        refresh_rate: steps between two drawings, >= 1.
        leave: whether the bars of past epochs stay on the screen.
    """

    def __init__(self, refresh_rate: int = 10, leave: bool = False) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> Any:
        """What is shown, the last outer loss among it; logged for the bar, it would be read in every step."""
        log: Any = pl_module.epoch_log
        return super().get_metrics(trainer, pl_module) | (
            {"loss": round(float(log.losses[-1]), 4)} if log.losses else {}
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on, on every `refresh_rate`-th step and on the last one."""
        done = batch_idx + 1
        if done % self.refresh_rate == 0 or done == self.total_train_batches:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best weights as ``checkpoints/best.ckpt`` in the run folder.

    Args:
        monitor: validation metric that decides.
        mode: `min` or `max`.
    """

    def __init__(self, monitor: str = "val/adapted/mae", mode: str = "min") -> None:
        super().__init__(monitor=monitor, mode=mode, filename="best", enable_version_counter=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the checkpoints into the run folder, whichever logger is in use."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what was best, in this run folder, to which it may have moved meanwhile."""
        best = state_dict["best_model_path"]
        own = {"dirpath": self.dirpath, "best_model_path": best and str(Path(self.dirpath or "") / Path(best).name)}
        super().load_state_dict(state_dict | own)


class LearningCurve(Callback):
    """Writes ``learning.csv`` into the run folder: what each validation of a fit gave, see `metarec.learning`.

    The file is whole after every validation. A fit that is resumed goes on with the rows up to where it was cut off.
    """

    def __init__(self) -> None:
        self._rows: list[learning.Row] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew, unless there is a checkpoint to go on from."""
        if trainer.ckpt_path is None:
            self._rows = []

    def state_dict(self) -> dict[str, Any]:
        """The rows that the weights have behind them."""
        return {"rows": [dict(row) for row in self._rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._rows = state_dict["rows"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row; every process reads the metrics, which may have to be gathered, and the first one writes."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._rows.append({"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **values})
        learning.write(_curve_of(trainer), self._rows)


def _curve_of(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / learning.LEARNING


class AverageWeights(EMAWeightAveraging):
    """Validates, keeps and tests an exponential moving average of the weights instead of the last ones.

    Lightning's callback goes on swapping weights when the same trainer validates or tests after a fit, so that
    a best checkpoint would be judged with the weights that were not averaged; here it ends with the fit. Buffers
    are not averaged: attribute codes are whole numbers.

    Args:
        decay: weight of the old average in each step, in (0, 1).
    """

    def __init__(self, decay: float = 0.995) -> None:
        if not 0 < decay < 1:
            raise InputError(f"decay {decay}: give a number between 0 and 1")
        super().__init__(use_buffers=False, decay=decay)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the module without its trainer, which cannot be copied where there are several processes."""
        pl_module.trainer = None
        try:
            super().setup(trainer, pl_module, stage)
        finally:
            pl_module.trainer = trainer

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the average use the module's own buffers, which Lightning would copy to it with every step."""
        assert self._average_model is not None
        own = dict(pl_module.named_modules())
        for name, module in self._average_model.module.named_modules():
            module._buffers = own[name]._buffers

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over the average, where training had ended before it was resumed."""
        self._copy_average_to_current(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the average when the fit is over; the module holds it by then."""
        self._average_model = None


class SelectAdaptation(Callback):
    """Before weights are judged or used, sets the number of steps and the step size that do best on validation users.

    Every pair of the grid is tried; the best validation MAE wins, of clicks the best AUC. Test users play no part.

    Args:
        steps: numbers of steps to try.
        rates: step sizes to try.
    """

    def __init__(self, steps: Sequence[int] = (1, 3, 10, 30), rates: Sequence[float] = (0.01, 0.03, 0.1, 0.3)) -> None:
        if not steps or not rates or min(steps) < 0 or min(rates) <= 0:
            raise InputError(f"steps {list(steps)}, rates {list(rates)}: give numbers >= 0 and rates > 0")
        self.steps, self.rates = list(steps), list(rates)
        self.chosen: dict[str, float] = {}
        self.seconds = 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose, unless this is the validation of a fit."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._select(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose."""
        self._select(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose."""
        self._select(trainer, pl_module)

    def _select(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Try the grid on the validation episodes."""
        started = time.perf_counter()
        inner_loop: Any = getattr(pl_module.algorithm, "inner_loop", None)
        if inner_loop is None:
            raise InputError(f"{type(pl_module.algorithm).__name__} has no inner loop; leave SelectAdaptation out")
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        batches = [trainer.strategy.batch_to_device(batch, pl_module.device) for batch in loader]
        best = math.inf
        metric: Any = pl_module.main_metric
        for steps, rate in itertools.product(self.steps, self.rates):
            inner_loop.adaptation_steps, inner_loop.inner_lr = steps, rate
            value = _mean_over_users(trainer, pl_module, batches, metric)
            error = -value if metric.higher_is_better else value
            if error < best:  # never, where a user's value is not a number
                best = error
                self.chosen = {"adaptation_steps": steps, "inner_lr": rate, f"val_{metric.name}": value}
        if not self.chosen:
            raise InputError(f"no rate of {self.rates} gives finite predictions; give smaller ones")
        inner_loop.adaptation_steps = int(self.chosen["adaptation_steps"])
        inner_loop.inner_lr = self.chosen["inner_lr"]
        self.seconds = time.perf_counter() - started


def _mean_over_users(trainer: Trainer, module: Any, batches: Sequence[Any], metric: TaskMetric) -> float:
    """Mean over all validation users of the adapted model's metric; NaN if one user's is."""
    each = []
    for batch in batches:
        prediction = adapted(module.algorithm, batch)
        each.append(metric.values(prediction, batch.query.rating, batch.query.mask))
    values = torch.cat(each)
    count = torch.tensor(float(len(values)), device=values.device)
    total, users = (trainer.strategy.reduce(part, reduce_op="sum") for part in (values.sum(), count))
    return float(total / users)
