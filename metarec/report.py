"""From run folders to a table: reads files only."""

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
from metarec.files import write_text
from metarec.metrics import higher_is_better
from metarec.metrics.intervals import Interval, mean_interval, paired_interval

Record = dict[str, Any]
Values = npt.NDArray[np.float64]
FIELDS = (
    *("method", "metric", "mean", "low", "high"),
    *("difference", "difference_low", "difference_high"),
    *("tasks", "missing", "seeds"),
)

ROUNDING = 1e-6
"""A gain that is smaller comes from rounding: the method adapts nothing."""


def records(experiment: Experiment, results: Path, seeds: Sequence[int] = ()) -> list[Record]:
    """One record per method and metric, with 95 % bootstrap intervals over test users.

    A user's value is the mean over the draws of their episode, then over model seeds. Metrics are those of the adapted
    model (`mae`), of the same model without adaptation (`zero_shot_mae`), the gain by adaptation, positive where it
    helps (`gain_mae`), `adapt_seconds` a user, and `fit_seconds` a seed. What a run has but one value of, over all of
    its users, such as `coverage@10`, is a mean over seeds: like `fit_seconds`, it has no interval and is of 0 tasks.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        seeds: only these model seeds; empty: the experiment's own.

    Raises:
        InputError: no run of the experiment is finished, or runs tested different users.
    """
    finished = {
        method: [folder for seed in seeds or experiment.seeds if _done(folder := folder_of(results, method, seed))]
        for method in experiment.methods
    }
    tables = {m: [_users(f / "per_task.parquet") for f in folders] for m, folders in finished.items() if folders}
    if not tables:
        raise InputError(f"{results}: no finished run; run the experiment first with `metarec run`")
    summaries = [_summary(folder) for folders in finished.values() for folder in folders]
    _check_comparable(tables, summaries, results)
    rows = []
    for method, runs in tables.items():
        reference = experiment.reference if experiment.reference in tables and experiment.reference != method else ""
        for metric, column in _columns(experiment.metrics).items():
            if any(f"test/{column[0]}" in s.get("metrics", {}) for s in summaries) and column[0] not in runs[0]:
                rows.append(_run_record(method, metric, column, finished[method], finished.get(reference, [])))
            else:
                rows.append(_record(method, metric, column, runs, tables.get(reference)))
        rows.append(_fit_record(experiment, method, results, seeds or experiment.seeds))
    return rows


def _done(folder: Path) -> bool:
    """Whether a run left its results."""
    return (folder / "metrics.json").exists() and (folder / "per_task.parquet").exists()


def _users(path: Path) -> pd.DataFrame:
    """One row a test user: means over the draws of their episode; undefined where one of them is."""
    return pd.read_parquet(path).groupby("user", sort=False, as_index=False).mean(numeric_only=True, skipna=False)


def _check_comparable(tables: dict[str, list[pd.DataFrame]], summaries: list[Record], results: Path) -> None:
    """All runs must have the same data, split and test episodes, or pairs would be wrong."""
    columns = ["user", "support_size", "query_size"]
    tasks = {tuple(table[columns].itertuples(index=False, name=None)) for runs in tables.values() for table in runs}
    sources = {tuple(s.get(part, {}).get("digest") for part in ("data", "split", "episodes")) for s in summaries}
    if len(tasks) > 1 or len(sources) > 1:
        raise InputError(
            f"{results}: runs tested different users or ratings; run them again with the same data, split and order"
        )


