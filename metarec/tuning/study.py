"""The trials of one method, in a file that outlives the processes that add to it."""

import hashlib
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metarec import training
from metarec.errors import DivergedError, InputError
from metarec.experiment import Job
from metarec.search_space import Space, at, nearest
from metarec.tuning.records import OWN, as_layer, as_list, judged, rounded, seconds_of
from metarec.tuning.watch import SECONDS, Watch
from metarec.tuning.workers import Workers

WARM_UP = 3
"""Validations before a trial may be pruned."""

WORKER = "worker"
"""Whose trial it is, among the processes that are at the study."""


class Study:
    """The trials of one method; `joined` opens the file, and says that this process adds to it.

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
        self.monitor, self.mode = monitored(self.config)
        self.workers = Workers(journal.with_name(f".{journal.stem}"))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Open the file, or begin it, take up what was cut off, and be one of those that add trials in this block.

        Raises:
            InputError: the file is of other settings or another space; nothing in it is changed.
        """
        with self.workers.joined():
            with self.workers.alone():
                self._open()
                self._take_up()
            yield

    def _open(self) -> None:
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

    def _take_up(self) -> None:
        """Begin with the configuration's own values, or the nearest in range, or with trials whose process is gone."""
        first = nearest(self.space, self.config)
        if not self.study.trials and first is not None:
            own = first == {name: at(self.config, name) for name in self.space}
            self.study.enqueue_trial(first, user_attrs={OWN: True} if own else None)
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            if not self.workers.alive(trial.user_attrs.get(WORKER, "")):
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial(trial.params, user_attrs={OWN: True} if OWN in trial.user_attrs else None)
        seed = len(self.study.trials) + 1000 * self.workers.others()  # processes that begin together draw differently
        self.study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=5, multivariate=True, constant_liar=True, seed=seed
        )

    @property
    def spent(self) -> float:
        """Processor seconds of all trials: those that were cut off, and those that run, as far as they came."""
        return sum(map(seconds_of, self.study.trials))

    def run(self, seconds: float, trials: int) -> None:
        """Try settings until the budget is spent; a trial that runs then counts as far as it came.

        Args:
            seconds: processor time of all trials of all processes, > 0.
            trials: most trials that come to their end, > 0; each process may finish the one that it is at.
        """
        while seconds > self.spent and len(judged(self.study.trials)) < trials:
            with self.workers.alone():
                trial = self.study.ask(dict(self.space))
                trial.set_user_attr(WORKER, self.workers.own)
            watch = Watch(trial, self.monitor, lambda: seconds - self.spent, not selects(self.config))
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
        """Runs that train and validate, or only validate, and leave nothing."""
        quiet = {"trainer.logger": "false", "trainer.enable_progress_bar": "false"}
        return commands(self.job, self.config, folder, rounded(params) | quiet)

    def _line(self, trial: FrozenTrial, seconds: float) -> str:
        settings = ", ".join(f"{name.split('.')[-1]}={value}" for name, value in rounded(trial.params).items())
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        return f"{self.job.method} [{self.spent:.0f} of {seconds:.0f} s] {value} {trial.state.name.lower()}: {settings}"

    def layer(self) -> str:
        """The best settings as a layer of configuration, under what was tried.

        Raises:
            InputError: no trial has ended with a number.
        """
        trials = self.study.trials
        complete = any(trial.state == TrialState.COMPLETE for trial in judged(trials))
        best = self.study.best_trial if complete else None
        return as_layer(trials, best, self.job.method, self.monitor, self.job.seed)

    def listed(self) -> str:
        """All trials as CSV."""
        return as_list(self.study.trials, list(self.space), self.monitor)


def commands(job: Job, config: dict[str, Any], folder: str, options: dict[str, Any]) -> list[list[str]]:
    """The runs of a trial: they train and validate, or only validate; those that select, validate at the end.

    Args:
        job: the method's run.
        config: its configuration.
        folder: where the trial leaves its files.
        options: what stands on top of the method's run.
    """
    given = [*job.command[1:], *(f"--{name}={value}" for name, value in options.items())]
    given.append(f"--trainer.default_root_dir={folder}")
    if job.command[0] != "fit":
        return [["validate", *given]]
    best = [f"--ckpt_path={folder}/checkpoints/best.ckpt", "--verbose=false"]
    after = [["validate", *(option for option in given if "then_test" not in option), *best]]
    return [["fit", *given, "--then_test=false"], *(after if selects(config) else [])]


def selects(config: dict[str, Any]) -> bool:
    """Whether steps and rates of adaptation are chosen after training."""
    return any(path.endswith(".SelectAdaptation") for path in _callbacks(config))


def monitored(config: dict[str, Any]) -> tuple[str, str]:
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
