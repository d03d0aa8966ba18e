"""From the runs of an experiment by periods to one table and one picture: reads files only."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec import files
from metarec.errors import InputError
from metarec.experiment import Experiment, folder_of
from metarec.gaps import column_of, users_of
from metarec.metrics import higher_is_better
from metarec.metrics.intervals import Interval, described, mean_interval, paired_interval
from metarec.periods.plan import name_of, ways_of

Record = dict[str, Any]
Values = npt.NDArray[np.float64]
FIELDS = (
    *("method", "way", "trained_to", "tested_on", "metric", "mean", "low", "high"),
    *("less_than_frozen", "less_low", "less_high", "tasks", "missing", "seeds", "new_tasks", "ratings_of_unseen_items"),
)


def records(
    experiment: Experiment, periods: int, results: Path, metric: str = "", seeds: Sequence[int] = ()
) -> list[Record]:
    """One record a method, way and tested period, of those that are run, with 95 % bootstrap intervals.

    A user's value is the mean over model seeds. `less_than_frozen` is the frozen model's value minus this one's, paired
    by user: positive where an error became less. In the first period, all ways are one run.

    Args:
        experiment: the methods that were followed.
        periods: into how many periods the data are cut.
        results: folder of the runs.
        metric: of the adapted model, or ``zero_shot/NAME``; empty: the first metric of the experiment.
        seeds: only these model seeds; empty: the experiment's own.

    Raises:
        InputError: no run is finished, there is no such metric, or runs of a period tested different users or ratings.
    """
    metric, rows = metric or experiment.metrics[0], []
    for period in range(1, periods):
        done: dict[tuple[str, str], list[Path]] = {}
        for name, method in experiment.methods.items():
            for way in ways_of(method):
                own = [folder_of(results, name_of(name, way, period), seed) for seed in seeds or experiment.seeds]
                if finished := [folder for folder in own if (folder / "metrics.json").exists()]:
                    done[name, way] = finished
        _require_same([folder for folders in done.values() for folder in folders], results, period)
        values = {key: _values(folders, metric) for key, folders in done.items()}
        for (name, way), own_values in values.items():
            frozen = values.get((name, "frozen")) if way != "frozen" and period > 1 else None
            if frozen is not None and _seeds(done[name, way]) != _seeds(done[name, "frozen"]):
                frozen = None  # no pairs
            head = {"method": name, "way": way, "trained_to": period, "tested_on": period + 1, "metric": metric}
            rows.append(head | _record(own_values, frozen, _summary(done[name, way][0])))
    if not rows:
        raise InputError(f"{results}: no finished run; run the experiment first with `metarec periods`")
    return rows


def _summary(folder: Path) -> Record:
    """A run's `metrics.json`."""
    content: Record = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return content


def _require_same(folders: Sequence[Path], results: Path, period: int) -> None:
    """All runs of a period must have asked the same users for the same ratings."""
    found = {(summary["data"]["digest"], summary["episodes"]["digest"]) for summary in map(_summary, folders)}
    if len(found) > 1:
        raise InputError(
            f"{results}: runs tested other users or ratings of period {period + 1} than others; run them again with "
            "the same data, scenario and sizes"
        )


def _values(folders: Sequence[Path], metric: str) -> Values:
    """Values of shape (seeds, users), users in the order of their names, the same in all runs of a period."""
    tables = [users_of(pd.read_parquet(folder / "per_task.parquet")).sort_values("user") for folder in folders]
    return np.stack([column_of(table, metric) for table in tables])


def _seeds(folders: Sequence[Path]) -> list[str]:
    """The seeds of some runs, as their folders are called."""
    return [folder.name for folder in folders]


def _record(values: Values, frozen: Values | None, summary: Record) -> Record:
    """Mean, interval and paired difference to the frozen model, and who was met."""
    mean = mean_interval(values)
    less = Interval(math.nan, math.nan, math.nan, 0, 0) if frozen is None else paired_interval(frozen, values)
    numbers = (mean.mean, mean.low, mean.high, less.mean, less.low, less.high)
    cells = [None if math.isnan(number) else number for number in numbers]
    counts = (mean.tasks, mean.missing, len(values), summary["new_tasks"], summary["split"]["unseen"]["test"])
    return dict(zip(FIELDS[5:], (*cells, *counts), strict=True))


def as_json(rows: Sequence[Record]) -> str:
    """The records as a JSON list."""
    return json.dumps(list(rows), indent=2)


def as_csv(rows: Sequence[Record]) -> str:
    """The records as CSV with a header line."""
    return files.as_csv(FIELDS, rows)


def as_markdown(rows: Sequence[Record], experiment: Experiment) -> str:
    """A Markdown table: a row a method and way, a column a tested period, and below who was met there.

    Args:
        rows: what `records` returns.
        experiment: its sentence stands above the table.
    """
    metric, tested = rows[0]["metric"], sorted({row["tested_on"] for row in rows})
    cells = {(row["method"], row["way"], row["tested_on"]): row for row in rows}
    lines = [
        _line(["method", "way", *(f"period {number}" for number in tested)]),
        _line(["---", "---", *["---:"] * len(tested)]),
    ]
    for name, way in dict.fromkeys((row["method"], row["way"]) for row in rows):
        lines.append(_line([name, way, *(_cell(cells.get((name, way, number))) for number in tested)]))
    for title, field in (
        ("test users", "tasks"),
        ("of them new", "new_tasks"),
        ("ratings of unseen items", "ratings_of_unseen_items"),
    ):
        for way in dict.fromkeys(row["way"] for row in rows) if field != "tasks" else [""]:
            own = [[row for row in rows if row["tested_on"] == n and way in ("", row["way"])] for n in tested]
            lines.append(_line([title, way, *(_span(part, field) for part in own)]))
    seeds = " to ".join(str(number) for number in sorted({row["seeds"] for row in rows}))
    direction = "higher" if higher_is_better(metric.split("/")[-1]) else "lower"
    caption = (
        f"{experiment.shows} {metric} ({direction} is better), a mean over the users of a period and {seeds} model "
        f"seed(s), in brackets {described(max(row['seeds'] for row in rows))}. Each period is tested by "
        "models that have seen nothing of it or of later time. frozen: trained on period 1 alone; fine-tuned: that "
        "model, trained further on each following period; retrained: from scratch on all periods before. Of period 2, "
        "they are one model."
    )
    return "\n".join([caption, "", *lines])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Record | None) -> str:
    """A mean with its interval; a dash where there is none."""
    if row is None or row["mean"] is None:
        return "-"
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _span(rows: Sequence[Record], field: str) -> str:
    """The number that all rows share, or the range of their numbers."""
    found = sorted({row[field] for row in rows})
    return "-" if not found else str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
