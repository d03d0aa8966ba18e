"""``metarec table``: print the table of an experiment."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import add_experiment, add_scenarios, blocks, show, warn_of

if TYPE_CHECKING:
    from metarec.experiment import Experiment


def add(commands: Any) -> None:
    """Give the command and its options."""
    table = commands.add_parser("table", help="print the table of an experiment file")
    add_experiment(table)
    add_scenarios(table)
    table.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment, report

    def block(scenario: str, plan: "Experiment", results: Path) -> str:
        rows = report.records(plan, results, options.seeds)
        odd = experiment.ran_otherwise(experiment.expand(plan, results, options.seeds))
        warn_of([f"{scenario}: {name}" if scenario else name for name in odd], options.experiment)
        return {
            "md": lambda: report.as_markdown(rows, plan, odd),
            "csv": lambda: report.as_csv(rows),
            "json": lambda: report.as_json(rows),
        }[options.format]()

    text = blocks(options, experiment.load(options.experiment), block)
    show(text, options.into, options.experiment.stem)
