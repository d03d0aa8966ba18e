"""Tables and charts of a run in W&B: of its users, by support size, over k, and of learned rates."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metarec.k_shot.summary import Curve, plain
from metarec.metrics import higher_is_better
from metarec.metrics.intervals import mean_interval

if TYPE_CHECKING:
    from torch import Tensor

SIZES = 10
"""Most support sizes of a chart; where users have more different ones, groups of about as many users each."""

RESAMPLES = 2_000
"""Of each interval's bootstrap: a fifth of a table's."""


def gain_by_support(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The gain by adaptation over the number of ratings adapted to.

    Args:
        table: a ``per_task.parquet``.
        metric: name of a metric in it.

    Returns:
        A row a support size, or group of sizes (their mean): `support_size`, `mean`, `low`, `high` (95 % bootstrap
        interval over users, of whose draws the mean counts), `users` that have a value.
    """
    sign = 1 if higher_is_better(metric) else -1
    gain = sign * (table[f"adapted/{metric}"] - table[f"zero_shot/{metric}"])
    size = table["support_size"]
    group = size if size.nunique() <= SIZES else pd.qcut(size, SIZES, labels=False, duplicates="drop")
    users = pd.DataFrame({"user": table["user"], "group": group, "size": size, "gain": gain})
    users = users.groupby(["group", "user"], as_index=False)[["size", "gain"]].mean()
    rows = []
    for _, part in users.groupby("group"):
        found = mean_interval(part["gain"].to_numpy(np.float64), resamples=RESAMPLES)
        rows.append([float(part["size"].mean()), found.mean, found.low, found.high, found.tasks])
    return pd.DataFrame(rows, columns=["support_size", "mean", "low", "high", "users"])


def log_users(run: Any, table: pd.DataFrame, metric: str) -> None:
    """Log a row a user and draw, and the gain by support size as a table and a chart.

    Args:
        run: the W&B run.
        table: a ``per_task.parquet``.
        metric: whose gain is drawn.
    """
    import wandb

    gain = gain_by_support(table, metric)
    chart = wandb.plot.line_series(
        xs=list(gain["support_size"]),
        ys=[list(gain[name]) for name in ("mean", "low", "high")],
        keys=["mean", "low", "high"],
        title=f"gain in {metric} by support size, with 95 % intervals over users",
        xname="support_size",
    )
    run.log(
        {
            "per_user": wandb.Table(dataframe=table),
            "support_gain": wandb.Table(dataframe=gain),
            "charts/gain_by_support": chart,
        }
    )


def log_k_shot(run: Any, curves: Mapping[str, Curve]) -> None:
    """Log curves over the number k of support ratings: over their own axis ``k_shot/k``, as a table and as a chart.

    Areas and shots needed are single figures in the summary.

    Args:
        run: the W&B run.
        curves: by metric; the first one is drawn.
    """
    import wandb

    ends = {"": "mean", "_low": "low", "_high": "high"}
    series = {
        f"k_shot/{name}{end}": [getattr(point, field) for point in found.points]
        for name, found in curves.items()
        for end, field in ends.items()
    }
    run.define_metric("k_shot/k", hidden=True)
    for name in series:
        run.define_metric(name, step_metric="k_shot/k", step_sync=False)
    first, drawn = next(iter(curves.items()))
    for place, k in enumerate(drawn.shots):
        run.log({"k_shot/k": k} | {name: values[place] for name, values in series.items()})
    rows = pd.DataFrame(
        [
            [name, k, point.mean, point.low, point.high]
            for name, found in curves.items()
            for k, point in zip(found.shots, found.points, strict=True)
        ],
        columns=["metric", "k", "mean", "low", "high"],
    )
    chart = wandb.plot.line_series(
        xs=drawn.shots,
        ys=[[getattr(point, field) for point in drawn.points] for field in ends.values()],
        keys=list(ends.values()),
        title=f"{first} over k, with 95 % intervals over users",
        xname="k",
    )
    run.log({"k_shot": wandb.Table(dataframe=rows), "charts/k_shot": chart})
    for name, found in curves.items():
        run.summary[f"k_shot_area/{name}"] = plain(found.area.mean)
        run.summary[f"k_shot_to_95/{name}"] = plain(found.needed)


def rate_histograms(names: Sequence[str], rates: Sequence["Tensor"]) -> dict[str, Any]:
    """Histograms of learned inner-loop rates, one a parameter that adapts, and the mean rate of each.

    Args:
        names: of the parameters.
        rates: their rates, of any shape; one that is not finite has no histogram.
    """
    import wandb

    found: dict[str, Any] = {}
    for name, rate in zip((name.replace(".", "/") for name in names), rates, strict=True):  # a dot would mean nesting
        flat = rate.detach().float().cpu().numpy().ravel()
        if np.isfinite(flat).all():
            found |= {f"inner_lr/{name}": wandb.Histogram(list(flat)), f"inner_lr_mean/{name}": float(flat.mean())}
    return found
