"""Dot plot: each method's mean with its interval, and its difference to the reference."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from metarec.errors import InputError
from metarec.metrics import higher_is_better
from metarec.plots.runs import Record
from metarec.plots.scale import ends, near
from metarec.plots.style import BLUE, GREY, VERMILION, blank, legend, name_rows, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.19
"""Height of a method's row, inches."""


class Dot(NamedTuple):
    """A mean with its interval, and how it is drawn."""

    mean: float
    low: float
    high: float
    colour: str = BLUE
    marker: str = "o"
    label: str = "adapted"


def dots(rows: Sequence[Record], metric: str, reference: str, title: str = "") -> "Figure":
    """Draw a row a method, the best on top: mean and interval, and the paired difference to the reference.

    Both are those of the table. Rows that are far worse than the others, such as chance, are an arrow with their number
    at the edge, so that the others can be told apart.

    Args:
        rows: records as of `metarec.plots.runs.Runs.records`, with `metric` and ``zero_shot_{metric}`` among them.
        metric: what is drawn.
        reference: the method that the others are compared with.
        title: above the figure.

    Raises:
        InputError: no method has a value.
    """
    higher = higher_is_better(metric)
    every = [row for row in rows if row["metric"] == metric]
    own = sorted((row for row in every if row["mean"] is not None), key=lambda row: row["mean"], reverse=not higher)
    if not own:
        raise InputError(f"no test user of any run has a {metric}; there is nothing to draw")
    zero = {row["method"]: row["mean"] for row in rows if row["metric"] == f"zero_shot_{metric}"}
    compared = any(row["difference"] is not None for row in own)
    with styled():
        picture = blank(1.3 + ROW * len(own), title=title)
        axes = picture.subplots(1, 1 + compared, sharey=True, squeeze=False, width_ratios=[1.15, 1][: 1 + compared])[0]
        _means(axes[0], own, [zero.get(row["method"]) for row in own], higher)
        axes[0].set_xlabel(f"{metric} ({'higher' if higher else 'lower'} is better)")
        name_rows(axes[0], [row["method"] for row in own])
        if compared:
            _differences(axes[1], own, reference, higher)
            axes[1].set_xlabel(f"{metric} minus the reference's")
            axes[1].grid(True, axis="y")
            axes[1].tick_params(axis="y", length=0)
        for one in axes:
            one.locator_params(axis="x", nbins=5)
            legend(one)
        note(picture, ["Bars: 95 % intervals, as in the table; arrows: beyond the axis.", *_lacking(every, metric)])
    return picture


def _means(axes: Any, own: Sequence[Record], zero: Sequence[float | None], higher: bool) -> None:
    """Means with intervals, over zero-shot means."""
    low, high = _draw(axes, {row["method"]: Dot(row["mean"], row["low"], row["high"]) for row in own}, higher)
    for place, before in enumerate(zero):
        if before is not None:
            marker = "<" if before < low else ">" if before > high else "o"
            inside = min(max(before, low), high)
            axes.plot(inside, place, marker, color=GREY, mfc="white", ms=3.5, lw=0, label="zero-shot", zorder=2)


def _differences(axes: Any, own: Sequence[Record], reference: str, higher: bool) -> None:
    """Differences with intervals; colour and marker say whether they lie on one side of zero."""
    axes.axvline(0, color="black", lw=0.8)
    found: dict[str, Dot | None] = {}
    for row in own:
        found[row["method"]] = None if row["difference"] is None else _judged(row, higher)
    low, high = _draw(axes, found, higher, zero=True)
    if reference in found:
        side = "left" if -low < high else "right"
        axes.text(0, list(found).index(reference), " reference ", va="center", ha=side, fontsize=7)


def _judged(row: Record, higher: bool) -> Dot:
    """A difference, as better, worse, or neither by its interval."""
    low, high = row["difference_low"], row["difference_high"]
    looks = (GREY, "d", "not told apart")
    if low > 0 or high < 0:
        looks = (BLUE, "o", "better") if (low > 0) == higher else (VERMILION, "s", "worse")
    return Dot(row["difference"], low, high, *looks)


def _draw(
    axes: Any, dots: dict[str, Dot] | dict[str, Dot | None], higher: bool, zero: bool = False
) -> tuple[float, float]:
    """A row each, at its place or as an arrow at the edge; the ends of the axis."""
    found = {place: dot for place, dot in enumerate(dots.values()) if dot is not None}
    kept = near([dot.mean for dot in found.values()], [(dot.high - dot.low) / 2 for dot in found.values()], higher)
    low, high, before = 0.0, 0.0, 0
    while before < sum(kept):  # a row that the axis reaches anyway is at its place too, and may widen it
        before = sum(kept)
        low, high = _span([dot for dot, inside in zip(found.values(), kept, strict=True) if inside])
        kept = [inside or low <= dot.mean <= high for dot, inside in zip(found.values(), kept, strict=True)]
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    axes.set_xlim(*ends([low], [high]))
    for (place, dot), inside in zip(found.items(), kept, strict=True):
        if inside:
            bars = [[dot.mean - dot.low], [dot.high - dot.mean]]
            looks = {"fmt": dot.marker, "color": dot.colour, "label": dot.label}
            axes.errorbar(dot.mean, place, xerr=bars, ms=4, lw=1.2, zorder=3, **looks)
        else:
            arrow(axes, place, dot, (low, high))
    return low, high


def _span(shown: Sequence[Dot]) -> tuple[float, float]:
    """Where the intervals of all begin and end."""
    return min(dot.low for dot in shown), max(dot.high for dot in shown)


def arrow(axes: Any, place: int, dot: Dot, span: tuple[float, float]) -> None:
    """An arrow at the edge for a row that lies beyond it, and its mean.

    Args:
        axes: what to draw on.
        place: of the row.
        dot: the row.
        span: the ends of the axis.
    """
    left = dot.mean < span[0]
    axes.plot(span[not left], place, "<" if left else ">", color=dot.colour, ms=4.5, lw=0, zorder=4)
    where = {"xytext": (6 if left else -6, 0), "textcoords": "offset points", "ha": "left" if left else "right"}
    axes.annotate(_signed(dot.mean), (span[not left], place), va="center", fontsize=6.5, **where)


def _signed(number: float) -> str:
    return f"{number:.3f}".replace("-", "\N{MINUS SIGN}")


def _lacking(every: Sequence[Record], metric: str) -> list[str]:
    """The methods that have no value, and how many users the others leave out."""
    none = [row["method"] for row in every if row["mean"] is None]
    missing = max(row["missing"] for row in every)
    return [
        f"No value: {', '.join(none)}." if none else "",
        f"Up to {missing} test users have no {metric} and are left out." if missing else "",
    ]
