"""From run folders to one value a user, seed and method: reads files only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec.errors import InputError
from metarec.experiment import Experiment, folder_of

Record = dict[str, Any]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """The finished runs of an experiment, all on the same test users and ratings.

    Attributes:
        users: by method and seed, one row a test user: means over the draws of their episode.
        summaries: by method and seed, what the run left in `metrics.json`.
        fit_seconds: by method and seed, time of training and of selecting steps and rate, that of borrowed weights
            and of those that training went on from included.
        without: methods without a finished run.
    """

    users: dict[str, dict[int, pd.DataFrame]]
    summaries: dict[str, dict[int, Record]]
    fit_seconds: dict[str, dict[int, float]]
    without: list[str]

    def values(self, method: str, column: str, seeds: Sequence[int] = ()) -> Values:
        """A column of `per_task.parquet`, (seeds, users).

        Args:
            method: whose.
            column: such as ``adapted/mae``.
            seeds: which of the method's seeds, in this order; empty: all.

        Raises:
            InputError: there is no such column.
        """
        runs = self.users[method]
        chosen = [runs[seed] for seed in seeds or runs]
        for table in chosen:
            if column not in table:
                raise InputError(f"metric column {column} is not in the results; there are {list(table.columns)}")
        return np.stack([table[column].to_numpy(np.float64) for table in chosen])

    def values_of_runs(self, method: str, column: str, seeds: Sequence[int] = ()) -> Values:
        """What a run has but one value of, over all of its users, such as coverage: a value a seed, (seeds,).

        Args:
            method: whose.
            column: such as ``adapted/coverage@10``.
            seeds: which of the method's seeds, in this order; empty: all.

        Returns:
            NaN for a run without a finite value.

        Raises:
            InputError: a run does not have it.
        """
        found = []
        for seed in seeds or self.summaries[method]:
            means = self.summaries[method][seed].get("metrics", {})
            if f"test/{column}" not in means:
                raise InputError(
                    f"{method}, seed {seed}: metrics.json has no test/{column}; run it again as the others were run"
                )
            found.append(means[f"test/{column}"])
        return np.array(found, dtype=np.float64)  # null becomes NaN

    def is_of_runs(self, column: str) -> bool:
        """Whether runs have but one value of a column: none of them by user, and some of them at all."""
        by_user = any(column in table for found in self.users.values() for table in found.values())
        summaries = [summary for found in self.summaries.values() for summary in found.values()]
        return not by_user and any(f"test/{column}" in summary.get("metrics", {}) for summary in summaries)

    def shared_seeds(self, method: str, other: str) -> list[int]:
        """The seeds that both methods ran with."""
        return [seed for seed in self.users[method] if seed in self.users[other]]


def finished(experiment: Experiment, results: Path, seeds: Sequence[int] = ()) -> Runs:
    """Read what the finished runs of an experiment left.

    A user's value is undefined where one of their draws is.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        seeds: only these model seeds; empty: the experiment's own.

    Raises:
        InputError: no run of the experiment is finished, or runs tested different users.
    """
    done = {
        method: {
            seed: folder for seed in seeds or experiment.seeds if _done(folder := folder_of(results, method, seed))
        }
        for method in experiment.methods
    }
    folders = {method: runs for method, runs in done.items() if runs}
    if not folders:
        raise InputError(f"{results}: no finished run; run the experiment first with `metarec run`")
    runs = Runs(
        {method: {s: _users(f / "per_task.parquet") for s, f in found.items()} for method, found in folders.items()},
        {method: {s: _summary(f) for s, f in found.items()} for method, found in folders.items()},
        {method: {s: _fit(experiment, method, results, s) for s in found} for method, found in folders.items()},
        [method for method in experiment.methods if method not in folders],
    )
    _check_comparable(runs, results)
    return runs


def _done(folder: Path) -> bool:
    """Whether a run left its results."""
    return (folder / "metrics.json").exists() and (folder / "per_task.parquet").exists()


def _users(path: Path) -> pd.DataFrame:
    """One row a test user: means over the draws of their episode; undefined where one of them is."""
    return pd.read_parquet(path).groupby("user", sort=False, as_index=False).mean(numeric_only=True, skipna=False)


def _check_comparable(runs: Runs, results: Path) -> None:
    """All runs must have the same data, split and test episodes, or pairs would be wrong."""
    columns = ["user", "support_size", "query_size"]
    tables = [table for found in runs.users.values() for table in found.values()]
    summaries = [summary for found in runs.summaries.values() for summary in found.values()]
    tasks = {tuple(table[columns].itertuples(index=False, name=None)) for table in tables}
    sources = {tuple(s.get(part, {}).get("digest") for part in ("data", "split", "episodes")) for s in summaries}
    if len(tasks) > 1 or len(sources) > 1:
        raise InputError(
            f"{results}: runs tested different users or ratings; run them again with the same data, split and order"
        )


def _fit(experiment: Experiment, method: str, results: Path, seed: int) -> float:
    """Seconds of training and selection of a run, and of the runs whose weights it has."""
    return sum(own_seconds(_summary(folder_of(results, name, seed))) for name in _sources(experiment, method))


def _sources(experiment: Experiment, method: str) -> list[str]:
    """A method, the one whose weights it has, and so on."""
    source = experiment.methods[method].source
    return [method, *(_sources(experiment, source) if source else [])]


def own_seconds(summary: Record) -> float:
    """Seconds that one run took to train and to select steps and rate."""
    return float(summary.get("fit_seconds", 0.0) + summary.get("select_seconds", 0.0))


def _summary(folder: Path) -> Record:
    """A run's `metrics.json`, empty where it is missing."""
    path = folder / "metrics.json"
    content: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
