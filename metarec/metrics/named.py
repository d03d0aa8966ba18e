"""Metrics by the names that tables give them, for what a run reports beyond the metrics of every table."""

import re
from collections.abc import Callable, Sequence

from metarec.errors import InputError
from metarec.messages import did_you_mean
from metarec.metrics.base import TaskMetric
from metarec.metrics.collection import Feedback, NDCGPerTask, metrics_of
from metarec.metrics.top import MEASURES, OF_LARGEST, OF_VALUES, TopOfLargest, TopOfValues, TopPerTask

NAMES = ("ndcg_linear", "ndcg_exp", *MEASURES, *(f"{name}_topM" for name in OF_LARGEST), *OF_VALUES)
"""What may stand before ``@K``; M and K are whole numbers."""


def metric_named(name: str, relevant: float) -> TaskMetric:
    """A new metric of the top K by its name, such as ``precision_top5@5``, ``map_values@10`` or ``ndcg_exp@7``.

    `metarec.metrics.ranking` has those that ask for rated items of `relevant` or more, and `ndcg_binary`;
    `metarec.metrics.largest` those with ``_topM``, `metarec.metrics.values` those of values.

    Args:
        name: one of `NAMES`, ``@`` and the cut-off.
        relevant: the lowest rating of a relevant item.

    Raises:
        InputError: there is no such metric.

    Example:
        >>> metric_named("recall_top5@3", relevant=4.0).name
        'recall_top5@3'
    """
    base, _, cut = name.partition("@")
    found = re.fullmatch(r"([a-z_]+?)(?:_top([1-9]\d*))?", base)
    measure, most = found.groups() if found else ("", None)
    k = int(cut) if re.fullmatch(r"[1-9]\d*", cut) else 0
    kinds: dict[str, Callable[[], TaskMetric]] = {
        "ndcg_linear": lambda: NDCGPerTask(k, "linear"),
        "ndcg_exp": lambda: NDCGPerTask(k, "exponential"),
        **{kind: lambda: TopPerTask(measure, k, relevant) for kind in MEASURES},
        **{kind: lambda: TopOfValues(measure, k) for kind in OF_VALUES},
    }
    if most is not None:
        kinds = {kind: lambda: TopOfLargest(measure, int(most), k) for kind in OF_LARGEST}
    if not k or measure not in kinds:
        cure = did_you_mean(name, [f"{kind.replace('M', most or '5')}@{k or 5}" for kind in NAMES])
        raise InputError(f"model.more_metrics: no metric '{name}'{cure or f'; give NAME@K, with one of {list(NAMES)}'}")
    return kinds[measure]()


def all_metrics(feedback: Feedback, k: int, relevant: float, more: Sequence[str] = ()) -> dict[str, TaskMetric]:
    """The metrics of `metrics_of`, and further ones, by name.

    Among clicks a row rated 1 is relevant. Beside sampled negatives, metrics of their top say nothing of the catalogue,
    see ``functional.auc``.

    Args:
        feedback: ``ratings`` or ``clicks``.
        k: see `metrics_of`.
        relevant: the lowest rating of a relevant item.
        more: names of further metrics, see `metric_named`.

    Returns:
        A new metric for each name.

    Raises:
        InputError: there is no such feedback or metric, or it is there already.

    Example:
        >>> list(all_metrics("clicks", 5, 4.0, ["mrr@10"]))
        ['auc', 'mrr@10']
    """
    metrics = metrics_of(feedback, k, relevant)
    for name in more:
        if name in metrics:
            raise InputError(f"model.more_metrics: {name} is reported already; leave it out")
        metrics[name] = metric_named(name, relevant if feedback == "ratings" else 1.0)
    return metrics
