"""``metarec table``: print the table of an experiment."""

import argparse
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, results_of, show, warn_of


def add(commands: Any) -> None:
    """Give the command and its options."""
    table = commands.add_parser("table", help="print the table of an experiment file")
    add_experiment(table)
    table.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment, report

    plan = experiment.load(options.experiment)
    rows = report.records(plan, results_of(options), options.seeds)
    odd = experiment.ran_otherwise(experiment.expand(plan, results_of(options), options.seeds))
    warn_of(odd, options.experiment)
    text = {
        "md": lambda: report.as_markdown(rows, plan, odd),
        "csv": lambda: report.as_csv(rows),
        "json": lambda: report.as_json(rows),
    }[options.format]()
    show(text, options.into, options.experiment.stem)
