"""From the k-shot curves of run folders to one table and one picture: reads files only."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec import files
from metarec.errors import InputError
from metarec.experiment import Experiment, folder_of
from metarec.k_shot.summary import KEYS, Curve, curve, of_users, plain
from metarec.messages import did_you_mean
from metarec.metrics.intervals import Interval, described

Record = dict[str, Any]
LAYER = "configs/evaluation/k_shot.yaml"
FIELDS = (
    *("method", "metric", "k", "mean", "low", "high", "tasks", "missing", "seeds"),
    *("area", "area_low", "area_high", "shots_to_95"),
)


class Curves(NamedTuple):
    """The curves of an experiment in one metric.

    Attributes:
        metric: its name.
        methods: a curve a method, in the order of the experiment.
        seeds: how many model seeds each is the mean of.
        without: methods that left no curve.
        users: how many users were judged.
        left_out: how many were not, by reason.
    """

    metric: str
    methods: dict[str, Curve]
    seeds: dict[str, int]
    without: list[str]
    users: int
    left_out: dict[str, int]


def curves(experiment: Experiment, results: Path, metric: str = "", seeds: Sequence[int] = ()) -> Curves:
    """The curve of each method that left one: means over draws, seeds and users, with intervals over seeds and users.

    Args:
        experiment: the experiment.
        results: folder of its runs.
        metric: what is shown, as in ``k_shot.json``; empty: the first metric of the experiment.
        seeds: only these model seeds; empty: the experiment's own.

    Raises:
        InputError: no run left a curve, there is no such metric, or runs judged different users, ratings or shots.
    """
    found = {
        method: [folder for seed in seeds or experiment.seeds if _done(folder := folder_of(results, method, seed))]
        for method in experiment.methods
    }
    folders = {method: runs for method, runs in found.items() if runs}
    if not folders:
        raise InputError(f"{results}: no run left a k-shot curve; put {LAYER} among the layers and run the experiment")
    metric = metric or experiment.metrics[0]
    tables = {method: [pd.read_parquet(run / "k_shot.parquet") for run in runs] for method, runs in folders.items()}
    summaries = [_summary(run) for runs in folders.values() for run in runs]
    _check(metric, [table for runs in tables.values() for table in runs], summaries, results)
    higher: bool = summaries[0]["metrics"][metric]["higher_is_better"]
    values = {method: [of_users(table, metric) for table in runs] for method, runs in tables.items()}
    return Curves(
        metric,
        {method: curve(runs[0][0], np.stack([run for _, run in runs]), higher) for method, runs in values.items()},
        {method: len(runs) for method, runs in folders.items()},
        [method for method in experiment.methods if method not in folders],
        summaries[0]["users"],
        summaries[0]["left_out"],
    )


def _done(folder: Path) -> bool:
    """Whether a run left its curves."""
    return (folder / "k_shot.json").exists() and (folder / "k_shot.parquet").exists()


def _summary(folder: Path) -> Record:
    """A run's ``k_shot.json``."""
    content: Record = json.loads((folder / "k_shot.json").read_text(encoding="utf-8"))
    return content


def _check(metric: str, tables: Sequence[pd.DataFrame], summaries: Sequence[Record], results: Path) -> None:
    """All runs must have judged the same users on the same ratings with the same shots, and have the metric."""
    for table in tables:
        known = [name for name in table.columns if name not in KEYS]
        if metric not in known:
            raise InputError(
                f"metric: no curve of '{metric}'" + (did_you_mean(metric, known) or f"; known are {known}")
            )
    rows = {tuple(table[list(KEYS)].itertuples(index=False, name=None)) for table in tables}
    asked = {
        json.dumps([s["data"]["digest"], s["split"], s["episodes"], s["shots"]], sort_keys=True) for s in summaries
    }
    if len(rows) > 1 or len(asked) > 1:
        raise InputError(f"{results}: k-shot curves of different users, ratings or shots; run all methods again alike")


def records(found: Curves) -> list[Record]:
    """One flat record a method and k; area and shots needed are those of the method's whole curve."""
    return [
        dict(zip(FIELDS, (method, found.metric, k, *_numbers(point), found.seeds[method], *_whole(line)), strict=True))
        for method, line in found.methods.items()
        for k, point in zip(line.shots, line.points, strict=True)
    ]


def _numbers(point: Interval) -> tuple[float | int | None, ...]:
    return plain(point.mean), plain(point.low), plain(point.high), point.tasks, point.missing


def _whole(line: Curve) -> tuple[float | None, ...]:
    return plain(line.area.mean), plain(line.area.low), plain(line.area.high), plain(line.needed)


def as_json(found: Curves) -> str:
    """The records as a JSON list."""
    return json.dumps(records(found), indent=2)


def as_csv(found: Curves) -> str:
    """The records as CSV with a header line."""
    return files.as_csv(FIELDS, records(found))


def as_markdown(found: Curves, experiment: Experiment, odd: Sequence[str] = ()) -> str:
    """A Markdown table: one row a method, one column a k, with intervals in the cells and the caption above.

    Args:
        found: what `curves` returns.
        experiment: the experiment.
        odd: methods to name in the caption, since they ran with other options than the experiment says.
    """
    shots = next(iter(found.methods.values())).shots
    head = ["method", *(f"k = {k}" for k in shots), "area", "shots to 95 %"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for method, line in found.methods.items():
        needed = "-" if plain(line.needed) is None else f"{line.needed:.1f}"
        lines.append(_line([method, *map(_cell, line.points), _cell(line.area), needed]))
    warning = [f"**Not as the experiment file says now: {', '.join(odd)}.**", ""] if odd else []
    return "\n".join([*warning, _caption(found, experiment), "", *lines])


def _caption(found: Curves, experiment: Experiment) -> str:
    """What the table shows, of how many users and seeds, and what its columns mean."""
    return " ".join(
        [
            experiment.shows,
            f"{found.metric} with k ratings to adapt on (0: zero-shot), on the same other ratings of the same",
            f"{found.users} test users at every k{_without_value(found.methods)}; left out: {_listed(found.left_out)}.",
            f"Mean over {_range(found.seeds.values())} model seed(s), in brackets",
            f"{described(max(found.seeds.values()))}, draws averaged first.",
            "area: mean height over log(1 + k); shots to 95 %: k where the mean has made 95 % of its last gain over",
            "k = 0, - without a gain.",
            *([f"No curves: {', '.join(found.without)}."] if found.without else []),
        ]
    )


def _listed(left_out: Mapping[str, int]) -> str:
    """How many were left out, and why."""
    return ", ".join(f"{count} with {reason}" for reason, count in left_out.items() if count) or "none"


def _without_value(methods: Mapping[str, Curve]) -> str:
    """How many users the means leave out, for having no value, such as of nDCG@5 of five ratings."""
    missing = [line.area.missing for line in methods.values()]
    return f", of whom {_range(missing)} have no value" if any(missing) else ""


def _range(numbers: Any) -> str:
    """The one number, or the smallest and the largest."""
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(point: Interval) -> str:
    """A mean with its interval, or a dash where there is none."""
    return "-" if plain(point.mean) is None else f"{point.mean:.3f} [{point.low:.3f}, {point.high:.3f}]"
