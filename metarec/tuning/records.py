"""What is kept of a study: a layer with the best settings, and the list of all trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from metarec.errors import InputError
from metarec.files import as_csv
from metarec.search_space import nested
from metarec.tuning.watch import SECONDS, SO_FAR

OWN = "own"
"""Marks the trial of the fragments' own settings."""


def seconds_of(trial: FrozenTrial) -> float:
    """Processor seconds that a trial took, or had taken by its last validation where it was cut off or still runs."""
    return float(trial.user_attrs.get(SECONDS, trial.user_attrs.get(SO_FAR, 0.0)))


def judged(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that came to their end, pruned or not."""
    return [trial for trial in trials if trial.state.is_finished() and SECONDS in trial.user_attrs]


def as_layer(trials: Sequence[FrozenTrial], best: FrozenTrial | None, method: str, monitor: str, seed: int) -> str:
    """The best settings as a layer of configuration, under what was tried.

    Args:
        trials: all trials of the study.
        best: the best of them.
        method: whose settings they are.
        monitor: the metric that decided.
        seed: model seed of all trials.

    Raises:
        InputError: no trial has ended with a number.
    """
    ended = judged(trials)
    if best is None:
        raise InputError(f"no trial gave a finite {monitor}; narrow the search space")
    pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    own = [f"{trial.value:.4f}" for trial in ended if OWN in trial.user_attrs and trial.value is not None]
    head = (
        f"# Settings of {method}, chosen on validation users by `metarec tune`: {monitor} "
        f"{best.value:.4f}{f' ({own[0]} before)' if own else ''} at best\n"
        f"# in {len(ended)} trials, {pruned} of them pruned, {sum(map(seconds_of, trials)) / 60:.1f} minutes of "
        f"processor time, model seed {seed}.\n"
    )
    return head + yaml.safe_dump(nested(rounded(best.params)), sort_keys=False)


def as_list(trials: Sequence[FrozenTrial], names: Sequence[str], monitor: str) -> str:
    """All trials as CSV, in the order in which they began: state, value, processor seconds and settings.

    Args:
        trials: all trials of the study.
        names: the options that vary.
        monitor: the metric that decided; a trial that was pruned, failed or cut off has no value of it.
    """
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            monitor: "" if trial.value is None else f"{trial.value:.6f}",
            "processor_seconds": f"{seconds_of(trial):.1f}",
            **rounded(trial.params),
        }
        for trial in trials
    ]
    return as_csv(["trial", "state", monitor, "processor_seconds", *names], rows) + "\n"


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with their numbers to four figures."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}
