"""A figure for each part, drawn with matplotlib."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metarec.benchmark.records import Record
from metarec.benchmark.report import TABLES, figure
from metarec.errors import InputError
from metarec.files import replacing

COLOURS = {
    "loop": "#9a9a9a",
    "learn2learn": "#5d5d5d",
    "batched": "#2e86c1",
    "batched, padded": "#aed3ea",
    "batched, buckets": "#2e86c1",
    "fused": "#e67e22",
    "fused, buckets": "#f0b27a",
    "fused, length-sorted": "#d35400",
    "fused, dense gradients": "#f5c396",
    "RowAdamW": "#1d7a5f",
    "AdamW(fused)": "#a9d8c6",
    "1 step": "#76b7a0",
    "5 steps": "#1d7a5f",
}
"""By series; others are grey-green."""

OTHER = "#76b7a0"
MOST_LABELLED = 24
"""Bars up to which each one has its number written above it."""


def draw(records: Sequence[Record], folder: Path) -> None:
    """Draw the figures of all parts that there are records of.

    Args:
        records: what was measured.
        folder: where ``PART.png`` is written.

    Raises:
        InputError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib; pip install 'metarec[figures]', or leave out --figures")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    for part, work in FIGURES.items():
        chosen = [record for record in records if record.part == part]
        if not chosen:
            continue
        picture = work(pyplot, chosen)
        picture.suptitle(TABLES[part][0], fontsize=9)
        picture.tight_layout(rect=(0, 0.14 if part == "growth" else 0, 1, 1))
        with replacing(folder / f"{part}.png") as temporary:
            picture.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
        pyplot.close(picture)


def _bars(
    axes: Any, series: dict[str, dict[str, Record]], groups: Sequence[str], what: Callable[[Record], Any]
) -> None:
    """Grouped bars, one colour a series, with error bars from the spread where the bar is a ratio.

    Args:
        axes: what to draw on.
        series: by series, its records by group.
        groups: the groups, left to right.
        what: the height of a record's bar, with its spread or null.
    """
    width = 0.85 / len(series)
    for number, (name, found) in enumerate(series.items()):
        places = [place for place, group in enumerate(groups) if group in found]
        heights = [what(found[groups[place]]) for place in places]
        values = [height[0] for height in heights]
        errors = [[max(0.0, v - h[1][0]) for v, h in zip(values, heights, strict=True) if h[1]],
                  [max(0.0, h[1][1] - v) for v, h in zip(values, heights, strict=True) if h[1]]]  # fmt: skip
        at = [place + (number - (len(series) - 1) / 2) * width for place in places]
        shown = {"yerr": errors, "error_kw": {"lw": 0.8}} if len(errors[0]) == len(values) else {}
        bars = axes.bar(at, values, width, label=name, color=COLOURS.get(name, OTHER), **shown)
        if len(series) * len(groups) <= MOST_LABELLED:
            axes.bar_label(bars, [figure(value) for value in values], fontsize=6, padding=2)
    axes.set_xticks(range(len(groups)), groups)


def _ratio(record: Record) -> tuple[float, tuple[float, float] | None]:
    return record.ratio or 0.0, record.spread


def _cost(record: Record) -> tuple[float, None]:
    return record.value or 0.0, None


def _series(
    records: Sequence[Record], series: Callable[[Record], str], group: Callable[[Record], str]
) -> tuple[dict[str, dict[str, Record]], list[str]]:
    """Records by series and group, and the groups in order."""
    found: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.value is not None:
            found.setdefault(series(record), {})[group(record)] = record
    return found, list(dict.fromkeys(group(record) for record in records if record.value is not None))


def _panels(pyplot: Any, records: Sequence[Record], height: float) -> list[tuple[Any, Any, list[Record]]]:
    """One panel for each number of threads, one above the other."""
    threads = sorted({record.threads for record in records})
    picture, axes = pyplot.subplots(len(threads), 1, figsize=(9, 0.5 + height * len(threads)), squeeze=False)
    chosen = [[record for record in records if record.threads == number] for number in threads]
    for row, number in zip(axes[:, 0], threads, strict=True):
        row.set_title(f"{number} thread{'s' * (number > 1)}", fontsize=8, loc="left")
    return [(picture, row, some) for row, some in zip(axes[:, 0], chosen, strict=True)]


def _legend(axes: Any) -> None:
    """A legend above the panel, where no bar can be."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, frameon=False, fontsize=7)


def _some(value: float, _: object) -> str:
    """Label of a mark between powers of ten: 2 and 5 have one, the others would crowd them."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _steps(record: Record) -> str:
    return f"{record.steps} step{'s' * (record.steps != 1)}"


