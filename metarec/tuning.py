"""Choosing settings on validation users: an Optuna study a method, all with the same budget of processor time."""

import dataclasses
import hashlib
import logging
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metarec import training
from metarec.errors import DivergedError, InputError
from metarec.experiment import Experiment, Job, expand, tuned_layer
from metarec.files import write_text
from metarec.search_space import Space, at, nearest, nested, search_space

WARM_UP = 3
"""Validations before a trial may be pruned."""

SECONDS = "processor seconds"
SO_FAR = "processor seconds so far"
"""What a trial took, and what it had taken by its last validation, which counts where it was cut off."""


class Watch(Callback):
    """Tells a trial each validation, and ends training where Optuna prunes it or the budget is spent.

    Args:
        trial: the trial.
        monitor: the validation metric that decides.
        seconds: processor time that is left.
        in_fit: whether validations while training are what counts; no where steps and rates are chosen after it.
    """

    def __init__(self, trial: optuna.Trial, monitor: str, seconds: float, in_fit: bool = True) -> None:
        self.trial, self.monitor, self.in_fit = trial, monitor, in_fit
        self.started = time.process_time()
        self.until = self.started + seconds
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
            trainer.should_stop = trainer.should_stop or self.pruned or time.process_time() > self.until


def tune(
    experiment: Experiment, results: Path, methods: Sequence[str], minutes: float, trials: int, into: Path | None = None
) -> None:
    """Tune the methods of an experiment one after the other, and write a layer of configuration for each.

    A study that was interrupted goes on where it stopped. Test users play no part. A method that cannot be tuned does
    not keep the later ones from it: what was wrong is told at the end.

    Args:
        experiment: the experiment.
        results: folder of its runs; the studies lie in ``tuning/`` there.
        methods: only these methods; empty: all.
        minutes: processor time of each method, over all threads, > 0.
        trials: most trials of each method, > 0.
        into: folder for the layers; null: the experiment's own.

    Raises:
        InputError: the experiment names no folder for tuned layers; `minutes` or `trials` is not > 0; a search space is
            faulty; and, once all methods had their turn, of each that was not tuned: its study was begun with other
            settings, another process is at it, it cannot be trained, or no trial ended with a number.
    """
    folder = into or experiment.tuned
    if folder is None:
        raise InputError(
            "the experiment names no folder `tuned` for what is chosen; add one to it, or give --into FOLDER"
        )
    if not (minutes > 0 and trials > 0):
        raise InputError(f"--minutes {minutes}, --trials {trials}: give numbers > 0")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").propagate = False
    faults = []
    for job in expand(dataclasses.replace(experiment, tuned=None), results, experiment.seeds[:1], methods):
        options = {**experiment.options, **experiment.methods[job.method].options}
        space = {name: values for name, values in search_space(job.layers).items() if name not in options}
        if job.needs is not None or not space:
            print(f"{job.method}: nothing to tune", flush=True)
            continue
        try:
            layer = _chosen(job, space, results / "tuning" / f"{job.method}.journal", 60 * minutes, trials)
            write_text(tuned_layer(folder, job.method), layer)
        except InputError as fault:
            faults.append(f"{job.method}: {fault}")
    if faults:
        raise InputError("; ".join(faults))


