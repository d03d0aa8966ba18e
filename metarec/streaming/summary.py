"""What `stream.json` holds: errors over time, by what a user had said, and by month, of every mode."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from metarec.data.ratings import EARLIEST
from metarec.metrics.intervals import Interval, paired_interval
from metarec.metrics.prequential import (
    FloatArray,
    fading,
    group_names,
    groups_of,
    months_of,
    user_interval,
    user_means,
    windowed,
)

COLUMNS = ("time", "user", "item", "seen", "rating")
"""Of an event; all further columns of a stream are predictions."""

POINTS = 200
"""Most points of a curve in the file; every event's are a function of `stream.parquet`."""


class Curves(NamedTuple):
    """How curves forget.

    Attributes:
        window: events of the sliding window, >= 1.
        fading: fading factor, > 0 and <= 1; 0.999 counts some 1,000 events.
    """

    window: int = 1000
    fading: float = 0.999


def summary(table: pd.DataFrame, cut: int, curves: Curves | None = None) -> dict[str, Any]:
    """Errors of each mode, zero-shot the first.

    Args:
        table: an event a row, in the order of time, with `COLUMNS` and a column for each mode.
        cut: time of the last training rating, in the unit of the table's times.
        curves: how curves forget.
    """
    curves = curves or Curves()
    modes = modes_of(table)
    return {
        "events": len(table),
        "users": int(table["user"].nunique()),
        "later_than_training": int((table["time"] > cut).sum()),
        "last_training_time": int(cut),
        "modes": {mode: _overall(table, mode) for mode in modes},
        "curves": {
            "window": curves.window,
            "fading": curves.fading,
            "event": [int(number) for number in _points(len(table)) + 1],
            "time": [int(time) for time in table["time"].to_numpy()[_points(len(table))]],
            **{mode: _curves(table, mode, curves) for mode in modes},
        },
        "by_seen": {mode: _by_seen(table, mode) for mode in modes},
        "by_month": _by_month(table, cut),
    }


def modes_of(table: pd.DataFrame) -> list[str]:
    """The modes that a table has predictions of."""
    return [name for name in table.columns if name not in COLUMNS]


def errors(table: pd.DataFrame, mode: str, kind: Literal["absolute", "squared"] = "absolute") -> FloatArray:
    """Absolute or squared error of each event, in double precision, (N,)."""
    difference = table[mode].to_numpy(np.float64) - table["rating"].to_numpy(np.float64)
    found: FloatArray = np.abs(difference) if kind == "absolute" else difference**2
    return found


def curve(table: pd.DataFrame, mode: str, curves: Curves) -> dict[str, FloatArray]:
    """MAE and RMSE at every event, over the last events and fading, by name, (N,) each."""
    absolute, squared = errors(table, mode), errors(table, mode, "squared")
    return {
        "windowed_mae": windowed(absolute, curves.window),
        "windowed_rmse": np.sqrt(windowed(squared, curves.window)),
        "fading_mae": fading(absolute, curves.fading),
        "fading_rmse": np.sqrt(fading(squared, curves.fading)),
    }


def _overall(table: pd.DataFrame, mode: str) -> dict[str, Any]:
    """Means over events, and over users with an interval; how much less than zero-shot and reset, paired by user."""
    absolute, squared = errors(table, mode), errors(table, mode, "squared")
    own = user_means(table["user"], absolute)[1]
    others = [name for name in ("zero_shot", "reset") if name in table.columns and name != mode]
    return {
        "mae": float(absolute.mean()),
        "rmse": float(np.sqrt(squared.mean())),
        "user_mae": _plain(user_interval(table["user"], absolute)),
        "user_mae_less": {
            name: _plain(paired_interval(own, user_means(table["user"], errors(table, name))[1])) for name in others
        },
    }


def _curves(table: pd.DataFrame, mode: str, curves: Curves) -> dict[str, list[float]]:
    """The curves at `POINTS` events."""
    points = _points(len(table))
    return {
        name: [round(float(value), 5) for value in column[points]]
        for name, column in curve(table, mode, curves).items()
    }


def _points(events: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Numbers of events, evenly spaced, the last one among them."""
    return np.unique(np.linspace(0, events - 1, min(events, POINTS)).round().astype(np.int64))


def _by_seen(table: pd.DataFrame, mode: str) -> list[dict[str, Any]]:
    """User-mean MAE by how much the user had said, with intervals over the users that have such events."""
    group, absolute = groups_of(table["seen"]), errors(table, mode)
    found = []
    for number, name in enumerate(group_names()):
        own = group == number
        if own.any():
            interval = user_interval(table["user"][own], absolute[own])
            found.append({"seen": name, "events": int(own.sum()), **_plain(interval)})
    return found


def _by_month(table: pd.DataFrame, cut: int) -> list[dict[str, Any]] | None:
    """MAE and RMSE of each mode by calendar month (UTC); null: the times are no seconds.

    Of `zero_shot` it says how the frozen meta-model ages; `age` counts months since the last training rating.
    """
    if table["time"].min() < EARLIEST:
        return None
    month = months_of(table["time"])
    start = months_of([cut])[0]
    found = []
    for each in np.unique(month):
        part = table[month == each]
        row: dict[str, Any] = {"month": str(each), "age": int((each - start).astype(int))}
        row |= {"events": len(part), "users": int(part["user"].nunique())}
        for mode in modes_of(table):
            squared = errors(part, mode, "squared")
            row[mode] = {"mae": float(errors(part, mode).mean()), "rmse": float(np.sqrt(squared.mean()))}
        found.append(row)
    return found


def _plain(interval: Interval) -> dict[str, Any]:
    """An interval as JSON holds it."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "users": interval.tasks}
