"""Time per method: of training, and of adapting to one user."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metarec.errors import InputError
from metarec.plots.dots import ROW
from metarec.plots.runs import Record
from metarec.plots.style import BLUE, GREEN, GREY, blank, name_rows, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def seconds(rows: Sequence[Record], title: str = "") -> "Figure":
    """Draw two panels with a row a method, the quickest to adapt on top: fit seconds and milliseconds a user.

    Args:
        rows: records as of `metarec.plots.runs.Runs.records`, with `fit_seconds` and `adapt_seconds` among the metrics.
        title: above the figure.

    Raises:
        InputError: no method has a time.
    """
    adapt = {row["method"]: row for row in rows if row["metric"] == "adapt_seconds" and row["mean"]}
    fit = {row["method"]: row["mean"] for row in rows if row["metric"] == "fit_seconds" and row["mean"]}
    if not adapt:
        raise InputError("no run has measured its time; there is nothing to draw")
    order = sorted(adapt, key=lambda name: -float(adapt[name]["mean"]))
    with styled():
        picture = blank(1.2 + ROW * len(order), title=title)
        trained, alone = picture.subplots(1, 2, sharey=True)
        _fits(trained, [fit.get(name) for name in order])
        _alone(alone, [adapt[name] for name in order])
        name_rows(trained, order)
        for axes in (trained, alone):
            axes.grid(True, axis="both")
            axes.tick_params(axis="y", length=0)
            _logarithmic(axes)
        note(
            picture,
            [
                "fit: training and the choice of steps and rates, borrowed training included, mean over model seeds. "
                "ms a user: adapting to one user alone and predicting, with 95 % bootstrap intervals "
                "over users and seeds. Both axes are logarithmic."
            ],
        )
    return picture


def _logarithmic(axes: Any) -> None:
    """Marks at powers of ten, and at 2 and 5 between them where there are few."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 40 * low else (1.0,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _fits(axes: Any, found: Sequence[float | None]) -> None:
    """Training times, where there was any."""
    for place, value in enumerate(found):
        if value:
            axes.plot(value, place, "s", color=GREEN, ms=4)
        else:
            axes.text(0.02, place, "none", transform=axes.get_yaxis_transform(), va="center", color=GREY, fontsize=7)
    axes.set_xlabel("fit, seconds")


def _alone(axes: Any, rows: Sequence[Record]) -> None:
    """Time of adapting to one user."""
    for place, row in enumerate(rows):
        mean, low, high = (1000 * row[end] for end in ("mean", "low", "high"))
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt="o", color=BLUE, ms=4, lw=1.2)
    axes.set_xlabel("adapting and predicting, ms a user")
