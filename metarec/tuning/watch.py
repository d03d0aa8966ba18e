"""What a trial's training is watched by."""

import time
from collections.abc import Callable

import optuna
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

SECONDS = "processor seconds"
SO_FAR = "processor seconds so far"
"""What a trial took, and what it had taken by its last validation, which counts where it was cut off."""


class Watch(Callback):
    """Tells a trial each validation, and ends training where Optuna prunes it or the budget is spent.

    Args:
        trial: the trial.
        monitor: the validation metric that decides.
        left: tells how many seconds of processor time are left, this trial's so far taken off.
        in_fit: whether validations while training are what counts; no where steps and rates are chosen after it.
    """

    def __init__(self, trial: optuna.Trial, monitor: str, left: Callable[[], float], in_fit: bool = True) -> None:
        self.trial, self.monitor, self.left, self.in_fit = trial, monitor, left, in_fit
        self.started = time.process_time()
        self.values: list[float] = []
        self.pruned = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and ask whether to go on; should the process die, what was spent so far is on record."""
        self.trial.set_user_attr(SO_FAR, time.process_time() - self.started)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if self.in_fit or not fitting:
            self.values.append(float(trainer.callback_metrics[self.monitor]))
        if fitting and self.in_fit:
            self.trial.report(self.values[-1], step=len(self.values))
            self.pruned = self.trial.should_prune()
        if fitting:
            trainer.should_stop = trainer.should_stop or self.pruned or self.left() < 0
