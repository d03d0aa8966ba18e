"""What the finished runs of an experiment left, as figures and pages want it: reads files only."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec import report
from metarec.errors import InputError
from metarec.experiment import Experiment, folder_of
from metarec.gaps import users_of
from metarec.k_shot import table as k_shot
from metarec.learning import LEARNING, read
from metarec.messages import did_you_mean
from metarec.metrics import higher_is_better
from metarec.tables import words
from metarec.tables.made import made
from metarec.tables.published import Printed
from metarec.tables.table import Cell, Row, Table

Record = dict[str, Any]
Values = npt.NDArray[np.float64]
MODES = ("zero_shot", "adapted")


class Learning(NamedTuple):
    """The learning curves of an experiment in one metric.

    Attributes:
        metric: its name.
        table: columns `method`, `seed`, `epoch`, `step`, `zero_shot`, `adapted`: a row a validation.
        without: methods that were trained and left no curve, or left one without the metric.
    """

    metric: str
    table: pd.DataFrame
    without: list[str]


class Runs:
    """The finished runs of an experiment; each file is read once, when it is asked for.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        seeds: only these model seeds; empty: the experiment's own.
        figures: printed figures to stand in the table, by method and metric.

    Raises:
        InputError: no run is finished.
    """

    def __init__(
        self,
        experiment: Experiment,
        results: Path,
        seeds: Sequence[int] = (),
        figures: Mapping[str, Mapping[str, Printed]] | None = None,
    ) -> None:
        self.experiment, self.results, self.figures = experiment, results, figures or {}
        self.seeds = list(seeds or experiment.seeds)
        self.folders = {
            (method, seed): folder
            for method in experiment.methods
            for seed in self.seeds
            if _done(folder := folder_of(results, method, seed))
        }
        if not self.folders:
            raise InputError(f"{results}: no finished run; run the experiment first with `metarec run`")

    @property
    def methods(self) -> list[str]:
        """Methods with a finished run, in the experiment's order."""
        return list(dict.fromkeys(method for method, _ in self.folders))

    @property
    def unfinished(self) -> list[str]:
        """Methods with fewer finished runs than seeds."""
        return [name for name in self.experiment.methods if any((name, s) not in self.folders for s in self.seeds)]

    @cached_property
    def table(self) -> Table:
        """What `metarec table` shows."""
        found = report.finished(self.experiment, self.results, self.seeds)
        return made(self.experiment, found, self.figures, self.results.name)

    @cached_property
    def records(self) -> list[Record]:
        """The numbers of the table: a record a method and metric.

        ``zero_shot_NAME`` is a metric without adaptation; `fit_seconds` are of a run, `adapt_seconds` of a user. Each
        has `mean`, `low` and `high`, and `difference`, `difference_low` and `difference_high` to the reference; null:
        there is none.
        """
        return [record for row in self.table.rows for record in _records(row, self.experiment)]

    @cached_property
    def summaries(self) -> dict[tuple[str, int], Record]:
        """The ``metrics.json`` of each method and seed."""
        return {key: json.loads((folder / "metrics.json").read_text("utf-8")) for key, folder in self.folders.items()}

    @cached_property
    def users(self) -> pd.DataFrame:
        """A row a method, seed and test user, means over draws; columns of ``per_task.parquet``, and `activity`.

        Raises:
            InputError: runs tested different users.
        """
        tables = {key: users_of(pd.read_parquet(folder / "per_task.parquet")) for key, folder in self.folders.items()}
        sizes = {tuple(sorted(zip(found["user"], found["activity"], strict=True))) for found in tables.values()}
        if len(sizes) > 1:
            raise InputError(
                f"{self.results}: runs tested different users or ratings; run them again with the same data"
            )
        return pd.concat([found.assign(method=method, seed=seed) for (method, seed), found in tables.items()])

    def learning(self, metric: str) -> Learning:
        """The learning curves; only methods with weights of their own have one.

        Raises:
            InputError: no run left a curve of the metric.
        """
        plans = self.experiment.methods
        trained = [name for name in self.methods if plans[name].train and not plans[name].weights_from]
        found = [_curve(folder, *key, metric) for key, folder in self.folders.items() if key[0] in trained]
        tables = [table for table in found if len(table)]
        if not tables:
            raise InputError(
                f"{self.results}: no run left a learning curve of '{metric}' ({LEARNING}, written while training); "
                "train again to have one"
            )
        table = pd.concat(tables, ignore_index=True)
        return Learning(metric, table, [name for name in trained if name not in set(table["method"])])

    def k_shot(self, metric: str) -> k_shot.Curves:
        """The k-shot curves, see `metarec.k_shot.table.curves`, which says what it refuses."""
        return k_shot.curves(self.experiment, self.results, metric, self.seeds)


def _records(row: Row, experiment: Experiment) -> list[Record]:
    """The records of a method."""
    found = []
    for metric in experiment.metrics:
        less = row.cells[words.difference(metric, experiment.reference)]
        found.append(_record(row, metric, row.cells[metric], less))
        found.append(_record(row, f"zero_shot_{metric}", row.cells[words.zero_shot(metric)]))
    found.append(_record(row, "fit_seconds", row.cells[words.FIT]))
    return [*found, _record(row, "adapt_seconds", row.cells[words.SPEED], scale=1e-3)]


def _record(row: Row, metric: str, cell: Cell, less: Cell | None = None, scale: float = 1.0) -> Record:
    """A cell as a record."""
    record: Record = {"method": row.method, "metric": metric, "tasks": cell.tasks, "missing": cell.missing}
    for prefix, own in (("", cell), ("difference_", less or Cell())):
        for name, number in (("mean", own.mean), ("low", own.low), ("high", own.high)):
            key = "difference" if prefix and name == "mean" else f"{prefix}{name}"
            record[key] = None if number is None else scale * number
    return record


def _done(folder: Path) -> bool:
    """Whether a run left its results."""
    return (folder / "metrics.json").is_file() and (folder / "per_task.parquet").is_file()


def _curve(folder: Path, method: str, seed: int, metric: str) -> pd.DataFrame:
    """The rows of a run's learning curve; none where it has no such file or metric, or the metric no value."""
    table = pd.DataFrame(read(folder / LEARNING))
    columns = {mode: f"val/{mode}/{metric}" for mode in MODES}
    if not set(columns.values()) <= set(table):
        return pd.DataFrame()
    named = table.rename(columns={column: mode for mode, column in columns.items()})
    if not np.isfinite(named["adapted"]).any():
        return pd.DataFrame()
    return named[["epoch", "step", *MODES]].assign(method=method, seed=seed)


def values(users: pd.DataFrame, method: str, column: str) -> Values:
    """The values of a method, (seeds, users); users stand in the order of their ids.

    Raises:
        InputError: there is no such column.
    """
    if column not in users:
        known = [str(name).removeprefix("adapted/") for name in users if str(name).startswith("adapted/")]
        wrong = column.split("/", 1)[-1]
        raise InputError(f"no metric '{wrong}' in the results" + (did_you_mean(wrong, known) or f"; there are {known}"))
    own = users[users["method"] == method]
    found: Values = own.pivot(index="seed", columns="user", values=column).to_numpy(np.float64)
    return found


def gains(users: pd.DataFrame, method: str, metric: str) -> Values:
    """What adaptation gains for each user, (seeds, users), positive where it helps."""
    sign = 1 if higher_is_better(metric) else -1
    return sign * (values(users, method, f"adapted/{metric}") - values(users, method, f"zero_shot/{metric}"))
