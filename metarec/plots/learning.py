"""Learning curves: the validation metric over training, a panel a method."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metarec.metrics import higher_is_better
from metarec.plots.runs import Learning
from metarec.plots.style import BLUE, GREY, NAME, VERMILION, note, panels, styled, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, HEIGHT = 4, 1.2


def learning(found: Learning, title: str = "") -> "Figure":
    """Draw a panel a method, in it a line a seed, adapted and zero-shot, and a dot at the best validation.

    The vertical axis is shared. It leaves out the first validations where they are far worse than all that follows.

    Args:
        found: what `metarec.plots.runs.Runs.learning` returns.
        title: above the figure.
    """
    table, higher = found.table, higher_is_better(found.metric)
    over = "step" if table.duplicated(["method", "seed", "epoch"]).any() else "epoch"
    methods = list(dict.fromkeys(table["method"]))
    with styled():
        picture, every = panels(len(methods), COLUMNS, HEIGHT, title, sharex=True, sharey=True)
        for axes, method in zip(every, methods, strict=True):
            _panel(axes, table[table["method"] == method], over, higher)
            axes.set_title(wrapped(method, NAME), fontsize=7)
        every[0].set_ylim(*_range(table, higher))
        picture.supylabel(f"val {found.metric}", fontsize=8)
        better = f"{'higher' if higher else 'lower'} is better"
        missing = f"No learning curve: {', '.join(found.without)}." if found.without else ""
        note(
            picture,
            [
                f"On validation users, over {over}s; {better}. A line a model seed, solid: adapted, dotted: zero-shot; "
                "diamond: the best validation.",
                missing,
            ],
        )
    return picture


def _panel(axes: Any, table: pd.DataFrame, over: str, higher: bool) -> None:
    """The seeds of one method."""
    for _, run in table.groupby("seed"):
        axes.plot(run[over], run["zero_shot"], ":", color=GREY, lw=1)
        axes.plot(run[over], run["adapted"], "-", color=BLUE, lw=1)
        if run["adapted"].notna().any():
            best = run.sort_values("adapted", ascending=not higher, kind="stable").iloc[0]
            axes.plot(best[over], best["adapted"], "D", color=VERMILION, ms=3, lw=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(True, axis="y")


def _range(table: pd.DataFrame, higher: bool) -> tuple[float, float]:
    """From the best value to the worst tenth, and at least to the best value of each run."""
    seen = table[["zero_shot", "adapted"]].to_numpy().ravel()
    seen = seen[np.isfinite(seen)]
    runs = table.groupby(["method", "seed"])["adapted"]
    if higher:
        low, high = min(np.quantile(seen, 0.1), runs.max().min()), seen.max()
    else:
        low, high = seen.min(), max(np.quantile(seen, 0.9), runs.min().max())
    room = 0.08 * (high - low) or 0.01
    return float(low - room), float(high + room)
