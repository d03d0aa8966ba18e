"""Pictures of curves, drawn with matplotlib."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.k_shot.summary import Curve
from metarec.plots import style
from metarec.plots.scale import near

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
"""Most panels side by side."""


def draw(panels: Mapping[str, Mapping[str, Curve]], path: Path, title: str = "") -> None:
    """Draw a picture, see `picture`, into a PNG or SVG file."""
    style.save(picture(panels, title), path)


def picture(panels: Mapping[str, Mapping[str, Curve]], title: str = "") -> "Figure":
    """Draw a panel a metric, in it a line with its interval band for each curve, over log(1 + k).

    Args:
        panels: by metric, the curves by their names in the legend; a name is the same line in all panels, and "" has
            no place in the legend.
        title: above the panels.
    """
    columns = min(COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    legend = 0.0 if names == [""] else 1.6
    width = (5.4 if columns == 1 else 3.4 * columns) + legend
    with style.styled():
        picture = style.blank(4.2 if lines == 1 else 2.7 * lines, width, title)
        every = picture.subplots(lines, columns, squeeze=False).ravel()
        beyond = []
        for axes, (metric, curves) in zip(every, panels.items(), strict=False):
            shown = _near(curves)
            _panel(axes, metric, {name: curves[name] for name in shown}, names)
            beyond += [
                f"{name} ({metric} {line.points[-1].mean:.3f})" for name, line in curves.items() if name not in shown
            ]
        for axes in every[len(panels) :]:
            axes.remove()
        if legend:
            handles, labels = every[0].get_legend_handles_labels()
            picture.legend(handles, labels, loc="outside right center", frameon=False)
        if beyond:
            style.note(picture, [f"Beyond the axis, with their value at the largest k: {', '.join(beyond)}."])
    return picture


def _near(curves: Mapping[str, Curve]) -> list[str]:
    """The curves that are near enough to each other for one axis, judged at the largest k."""
    last = [curve.points[-1] for curve in curves.values()]
    halves = [(point.high - point.low) / 2 for point in last]
    higher = all(curve.higher_is_better for curve in curves.values())
    return [
        name for name, kept in zip(curves, near([point.mean for point in last], halves, higher), strict=True) if kept
    ]


def _panel(axes: Any, metric: str, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    """The curves of one metric; the more there are, the fainter their bands."""
    band = max(0.04, 0.2 / len(names))
    for name, curve in curves.items():
        number = names.index(name)
        looks = style.style_of(number)
        low, mean, high = ([getattr(point, end) for point in curve.points] for end in ("low", "mean", "high"))
        axes.plot(curve.shots, mean, markersize=3.5, linewidth=1.2, label=style.wrapped(name, style.NAME), **looks)
        axes.fill_between(curve.shots, low, high, color=looks["color"], alpha=band, linewidth=0.6)
    shots = sorted({k for curve in curves.values() for k in curve.shots})
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_xticks(shots, labels=[str(k) for k in shots])
    axes.minorticks_off()
    better = all(curve.higher_is_better for curve in curves.values())
    axes.set_xlabel("k, ratings of a user to adapt on")
    axes.set_ylabel(f"{metric} ({'higher' if better else 'lower'} is better)")
