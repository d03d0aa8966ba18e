"""A table in W&B: a run of its own, of job type `table`, made of the predictions of the runs that it compares."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metarec.tracking import artifacts
from metarec.tracking.identity import run_id

INIT_ARGS = "trainer.logger.init_args."


class Place(NamedTuple):
    """Where an experiment stands in W&B.

    Attributes:
        project: the project of its runs.
        group: their group.
        main: its first metric.
    """

    project: str
    group: str
    main: str


def place_of(options: dict[str, Any], metrics: Sequence[str], name: str) -> Place:
    """Where the options of an experiment put its runs.

    Args:
        options: options of every run.
        metrics: metrics of the table.
        name: of the experiment; the group that there is otherwise.
    """
    project, group = (options.get(f"{INIT_ARGS}{key}") for key in ("project", "group"))
    return Place(str(project or "metarec"), str(group or name), metrics[0])


def folders_of(results: Path, methods: Sequence[str]) -> list[Path]:
    """Folders with results, of runs of these methods; a method's folder lies anywhere above its runs'.

    Args:
        results: folder of an experiment's runs.
        methods: the methods.
    """
    found = (path.parent for path in sorted(results.rglob("per_task.parquet")))
    return [
        folder
        for folder in found
        if set(folder.relative_to(results).parts) & set(methods) and (folder / "metrics.json").exists()
    ]


def log_table(
    place: Place, name: str, rows: Sequence[dict[str, Any]], text: str, results: Path, methods: Sequence[str]
) -> str:
    """Log a table offline: its records, a dot plot, and an artifact made of the predictions of its runs.

    A table that is made again is the same run.

    Args:
        place: where in W&B.
        name: of the experiment.
        rows: a record a method and metric, with `method`, `metric`, `mean`, `low`, `high` among its keys.
        text: the printed table.
        results: folder of the experiment's runs, which gets the W&B files.
        methods: methods of the table.

    Returns:
        The id of the run.
    """
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    results.mkdir(parents=True, exist_ok=True)
    with artifacts.staging_in(results):
        run = wandb.init(
            project=place.project,
            group=place.group,
            job_type="table",
            name=f"table-{name}",
            id=run_id(results, "table"),
            resume="allow",
            dir=str(results),
            mode="offline",
            settings=wandb.Settings(save_code=False),
        )
        for folder in folders_of(results, methods):
            artifacts.used(run, artifacts.predictions(folder))
        run.log({"rows": _records(rows), "charts/dot_plot": _bars(rows, place.main)})
        artifacts.made(run, artifacts.table(name, rows, text))
        run.finish()
    return str(run.id)


def _records(rows: Sequence[dict[str, Any]]) -> Any:
    """All records as a table; columns of numbers whose first is missing are numbers all the same."""
    import pandas as pd
    import wandb

    return wandb.Table(dataframe=pd.DataFrame(list(rows)))


def _bars(rows: Sequence[dict[str, Any]], metric: str) -> Any:
    """Means of a metric, by method; that with intervals is a chart of `metarec.tracking.vega`."""
    import wandb

    means = sorted((row["mean"], row["method"]) for row in rows if row["metric"] == metric and row["mean"] is not None)
    data = wandb.Table(columns=["method", metric], data=[[method, mean] for mean, method in means])
    return wandb.plot.bar(data, "method", metric, title=f"{metric}, mean over test users")
