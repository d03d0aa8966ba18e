"""All figures of an experiment, by kind."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from metarec.errors import InputError
from metarec.k_shot import figure as k_shot
from metarec.plots.differences import differences
from metarec.plots.dots import dots
from metarec.plots.gain import gain
from metarec.plots.learning import learning
from metarec.plots.runs import Runs
from metarec.plots.seconds import seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Runs, str, str], "Figure"]

KINDS: dict[str, tuple[str, Draw]] = {
    "dots": ("means and differences", lambda runs, metric, title: dots(runs.records, metric, _reference(runs), title)),
    "k-shot": (
        "over the number of ratings to adapt on",
        lambda runs, metric, title: k_shot.picture({metric: runs.k_shot(metric).methods}, title),
    ),
    "learning": ("while training", lambda runs, metric, title: learning(runs.learning(metric), title)),
    "gain": ("gain by adaptation and activity", lambda runs, metric, title: gain(runs.users, metric, title)),
    "differences": (
        "differences of users to the reference",
        lambda runs, metric, title: differences(runs.users, metric, _reference(runs), title),
    ),
    "time": ("time", lambda runs, _, title: seconds(runs.records, title)),
}
"""By kind, what it shows and how it is drawn from runs, a metric and a title."""


def draw(runs: Runs, kind: str, metric: str, name: str) -> "Figure":
    """Draw one figure.

    Args:
        runs: the finished runs.
        kind: one of `KINDS`.
        metric: what is drawn, one of the experiment's metrics; time has none.
        name: of the experiment, for the title.

    Raises:
        InputError: the runs left nothing to draw of this kind.
    """
    shows, work = KINDS[kind]
    return work(runs, metric, f"{name}: {shows}" if kind == "time" else f"{name}: {metric}, {shows}")


def wanted(kinds: Sequence[str], metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Kind and metric of each figure; time does not depend on a metric and comes once."""
    return [(kind, metric) for kind in kinds for metric in (metrics if kind != "time" else metrics[:1])]


def file_name(kind: str, metric: str) -> str:
    """What a figure's file is called, without an ending.

    Example:
        >>> file_name("dots", "ndcg_exp@5"), file_name("time", "mae")
        ('dots-ndcg_exp@5', 'time')
    """
    return kind if kind == "time" else f"{kind}-{metric}"


def draw_all(
    runs: Runs, kinds: Sequence[str], metrics: Sequence[str], name: str
) -> tuple[dict[tuple[str, str], "Figure"], dict[tuple[str, str], str]]:
    """The figures that can be drawn, by kind and metric, and why the others cannot."""
    drawn: dict[tuple[str, str], Figure] = {}
    refused: dict[tuple[str, str], str] = {}
    for kind, metric in wanted(kinds, metrics):
        try:
            drawn[kind, metric] = draw(runs, kind, metric, name)
        except InputError as error:
            refused[kind, metric] = str(error)
    return drawn, refused


def _reference(runs: Runs) -> str:
    return runs.experiment.reference
