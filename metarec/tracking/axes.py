"""Over what W&B draws each metric, and what it keeps of it in a run's summary."""

from collections.abc import Iterable
from typing import Any

from metarec.metrics import higher_is_better

LOSSES = ("loss", "support_loss_before", "support_loss_after", "query_loss_before", "query_loss_after", "gain")
"""Of training, each logged as a mean over an epoch, too."""


def define_axes(run: Any, metrics: Iterable[str]) -> None:
    """Draw what is measured once an epoch over epochs, what is measured more often over outer steps.

    The summary keeps the best and the last value of validation metrics. What is over outer steps is what Lightning's
    logger says of all metrics; curves over k have their own axis, see `metarec.tracking.charts.k_shot`.

    Args:
        run: the W&B run.
        metrics: names of metrics, such as ``mae``.
    """
    run.define_metric("epoch", hidden=True)
    for name in LOSSES:
        run.define_metric(f"train/{name}_epoch", step_metric="epoch")
    for name in ("inner_lr/*", "inner_lr_mean/*"):
        run.define_metric(name, step_metric="epoch")
    for name in metrics:
        best = "max" if higher_is_better(name) else "min"
        for mode in ("zero_shot", "adapted"):
            run.define_metric(f"val/{mode}/{name}", step_metric="epoch", summary=f"{best},last")
        run.define_metric(f"val/gain/{name}", step_metric="epoch", summary="max,last")