def _chosen(job: Job, space: Space, journal: Path, seconds: float, trials: int) -> str:
    """The best settings of a method as a layer of configuration, after all trials that the budget is enough for.

    Raises:
        InputError: as `tune`, of this method.
    """
    study = Study(job, space, journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(journal.with_name(f".{job.method}.lock"), blocking=False):
            study.resume()
            study.run(seconds, trials)
            return study.layer()
    except Timeout as error:
        raise InputError(f"{journal}: another process adds trials to it; wait until it has ended") from error


class Study:
    """The trials of one method, in a file that outlives the process; `resume` opens it.

    Args:
        job: the method's run.
        space: what may vary.
        journal: the file.

    Raises:
        InputError: the configuration is faulty, or does not say what to tune for.
    """

    study: optuna.Study

    def __init__(self, job: Job, space: Space, journal: Path) -> None:
        self.job, self.space, self.journal = job, space, journal
        self.config = training.parse(job.command)
        self.monitor, self.mode = _monitored(self.config)
        self.selects = any(path.endswith(".SelectAdaptation") for path in _callbacks(self.config))

    def resume(self) -> None:
        """Open the file, or begin it, and take up what was cut off; no other process may be at it.

        Raises:
            InputError: the file is of other settings or another space; nothing in it is changed.
        """
        self.study = optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(self.journal))),
            study_name=self.job.method,
            load_if_exists=True,
            direction=StudyDirection.MINIMIZE if self.mode == "min" else StudyDirection.MAXIMIZE,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=WARM_UP),
        )
        digest = hashlib.sha256(f"{self.job.digest} {self.space}".encode()).hexdigest()
        if self.study.user_attrs.get("digest", digest) != digest:
            cure = f"remove it to tune {self.job.method} anew"
            raise InputError(f"{self.journal}: was begun with other settings; {cure}")
        self.study.set_user_attr("digest", digest)
        self._take_up()

    def _take_up(self) -> None:
        """Begin with the configuration's own values, or the nearest in range, or with trials that were cut off."""
        first = nearest(self.space, self.config)
        if not self.study.trials and first is not None:
            own = first == {name: at(self.config, name) for name in self.space}
            self.study.enqueue_trial(first, user_attrs={"own": True} if own else None)
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.study.enqueue_trial(trial.params, user_attrs={"own": True} if "own" in trial.user_attrs else None)
        self.study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=5, multivariate=True, seed=len(self.study.trials)
        )

    @property
    def spent(self) -> float:
        """Processor seconds of all trials, those that were cut off too."""
        found = [trial.user_attrs for trial in self.study.trials]
        return float(sum(noted.get(SECONDS, noted.get(SO_FAR, 0.0)) for noted in found))

    def run(self, seconds: float, trials: int) -> None:
        """Try settings until the budget is spent; one that is running then counts as far as it came."""
        while (left := seconds - self.spent) > 0 and len(self._judged()) < trials:
            trial = self.study.ask(dict(self.space))
            watch = Watch(trial, self.monitor, left, not self.selects)
            with tempfile.TemporaryDirectory(prefix="metarec-trial-") as folder:
                try:
                    for command in self._commands(trial.params, folder):
                        training.run(command, [watch])
                except DivergedError:  # however good it was before: another seed may diverge sooner
                    watch.values.clear()
            trial.set_user_attr(SECONDS, time.process_time() - watch.started)
            self.study.tell(trial, *self._outcome(watch))
            print(self._line(self.study.trials[trial.number], seconds), flush=True)

    def _outcome(self, watch: Watch) -> tuple[float | None, TrialState]:
        """The best of all validations and how the trial ended."""
        if watch.pruned:
            return None, TrialState.PRUNED
        finite = [value for value in watch.values if math.isfinite(value)]
        best = min if self.study.direction == StudyDirection.MINIMIZE else max
        return (best(finite), TrialState.COMPLETE) if finite else (None, TrialState.FAIL)

    def _commands(self, params: dict[str, Any], folder: str) -> list[list[str]]:
        """Runs that train and validate, or only validate, and leave nothing; those that select, validate at the end."""
        quiet = {"trainer.default_root_dir": folder, "trainer.logger": "false", "trainer.enable_progress_bar": "false"}
        given = [*self.job.command[1:], *_options({name: _short(value) for name, value in params.items()} | quiet)]
        if self.job.command[0] != "fit":
            return [["validate", *given]]
        best = [f"--ckpt_path={folder}/checkpoints/best.ckpt", "--verbose=false"]
        judged = [["validate", *(option for option in given if "then_test" not in option), *best]]
        return [["fit", *given, "--then_test=false"], *(judged if self.selects else [])]

    def _line(self, trial: FrozenTrial, seconds: float) -> str:
        settings = ", ".join(f"{name.split('.')[-1]}={_short(value)}" for name, value in trial.params.items())
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        return f"{self.job.method} [{self.spent:.0f} of {seconds:.0f} s] {value} {trial.state.name.lower()}: {settings}"

    def _judged(self) -> list[FrozenTrial]:
        """The trials that came to their end, pruned or not."""
        return [trial for trial in self.study.trials if trial.state.is_finished() and SECONDS in trial.user_attrs]

    def layer(self) -> str:
        """The best settings as a layer of configuration, under what was tried.

        Raises:
            InputError: no trial has ended with a number.
        """
        trials = self._judged()
        if not any(trial.state == TrialState.COMPLETE for trial in trials):
            raise InputError(f"no trial gave a finite {self.monitor}; narrow the search space")
        pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
        own = [f"{trial.value:.4f}" for trial in trials if "own" in trial.user_attrs and trial.value is not None]
        head = (
            f"# Settings of {self.job.method}, chosen on validation users by `metarec tune`: {self.monitor} "
            f"{self.study.best_value:.4f}{f' ({own[0]} before)' if own else ''} at best\n"
            f"# in {len(trials)} trials, {pruned} of them pruned, {self.spent / 60:.1f} minutes of processor time, "
            f"model seed {self.job.seed}.\n"
        )
        values = {name: _short(value) for name, value in self.study.best_params.items()}
        return head + yaml.safe_dump(nested(values), sort_keys=False)


def _monitored(config: dict[str, Any]) -> tuple[str, str]:
    """The metric that decides which weights are kept, and whether `min` or `max` of it is best.

    Raises:
        InputError: no callback keeps the best weights.
    """
    arguments = _callbacks(config).get("metarec.callbacks.BestCheckpoint")
    if arguments is not None:
        return arguments["monitor"], arguments["mode"]
    raise InputError("trainer.callbacks: no metarec.callbacks.BestCheckpoint, which says what to tune for; add it")


def _callbacks(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The arguments of a configuration's callbacks, by class path."""
    return {entry["class_path"]: entry.get("init_args") or {} for entry in config["trainer"]["callbacks"] or []}


def _options(values: dict[str, Any]) -> list[str]:
    """Values as options of the command line."""
    return [f"--{name}={value}" for name, value in values.items()]


def _short(value: Any) -> Any:
    """A number to four figures; anything else as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
