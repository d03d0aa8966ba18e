"""Distribution of per-user differences: not only by how much a method is better on average, but for whom."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metarec.errors import InputError
from metarec.metrics import higher_is_better
from metarec.plots.dots import ROW, Dot, arrow
from metarec.plots.runs import Values, values
from metarec.plots.scale import ends, near
from metarec.plots.style import BLUE, SKY, blank, name_rows, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTILES = (5, 25, 50, 75, 95)


def differences(users: pd.DataFrame, metric: str, reference: str, title: str = "") -> "Figure":
    """Draw a box a method: quantiles over users of the method's metric minus the reference's, the best on top.

    Rows that are far worse than the others are an arrow with their mean at the edge, as in a dot plot.

    Args:
        users: what `metarec.plots.runs.Runs.users` is.
        metric: the metric.
        reference: the method that the others are compared with.
        title: above the figure.

    Raises:
        InputError: there is no finished run of the reference or of another method, or no such metric.
    """
    methods = list(dict.fromkeys(users["method"]))
    if reference not in methods or len(methods) < 2:
        raise InputError(f"differences need finished runs of the reference {reference} and of another method")
    base = _means(users, reference, metric)
    apart = {name: _means(users, name, metric) - base for name in methods if name != reference}
    apart = {name: found[~np.isnan(found)] for name, found in apart.items() if not np.isnan(found).all()}
    if not apart:
        raise InputError(f"no user has a {metric} by {reference} and by another method")
    sign = 1 if higher_is_better(metric) else -1
    order = sorted(apart, key=lambda name: sign * float(apart[name].mean()))
    with styled():
        picture = blank(1.3 + ROW * len(order), title=title)
        axes: Any = picture.subplots()
        _boxes(axes, [apart[name] for name in order], sign > 0)
        name_rows(axes, order)
        shares = [f"{100 * np.mean(sign * apart[name] > 0):.0f} %" for name in order]
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(order)), shares)
        axes.text(1.01, 1, "better for", transform=axes.transAxes, fontsize=7)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)
        axes.set_xlabel(f"a user's {metric} minus that of {reference} ({'above' if sign > 0 else 'below'} 0: better)")
        counts = sorted({len(found) for found in apart.values()})
        note(
            picture,
            [
                f"Box: the middle half of {counts[-1] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'} test "
                "users; bar: median; diamond: mean; whiskers: from the 5 % to the 95 % quantile; right: the share of "
                "users for whom the method is better; arrows: mean beyond the axis. Seeds averaged first."
            ],
        )
    return picture


def _means(users: pd.DataFrame, method: str, metric: str) -> Values:
    """A value a user, mean over seeds; NaN where one of them has none."""
    means: Values = values(users, method, f"adapted/{metric}").mean(axis=0)
    return means


def _boxes(axes: Any, found: list[Values], higher: bool) -> None:
    """A box for each distribution, from below upwards."""
    quantiles = [np.percentile(one, QUANTILES) for one in found]
    means = [float(one.mean()) for one in found]
    kept = near(means, [(one[3] - one[1]) / 2 for one in quantiles], higher)
    keys = ("whislo", "q1", "med", "q3", "whishi")
    boxes = {
        place: {**dict(zip(keys, quantiles[place], strict=True)), "mean": means[place], "fliers": []}
        for place in range(len(found))
        if kept[place]
    }
    low = min(0.0, *(box["whislo"] for box in boxes.values()))
    high = max(0.0, *(box["whishi"] for box in boxes.values()))
    axes.set_xlim(*ends([low], [high]))
    for place in set(range(len(found))) - set(boxes):
        arrow(axes, place, Dot(means[place], means[place], means[place]), (low, high))
    axes.axvline(0, color="black", lw=0.8)
    axes.bxp(
        list(boxes.values()),
        positions=list(boxes),
        orientation="horizontal",
        widths=0.55,
        showmeans=True,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": SKY, "edgecolor": BLUE, "linewidth": 0.8, "alpha": 0.6},
        whiskerprops={"color": BLUE, "linewidth": 0.8},
        capprops={"color": BLUE, "linewidth": 0.8},
        medianprops={"color": "black", "linewidth": 1.4},
        meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 3.2},
    )
