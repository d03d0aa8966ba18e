"""``metarec dashboard``: the workspace and the report of an experiment, as code."""

import argparse
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, joined, results_of
from metarec.commands.table import table_of, text_of
from metarec.errors import InputError

EPILOG = """
Writes workspace.json, report.json and charts/*.json (Vega-Lite), without account or network. With --save, they are also
saved to Weights & Biases, into the project that the experiment's runs are in once `metarec sync` has uploaded them.
Needs wandb-workspaces: pip install 'metarec[dashboard]'. Examples:
  metarec dashboard experiments/movielens-100k-user-cold.yaml
  metarec dashboard experiments/movielens-100k-user-cold.yaml --entity my-team --save
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    dashboard = commands.add_parser(
        "dashboard",
        help="build the Weights & Biases workspace and report of an experiment file",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(dashboard)
    dashboard.add_argument("--into", type=Path, metavar="FOLDER", help="default: dashboard in the folder of the runs")
    dashboard.add_argument("--entity", default="", help="user or team; default with --save: that of the account")
    dashboard.add_argument("--project", default="", help="default: that of the experiment's runs")
    dashboard.add_argument("--save", action="store_true", help="save to Weights & Biases, too")
    dashboard.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.tracking import account, workspace

    workspace.require_workspaces()
    if options.save:
        account.require_account("--save")
        options.entity = options.entity or _own_entity()
    board = _board(options)
    into = options.into or results_of(options) / "dashboard"
    print("\n".join(f"written: {path}" for path in workspace.write(board, into)))
    if options.save:
        print("\n".join(f"saved: {url}" for url in workspace.save(board)))


def _board(options: argparse.Namespace) -> Any:
    """What the dashboard shows; without a table, where nothing has run yet."""
    from metarec import experiment
    from metarec.tracking.table_run import place_of
    from metarec.tracking.workspace import Board

    plan, name = experiment.load(options.experiment), options.experiment.stem
    try:
        parts = experiment.parts(plan, results_of(options))
        texts = {part: text_of(table_of(options, part, *own), "md") for part, own in parts.items()}
        text = joined(texts, "md") if plan.scenarios else texts[""]
    except InputError as error:
        print(f"without the table: {error}")
        text = ""
    place = place_of(plan.options, plan.metrics, name)
    place = place._replace(project=options.project or place.project)
    return Board(name, plan.shows, plan.metrics, place, options.entity, text)


def _own_entity() -> str:
    """The entity that the account saves to where none is named.

    Raises:
        InputError: the server cannot be asked.
    """
    import wandb

    try:
        entity = wandb.Api().default_entity
    except wandb.errors.Error as error:
        raise InputError(f"--save: {' '.join(str(error).split())}; give --entity, and look at the network") from error
    if not entity:
        raise InputError("--save: the account has no entity to save to; give --entity")
    return str(entity)
