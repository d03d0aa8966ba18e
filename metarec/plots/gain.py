"""Adaptation gain by user activity: whom adaptation helps, those with many ratings or those with few."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metarec.errors import InputError
from metarec.gaps import binned
from metarec.metrics.intervals import described, mean_interval
from metarec.plots.runs import Values, gains
from metarec.plots.style import BLUE, NAME, note, panels, styled, wrapped
from metarec.tables.made import ROUNDING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, HEIGHT = 4, 1.3


def gain(users: pd.DataFrame, metric: str, title: str = "", bins: int = 4) -> "Figure":
    """Draw a panel a method that adapts: mean gain of each group of users by their number of ratings.

    Args:
        users: what `metarec.plots.runs.Runs.users` is.
        metric: the metric whose gain is drawn, adapted against zero-shot, positive where adaptation helps.
        title: above the figure.
        bins: groups of users, equally many in each as far as equal numbers stay together.

    Raises:
        InputError: no method gains or loses anything by adaptation, or there is no such metric.
    """
    found = {method: gains(users, method, metric) for method in dict.fromkeys(users["method"])}
    adapts = {method: values for method, values in found.items() if np.nanmax(np.abs(values), initial=0) > ROUNDING}
    if not adapts:
        raise InputError(f"no method of {list(found)} changes its {metric} by adaptation; there is no gain to draw")
    activity = users.drop_duplicates("user").set_index("user")["activity"].sort_index()
    groups = np.array(binned(activity, bins))
    names = [str(name) for name in dict.fromkeys(groups[np.argsort(activity.to_numpy(), kind="stable")])]
    with styled():
        picture, every = panels(len(adapts), COLUMNS, HEIGHT, title, sharey=True, sharex=True)
        for axes, (method, values) in zip(every, adapts.items(), strict=True):
            _panel(axes, [values[:, groups == name] for name in names])
            axes.set_title(wrapped(method, NAME), fontsize=7)
            axes.set_xticks(
                range(len(names)), [name.replace(" to ", "\N{EN DASH}") for name in names], fontsize=6.5, rotation=25
            )
        picture.supylabel(f"gain in {metric}", fontsize=8)
        still = [method for method in found if method not in adapts]
        counts = ", ".join(str(int((groups == name).sum())) for name in names)
        note(
            picture,
            [
                "Adapted against zero-shot, above 0 where adaptation helps, "
                f"over users' number of ratings, support and query; {counts} users a group, with "
                f"{described(len(next(iter(adapts.values()))))}.",
                f"Adapt nothing: {', '.join(still)}." if still else "",
            ],
        )
    return picture


def _panel(axes: Any, groups: list[Values]) -> None:
    """Mean and interval of each group."""
    found = [mean_interval(values) for values in groups]
    mean, low, high = (np.array([getattr(one, end) for one in found]) for end in ("mean", "low", "high"))
    axes.axhline(0, color="black", lw=0.8)
    axes.errorbar(range(len(found)), mean, [mean - low, high - mean], fmt="o-", color=BLUE, ms=3.5, lw=1, elinewidth=1)
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.grid(True, axis="y")