def _columns(metrics: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By metric of the table, the columns of `per_task.parquet` it is made of: one, or minuend and subtrahend."""
    columns: dict[str, tuple[str, ...]] = {}
    for metric in metrics:
        zero, adapted = f"zero_shot/{metric}", f"adapted/{metric}"
        columns[metric] = (adapted,)
        columns[f"zero_shot_{metric}"] = (zero,)
        columns[f"gain_{metric}"] = (adapted, zero) if higher_is_better(metric) else (zero, adapted)
    return {**columns, "adapt_seconds": ("seconds",)}


def _values(runs: Sequence[pd.DataFrame], column: tuple[str, ...]) -> Values:
    """Values of shape (seeds, users)."""
    missing = [name for name in column if name not in runs[0]]
    if missing:
        raise InputError(f"metric column {missing[0]} is not in the results; there are {list(runs[0].columns)}")
    first = np.stack([table[column[0]].to_numpy(np.float64) for table in runs])
    return first if len(column) == 1 else first - np.stack([table[column[1]].to_numpy(np.float64) for table in runs])


def _record(
    method: str,
    metric: str,
    column: tuple[str, ...],
    runs: Sequence[pd.DataFrame],
    reference: Sequence[pd.DataFrame] | None,
) -> Record:
    """Mean and interval of one metric, and the paired difference to the reference method."""
    values = _values(runs, column)
    mean = mean_interval(values)
    pair = Interval(math.nan, math.nan, math.nan, 0, 0)
    if reference is not None:
        pair = paired_interval(values, _values(reference, column))
    numbers = (mean.mean, mean.low, mean.high, pair.mean, pair.low, pair.high)
    cells = [None if math.isnan(number) else number for number in numbers]
    return dict(zip(FIELDS, (method, metric, *cells, mean.tasks, mean.missing, len(runs)), strict=True))


def _run_record(
    method: str, metric: str, column: tuple[str, ...], folders: Sequence[Path], reference: Sequence[Path]
) -> Record:
    """Mean over seeds of what a run has but one value of, and the difference to the reference method."""
    own = float(np.mean([_of_run(folder, column) for folder in folders]))
    other = float(np.mean([_of_run(folder, column) for folder in reference])) if reference else math.nan
    return _bare(method, metric, own, own - other, len(folders))


def _of_run(folder: Path, column: tuple[str, ...]) -> float:
    """The value of a run, NaN where it has none."""
    means = _summary(folder).get("metrics", {})
    missing = [name for name in column if f"test/{name}" not in means]
    if missing:
        raise InputError(f"{folder}: metrics.json has no test/{missing[0]}; run it again as the others were run")
    values = [math.nan if means[f"test/{name}"] is None else means[f"test/{name}"] for name in column]
    return float(values[0] - sum(values[1:]))


def _bare(method: str, metric: str, mean: float, difference: float, seeds: int) -> Record:
    """A record of numbers that are none of users, without intervals."""
    cells = [None if math.isnan(number) else number for number in (mean, math.nan, math.nan, difference)]
    return dict(zip(FIELDS, (method, metric, *cells, None, None, 0, 0, seeds), strict=True))


def _fit_record(experiment: Experiment, method: str, results: Path, seeds: Sequence[int]) -> Record:
    """Mean time over seeds of training, that of borrowed weights included, and of selecting steps and rate."""
    chain = _sources(experiment, method)
    summaries = [
        [_summary(folder_of(results, name, seed)) for name in chain]
        for seed in seeds
        if _done(folder_of(results, method, seed))
    ]
    seconds = [sum(s.get("fit_seconds", 0.0) + s.get("select_seconds", 0.0) for s in pair) for pair in summaries]
    return _bare(method, "fit_seconds", float(np.mean(seconds)) if seconds else math.nan, math.nan, len(seconds))


def _sources(experiment: Experiment, method: str) -> list[str]:
    """A method, the one whose weights it has, and so on."""
    source = experiment.methods[method].source
    return [method, *(_sources(experiment, source) if source else [])]


def _summary(folder: Path) -> Record:
    """A run's `metrics.json`, empty where it is missing."""
    path = folder / "metrics.json"
    content: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def as_json(rows: Sequence[Record]) -> str:
    """The records as a JSON list."""
    return json.dumps(list(rows), indent=2)


def as_csv(rows: Sequence[Record]) -> str:
    """The records as CSV with a header line."""
    return files.as_csv(FIELDS, rows)


def as_markdown(rows: Sequence[Record], experiment: Experiment, odd: Sequence[str] = ()) -> str:
    """A Markdown table: one row a method, with intervals in the cells and the caption above.

    Args:
        rows: what `records` returns.
        experiment: the experiment.
        odd: methods to name in the caption, since they ran with other options than the experiment says.
    """
    first = experiment.metrics[0]
    by_method: dict[str, dict[str, Record]] = {}
    for row in rows:
        by_method.setdefault(row["method"], {})[row["metric"]] = row
    head = [
        "method",
        *experiment.metrics,
        f"gain in {first}",
        f"{first} - {experiment.reference}",
        "fit s",
        "ms/user",
    ]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for method, cells in by_method.items():
        gain, score = cells[f"gain_{first}"], cells[first]
        lines.append(
            _line(
                [
                    method,
                    *(_cell(cells[metric]) for metric in experiment.metrics),
                    _cell(gain) if abs(gain["mean"] or 0.0) > ROUNDING else "-",
                    _cell(score, "difference"),
                    _number(cells["fit_seconds"]["mean"], 0),
                    _cell(cells["adapt_seconds"], scale=1000),
                ]
            )
        )
    warning = [f"**Not as the experiment file says now: {', '.join(odd)}.**", ""] if odd else []
    return "\n".join([*warning, _caption(rows, experiment), "", *lines])


def _caption(rows: Sequence[Record], experiment: Experiment) -> str:
    """What the table shows, over how many users and seeds, and how its intervals were made."""
    runs = [m for m in experiment.metrics if any(_of_all(row) for row in rows if row["metric"] == m)]
    users = {metric: _counts(rows, metric, "tasks") for metric in experiment.metrics if metric not in runs}
    first = next(iter(users.values()), "")
    others = ", ".join(f"{metric}: {count}" for metric, count in users.items() if count != first)
    over = f"{first} test users{f' ({others})' if others else ''} and " if users else ""
    seeds = _counts(rows, experiment.metrics[0], "seeds")
    whole = f" {', '.join(runs)}: one value a run, over all test users at once, hence no interval." if runs else ""
    return (
        f"{experiment.shows} Mean over {over}{seeds} model seed(s), "
        f"in brackets the 95 % bootstrap interval over users, seeds averaged first. {_own(experiment.metrics)} "
        "of each user's own; gain: adapted against zero-shot; differences are paired by user; fit s: training and "
        f"selection; ms/user: adapting to one user alone and predicting.{whole}"
    )


def _of_all(row: Record) -> bool:
    """Whether a record has a value that is none of users."""
    return row["tasks"] == 0 and row["mean"] is not None


def _own(metrics: Sequence[str]) -> str:
    """What is to be said of metrics that could be taken over all rows at once; of AUC, what it is."""
    if "auc" in metrics:
        return (
            "auc, the share of pairs of an item with a click and a sampled one in the right order, is a mean over users"
        )
    return "mae and rmse are means over users"


def _counts(rows: Sequence[Record], metric: str, field: str) -> str:
    """The number that all methods share, or the range of their numbers."""
    found = sorted({row[field] for row in rows if row["metric"] == metric})
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Record, kind: str = "", scale: float = 1.0) -> str:
    """A mean with its interval, if it has one, or a dash where there is none."""
    names = (f"{kind}", f"{kind}_low", f"{kind}_high") if kind else ("mean", "low", "high")
    mean, low, high = (row[name] for name in names)
    if mean is None:
        return "-"
    mean, *ends = (round(scale * value, 3) + 0.0 for value in (mean, low, high) if value is not None)  # no -0.000
    return f"{mean:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else f"{mean:.3f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` in a text file.

    Raises:
        InputError: the file has no such block.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin not in text or end not in text:
        raise InputError(f"{path}: no block {begin} ... {end}; add these two lines where the table is to stand")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    write_text(path, f"{before}{begin}\n{content}\n{end}{after}")
