"""Pictures of curves, drawn with matplotlib."""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarec.errors import InputError
from metarec.files import replacing
from metarec.k_shot.summary import Curve

COLUMNS = 3
"""Most panels side by side."""

STYLES = ("-", "--", ":", "-.")
"""Of lines; a colour comes with the next one when all colours are used."""


def require_matplotlib(otherwise: str) -> None:
    """Refuse to draw without matplotlib.

    Args:
        otherwise: what to give so that nothing is drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(f"pictures need matplotlib; pip install 'metarec[bench]', or give {otherwise}")


def draw(panels: Mapping[str, Mapping[str, Curve]], path: Path, title: str = "") -> None:
    """Draw a panel a metric, in it a line with its interval band for each curve, over log(1 + k).

    Args:
        panels: by metric, the curves by their names in the legend; a name is the same line in all panels, and "" has
            no place in the legend.
        path: the PNG file.
        title: above the panels.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    legend = 0.0 if names == [""] else 1.6
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Figure(
            figsize=((6.4 if columns == 1 else 3.4 * columns) + legend, 4.2 if lines == 1 else 2.7 * lines)
        )
        every = picture.subplots(lines, columns, squeeze=False).ravel()
        for axes, (metric, curves) in zip(every, panels.items(), strict=False):
            _panel(axes, metric, curves, names)
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        picture.suptitle(title, fontsize=9)
        if legend:
            handles, labels = every[0].get_legend_handles_labels()
            picture.legend(handles, labels, loc="outside right center", frameon=False)
        picture.set_layout_engine("constrained")
        with replacing(path) as temporary:
            picture.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def _panel(axes: Any, metric: str, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    """The curves of one metric; the more there are, the fainter their bands."""
    band = max(0.04, 0.2 / len(names))
    for name, curve in curves.items():
        number = names.index(name)
        style = {"color": f"C{number % 10}", "linestyle": STYLES[number // 10 % len(STYLES)]}
        low, mean, high = ([getattr(point, end) for point in curve.points] for end in ("low", "mean", "high"))
        axes.plot(curve.shots, mean, marker="o", markersize=3, linewidth=1.3, label=name, **style)
        axes.fill_between(curve.shots, low, high, color=style["color"], alpha=band, linewidth=0.6)
    shots = sorted({k for curve in curves.values() for k in curve.shots})
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_xticks(shots, labels=[str(k) for k in shots])
    axes.minorticks_off()
    better = all(curve.higher_is_better for curve in curves.values())
    axes.set_xlabel("k, ratings of a user to adapt on")
    axes.set_ylabel(f"{metric} ({'higher' if better else 'lower'} is better)")
