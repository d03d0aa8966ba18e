"""A workspace and a report of W&B as code: built offline, saved where there is an account.

wandb-workspaces turns a workspace into JSON without network. Of a report it does so unless a run set names entity and
project, whose number it then asks the server for: the run set written offline names neither, which stands for the
report's own project, and the one that is saved names both.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from metarec.errors import InputError
from metarec.files import write_json
from metarec.metrics import higher_is_better
from metarec.tracking.table_run import Place
from metarec.tracking.vega import PRESETS

WIDE = 24
"""Columns of a report."""


class Board(NamedTuple):
    """What is shown of an experiment, and where.

    Attributes:
        name: of the experiment.
        caption: what its table shows.
        metrics: of its table.
        place: where its runs are.
        entity: user or team; empty: not known, offline.
        table: the printed table, Markdown; empty: there is none yet.
    """

    name: str
    caption: str
    metrics: Sequence[str]
    place: Place
    entity: str
    table: str


def require_workspaces() -> None:
    """Refuse to go on without wandb-workspaces.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        import wandb_workspaces.reports.v2
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise InputError(f"dashboards need wandb-workspaces ({error}); pip install 'metarec[dashboard]'") from error


def sections(board: Board) -> dict[str, list[Any]]:
    """The panels, by section. Runs are grouped by method, which is their job type."""
    import wandb_workspaces.reports.v2 as wr

    main, by_method = board.place.main, {"groupby": "JobType"}
    k_shot = [
        wr.LinePlot(title=f"{name} over k", x="k_shot/k", y=[f"k_shot/{name}"], **by_method) for name in board.metrics
    ]
    return {
        "Learning curves": [
            wr.LinePlot(title=f"validation {main}, {mode}", x="epoch", y=[f"val/{mode}/{main}"], **by_method)
            for mode in ("adapted", "zero_shot")
        ]
        + [
            wr.LinePlot(title=f"validation gain in {main}", x="epoch", y=[f"val/gain/{main}"], **by_method),
            wr.LinePlot(title="outer loss", x="epoch", y=["train/loss_epoch"], **by_method),
            wr.LinePlot(title="outer gradient", x="trainer/global_step", y=["train/gradient_norm"], **by_method),
            wr.LinePlot(title="learned rates", x="epoch", metric_regex="inner_lr_mean/.*"),
        ],
        "Test": [
            wr.BarPlot(title=f"test {name}, adapted", metrics=[f"test/adapted/{name}"], **by_method)
            for name in board.metrics
        ]
        + [_custom(board, "metarec-dot-plot", "rows", ("method", "mean", "low", "high", "metric"), main)],
        "Gain by adaptation": [
            wr.BarPlot(title=f"test gain in {main}", metrics=[f"test/gain/{main}"], **by_method),
            _custom(board, "metarec-gain-by-support", "support_gain", ("support_size", "mean", "low", "high")),
        ],
        "k-shot": [*k_shot, _custom(board, "metarec-k-shot", "k_shot", ("k", "mean", "low", "high", "metric"), main)],
        "Table": [wr.WeavePanelSummaryTable(table_name="rows"), wr.RunComparer()],
    }


def _custom(board: Board, preset: str, table: str, fields: Sequence[str], metric: str = "") -> Any:
    """A chart of ours over a table that runs log."""
    import wandb_workspaces.reports.v2 as wr

    return wr.CustomChart(
        query={"summaryTable": {"tableKey": table}},
        chart_name=f"{board.entity}/{preset}".lstrip("/"),
        chart_fields={name: name for name in fields},
        chart_strings={"metric": metric} if metric else {},
    )


def workspace(board: Board) -> Any:
    """The workspace: all runs of the experiment's group, the best first."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    higher = higher_is_better(board.place.main)
    return ws.Workspace(
        entity=board.entity,
        project=board.place.project,
        name=board.name,
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections(board).items()],
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("Group") == board.place.group],
            order=[expr.Ordering(expr.Summary(f"test/adapted/{board.place.main}"), ascending=not higher)],
            pinned_columns=["run:displayName", *(f"summary:test/adapted/{name}" for name in board.metrics)],
        ),
    )


def report(board: Board, saved: bool = False) -> Any:
    """The report: caption, printed table, and the panels of the workspace.

    Args:
        board: what is shown.
        saved: whether it is to be saved, for which there must be an account; else its JSON has no run set by name.
    """
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    where = {"entity": board.entity, "project": board.place.project} if saved else {}
    blocks: list[Any] = [wr.P(board.caption)]
    if board.table:
        blocks += [wr.H2("Table"), wr.MarkdownBlock(board.table)]
    for name, panels in sections(board).items():
        for place, panel in enumerate(panels):
            panel.layout = wr.Layout(x=WIDE // 2 * (place % 2), y=8 * (place // 2), w=WIDE // 2, h=8)
        runs = wr.Runset(name="runs", filters=[expr.Metric("Group") == board.place.group], **where)
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs], panels=panels)]
    return wr.Report(
        entity=board.entity, project=board.place.project, title=board.name[:128], blocks=blocks, width="fluid"
    )


def write(board: Board, folder: Path) -> list[Path]:
    """Write workspace, report and charts as JSON, offline; the same board gives the same files.

    Args:
        board: what is shown.
        folder: where to.

    Returns:
        The files.
    """
    require_workspaces()  # which draws ids as it is imported
    with _same_ids(board.name):
        content = {"workspace": _plain(workspace(board)), "report": _plain(report(board))}
    content |= {f"charts/{name}": spec for name, spec in PRESETS.items()}
    paths = [folder / f"{name}.json" for name in content]
    for path, part in zip(paths, content.values(), strict=True):
        write_json(path, part)
    return paths


def save(board: Board) -> list[str]:
    """Save charts, workspace and report to the account.

    Args:
        board: what is shown; its entity must be known.

    Returns:
        Addresses of workspace and report.

    Raises:
        InputError: the server refuses.
    """
    import wandb

    try:
        api = wandb.Api()
        for name, spec in PRESETS.items():
            _put_preset(api, board.entity, name, spec)
        found = [workspace(board).save(), report(board, saved=True).save()]
    except (wandb.errors.Error, ValueError) as error:
        raise InputError(f"{board.entity}/{board.place.project}: not saved: {' '.join(str(error).split())}") from error
    return [built.url for built in found]


def _put_preset(api: Any, entity: str, name: str, spec: dict[str, Any]) -> None:
    """Put a chart into the account; one that is there already stays as it is."""
    import wandb

    try:
        api.create_custom_chart(entity, name, name, "vega2", "private", spec)
    except wandb.errors.Error as error:
        if "already" not in str(error).lower():
            raise
        print(f"chart {entity}/{name} is there already, and stays as it is")


def _plain(built: Any) -> Any:
    """Workspace or report as JSON holds it; `_to_model` is what their own `save` sends."""
    return json.loads(built._to_model().model_dump_json(by_alias=True, exclude_none=True))


@contextmanager
def _same_ids(name: str) -> Iterator[None]:
    """Let the ids of panels, which wandb-workspaces draws by `random`, depend on a name alone."""
    state = random.getstate()
    random.seed(name)
    try:
        yield
    finally:
        random.setstate(state)
