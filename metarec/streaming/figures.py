"""The picture of a stream: errors over time, by what a user had said, and by month."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metarec.files import replacing
from metarec.streaming.summary import Curves, curve, modes_of

COLOURS = {
    "zero_shot": "#9a9a9a", "reset": "#2e86c1", "continue": "#e67e22", "window": "#1d7a5f", "decay": "#8e44ad"
}  # fmt: skip

FEWEST = 30
"""Events that a month must have to be drawn; `stream.json` has all months."""


def draw(table: pd.DataFrame, found: dict[str, Any], curves: Curves, path: Path) -> bool:
    """Draw `stream.png`.

    Args:
        table: an event a row, in the order of time.
        found: what `metarec.streaming.summary.summary` made of it.
        curves: how curves forget.
        path: the file to write.

    Returns:
        Whether it was drawn: not where matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture, axes = pyplot.subplots(2, 2, figsize=(11, 7))
        _over_events(axes[0, 0], table, curves, "windowed_mae", f"MAE of the last {curves.window} events")
        _over_events(axes[0, 1], table, curves, "fading_mae", f"MAE, fading factor {curves.fading}")
        _by_seen(axes[1, 0], found)
        _by_month(axes[1, 1], found)
        axes[0, 0].legend(frameon=False, ncols=3)
        picture.tight_layout()
        with replacing(path) as temporary:
            picture.savefig(temporary, dpi=130, format="png")
        pyplot.close(picture)
    return True


def _over_events(axis: Any, table: pd.DataFrame, curves: Curves, name: str, title: str) -> None:
    """A curve for each mode, from where it has forgotten how few events there were."""
    start = min(curves.window, len(table) // 10)
    for mode in modes_of(table):
        values = curve(table, mode, curves)[name]
        axis.plot(np.arange(start, len(table)) + 1, values[start:], color=COLOURS[mode], lw=1.1, label=_named(mode))
    axis.set(title=title, xlabel="events, in the order of time", ylabel="MAE")


def _by_seen(axis: Any, found: dict[str, Any]) -> None:
    """Error by number of ratings seen, side by side with intervals."""
    for number, (mode, rows) in enumerate(found["by_seen"].items()):
        place = np.arange(len(rows)) + 0.14 * (number - (len(found["by_seen"]) - 1) / 2)
        mean, low, high = (np.array([row[name] for row in rows]) for name in ("mean", "low", "high"))
        axis.errorbar(place, mean, [mean - low, high - mean], fmt="o", ms=3, lw=1, color=COLOURS[mode])
        axis.set_xticks(range(len(rows)), [f"{row['seen']}\n({row['users']})" for row in rows])
    axis.set(
        title="MAE by ratings that the user gave before, 95 % interval over users",
        xlabel="ratings given before (users)",
        ylabel="mean over users of MAE",
    )


def _by_month(axis: Any, found: dict[str, Any]) -> None:
    """Error by calendar month; the size of a point is the month's number of events."""
    rows = found["by_month"] and [row for row in found["by_month"] if row["events"] >= FEWEST]
    axis.set(title=f"MAE by calendar month of {FEWEST} events or more", xlabel="month", ylabel="MAE")
    if not rows:
        axis.text(0.5, 0.5, "no such month, or times are no seconds", ha="center", transform=axis.transAxes)
        return
    month = np.array([row["month"] for row in rows], dtype="datetime64[M]")
    size = np.array([row["events"] for row in rows])
    for mode in found["by_seen"]:
        mean = [row[mode]["mae"] for row in rows]
        axis.plot(month, mean, color=COLOURS[mode], lw=0.5, alpha=0.5)
        axis.scatter(month, mean, color=COLOURS[mode], s=8 + 60 * size / size.max(), linewidths=0, alpha=0.7)


def _named(mode: str) -> str:
    return mode.replace("_", "-")
