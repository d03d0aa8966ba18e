"""``metarec table``: print the table of an experiment."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, results_of, show, warn_of


def add(commands: Any) -> None:
    """Give the command and its options."""
    table = commands.add_parser("table", help="print the table of an experiment file")
    add_experiment(table)
    table.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.add_argument("--track", action="store_true", help="log the table to Weights & Biases as well, offline")
    table.set_defaults(command=_run)


def made(options: argparse.Namespace, plan: Any, odd: Sequence[str] = ()) -> tuple[list[dict[str, Any]], str]:
    """The records of an experiment's table, a method and metric each, and the table in Markdown.

    Args:
        options: of the command: the experiment file, its seeds and results.
        plan: the experiment.
        odd: methods that ran otherwise than it says.

    Raises:
        InputError: there are no results, or such as cannot be compared.
    """
    from metarec import report

    rows = report.records(plan, results_of(options), options.seeds)
    return rows, report.as_markdown(rows, plan, odd)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment, report

    plan = experiment.load(options.experiment)
    odd = experiment.ran_otherwise(experiment.expand(plan, results_of(options), options.seeds))
    rows, printed = made(options, plan, odd)
    warn_of(odd, options.experiment)
    text = {
        "md": lambda: printed,
        "csv": lambda: report.as_csv(rows),
        "json": lambda: report.as_json(rows),
    }[options.format]()
    show(text, options.into, options.experiment.stem)
    if options.track:
        _track(options, plan, rows, printed)


def _track(options: argparse.Namespace, plan: Any, rows: list[dict[str, Any]], text: str) -> None:
    """Log the table to W&B."""
    from metarec.tracking import account, table_run

    account.require_wandb()
    name = options.experiment.stem
    place = table_run.place_of(plan.options, plan.metrics, name)
    run = table_run.log_table(place, name, rows, text, results_of(options), list(plan.methods))
    print(f"tracked as run {run}, offline; `metarec sync {options.experiment}` uploads it", file=sys.stderr)
