"""A picture of how a model ages, and of what keeps it young."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarec.files import replacing
from metarec.metrics import higher_is_better
from metarec.periods.plan import WAYS
from metarec.periods.table import Record

GAP = 0.08
"""Between the points of ways that share a period, so that their intervals stand side by side."""


def draw(rows: Sequence[Record], path: Path, title: str = "") -> None:
    """Draw a panel a method, in it a line a way over the tested periods, with intervals over users.

    Args:
        rows: what `metarec.periods.table.records` returns.
        path: the PNG file.
        title: above the panels.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(row["method"] for row in rows))
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Figure(figsize=(max(6.8, 1.6 + 3.2 * len(methods)), 3.6))
        every = picture.subplots(1, len(methods), squeeze=False, sharey=True).ravel()
        for axes, method in zip(every, methods, strict=True):
            _panel(axes, [row for row in rows if row["method"] == method])
            axes.set_title(method)
        metric = rows[0]["metric"]
        better = "higher" if higher_is_better(metric.split("/")[-1]) else "lower"
        every[0].set_ylabel(f"{metric} ({better} is better)")
        ways: dict[str, Any] = {}
        for axes in every:
            handles, labels = axes.get_legend_handles_labels()
            ways |= dict(zip(labels, handles, strict=True))
        picture.legend(list(ways.values()), list(ways), loc="outside right center", frameon=False)
        picture.suptitle(title, fontsize=9)
        picture.set_layout_engine("constrained")
        with replacing(path) as temporary:
            picture.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def _panel(axes: Any, rows: Sequence[Record]) -> None:
    """The ways of one method."""
    for number, way in enumerate(WAYS):
        own = [row for row in rows if row["way"] == way and row["mean"] is not None]
        if not own:
            continue
        place = [row["tested_on"] + (number - 1) * GAP for row in own]
        mean = [row["mean"] for row in own]
        ends = [[row["mean"] - row["low"] for row in own], [row["high"] - row["mean"] for row in own]]
        axes.errorbar(
            place, mean, ends, label=way, color=f"C{number}", marker="o", markersize=3, linewidth=1.3, elinewidth=0.8
        )
    axes.set_xticks(sorted({row["tested_on"] for row in rows}))
    axes.set_xlabel("tested period")