def _grid(pyplot: Any, records: Sequence[Record]) -> Any:
    panels = _panels(pyplot, records, 2.6)
    for _, axes, some in panels:
        shown, groups = _series(
            some,
            lambda r: r.engine if r.engine in ("loop", "learn2learn") else f"{r.engine}, {r.batching}",
            lambda r: f"{r.adapts}\n{'2nd' if r.order == 2 else '1st'} order\n{_steps(r)}",
        )
        _bars(axes, shown, groups, _ratio)
        axes.axhline(1, color="black", lw=0.6)
        axes.set_ylabel("times as fast as\nlearn2learn's loop")
    _legend(panels[0][1])
    return panels[0][0]


def _peers(pyplot: Any, records: Sequence[Record]) -> Any:
    panels = _panels(pyplot, records, 2.6)
    for _, axes, some in panels:
        shown, groups = _series(
            some,
            _steps,
            lambda r: r.engine.replace(" ", "\n") + (f"\n{r.batching}" if r.engine in ("batched", "fused") else ""),
        )
        _bars(axes, shown, groups, _ratio)
        axes.axhline(1, color="black", lw=0.6)
        axes.set_ylabel("times as fast as\nlearn2learn's loop")
    _legend(panels[0][1])
    return panels[0][0]


def _costs(
    label: str, series: Callable[[Record], str], group: Callable[[Record], str], log: bool = False
) -> Callable[[Any, Sequence[Record]], Any]:
    """Grouped bars of costs."""

    def work(pyplot: Any, records: Sequence[Record]) -> Any:
        panels = _panels(pyplot, records, 2.2)
        for _, axes, some in panels:
            _bars(axes, *_series(some, series, group), _cost)
            axes.set_ylabel(label)
            if log:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
                axes.yaxis.set_minor_formatter(_some)
        _legend(panels[0][1])
        return panels[0][0]

    return work


def _data(pyplot: Any, records: Sequence[Record]) -> Any:
    panels = _panels(pyplot, records, 1.8)
    for _, axes, some in panels:
        _bars(axes, *_series(some, lambda _: "assembly", lambda r: f"{r.engine}, {r.batching}"), _ratio)
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of a step")
    return panels[0][0]


def _ranking(pyplot: Any, records: Sequence[Record]) -> Any:
    panels = _panels(pyplot, records, 2.2)
    for _, axes, some in panels:
        _bars(axes, *_series(some, lambda _: "ours", lambda r: r.engine), _ratio)
        axes.set_ylabel("times as fast as\ntorchmetrics")
    return panels[0][0]


def _growth(pyplot: Any, records: Sequence[Record]) -> Any:
    """Cost a task along each axis, both axes logarithmic: flat is independent, slope one is linear."""
    threads = min(record.threads for record in records)
    kinds = list(dict.fromkeys(record.axis for record in records))
    picture, axes = pyplot.subplots(1, len(kinds), figsize=(9, 3.2), squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for name in dict.fromkeys(r.engine for r in records if r.axis == kind):
            points = [r for r in records if (r.axis, r.engine, r.threads) == (kind, name, threads)]
            costs = [r.value for r in points]
            axis.plot([r.x for r in points], costs, "o-", ms=3, label=name, color=COLOURS.get(name, OTHER))
        axis.set(xscale="log", yscale="log", xlabel=kind)
        marks = sorted({r.x for r in records if r.axis == kind and r.x is not None})
        axis.set_xticks(marks, [f"{mark:.0e}".replace("e+0", "e") if mark >= 1000 else f"{mark:g}" for mark in marks])
        axis.xaxis.set_minor_locator(pyplot.NullLocator())
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.yaxis.set_minor_formatter(_some)
        axis.tick_params(axis="y", which="both", labelsize=6)
    axes[0, 0].set_ylabel("ms/task")
    most = max(axes[0], key=lambda axis: len(axis.lines))
    picture.legend(handles=most.lines, loc="lower center", ncols=4, frameon=False, bbox_to_anchor=(0.5, 0.0))
    return picture


FIGURES: dict[str, Callable[[Any, Sequence[Record]], Any]] = {
    "grid": _grid,
    "peers": _peers,
    "update-rules": _costs(
        "ms/task", lambda r: r.engine.split(", ")[0], lambda r: f"{r.engine.split(', ')[1]}\n{_steps(r)}", log=True
    ),
    "end-to-end": _costs("ms/step", _steps, lambda r: f"{r.engine}\n{r.batching}"),
    "inference": _costs("ms/user", lambda r: r.engine, lambda r: f"{r.batching}\n{_steps(r)}", log=True),
    "growth": _growth,
    "data": _data,
    "memory": _costs("MB", lambda r: r.engine, lambda r: f"{r.adapts}, {_steps(r)}"),
    "ranking": _ranking,
    "catalogue": _costs("s/user", lambda _: "ours", lambda r: f"{r.engine}, {r.x or 0:,.0f} items"),
}
