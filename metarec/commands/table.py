"""``metarec table``: print the table of an experiment, or check its results."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import add_experiment, add_scenarios, blocks, results_of, show, warn_of

if TYPE_CHECKING:
    from metarec.experiment import Experiment
    from metarec.tables.table import Table

FORMATS = ("md", "latex", "html", "csv", "json", "users")
EPILOG = """
Formats: md, latex (booktabs) and html are for reading; csv (a line a method and column) and json hold every number,
users (CSV) the values of every test user, with each method and seed.
Printed figures are those that the file's published: names, from published.csv beside it.
examples:
  metarec table experiments/movielens-100k-user-cold.yaml
  metarec table experiments/movielens-100k-user-cold.yaml --format latex > table.tex
  metarec table experiments/movielens-100k-user-cold.yaml --check
      exits with 1 and names each result that is missing or has left the range that the file's expected: gives
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    table = commands.add_parser(
        "table",
        help="print the table of an experiment file, or check its results",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(table)
    add_scenarios(table)
    table.add_argument("--format", choices=FORMATS, default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.add_argument("--check", action="store_true", help="print no table; fail where a result is not as expected")
    table.add_argument("--track", action="store_true", help="log the table to Weights & Biases as well, offline")
    table.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.report import finished
    from metarec.tables.plain import users_csv

    plan = experiment.load(options.experiment)
    if options.check:
        _check(options, plan)
        return

    def block(scenario: str, part: "Experiment", results: Path) -> str:
        if options.format == "users":
            return users_csv(finished(part, results, options.seeds), part.metrics)
        table = table_of(options, scenario, part, results)
        if options.track:
            _track(part, table, results, options.experiment)
        return text_of(table, options.format)

    show(blocks(options, plan, block), options.into, options.experiment.stem)


def table_of(options: argparse.Namespace, scenario: str, plan: "Experiment", results: Path) -> "Table":
    """The table of an experiment, or of one of its scenarios.

    Args:
        options: of the command: the experiment file and the seeds.
        scenario: its name; empty: there are none.
        plan: the experiment in it.
        results: folder of its runs.

    Raises:
        InputError: there are no results, or such as cannot be compared.
    """
    from metarec import experiment, report
    from metarec.tables import made, published

    figures = published.of_experiment(plan, options.experiment.parent / "published.csv")
    runs = report.finished(plan, results, options.seeds)
    odd = experiment.ran_otherwise(experiment.expand(plan, results, options.seeds))
    warn_of([f"{scenario}: {name}" if scenario else name for name in odd], options.experiment)
    title = f"{options.experiment.stem}-{scenario}" if scenario else options.experiment.stem
    return made.made(plan, runs, figures, title, odd)


def text_of(table: "Table", form: str) -> str:
    """A table as text, in one of `FORMATS`."""
    from metarec.tables import html, latex, markdown, plain

    return {
        "md": markdown.as_markdown,
        "latex": latex.as_latex,
        "html": html.as_html,
        "csv": plain.as_csv,
        "json": plain.as_json,
    }[form](table)


def _check(options: argparse.Namespace, plan: "Experiment") -> None:
    """Exit with 1 where results are not as expected."""
    from metarec.experiment import only, parts
    from metarec.tables import expected

    found = []
    chosen = parts(only(plan, (), options.scenarios), results_of(options))
    ranged = {name: own for name, own in chosen.items() if own[0].expected} or chosen
    for name, (part, results) in ranged.items():
        table = table_of(options, name, part, results)
        found += [*table.warnings, *expected.misses(part, table)]
    for miss in found:
        print(f"metarec: {miss}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{options.experiment.stem}: all results are within their expected ranges")


def _track(plan: "Experiment", table: "Table", results: Path, file: Path) -> None:
    """Log the table to W&B."""
    from metarec.tables.plain import records
    from metarec.tracking import account, table_run

    account.require_wandb()
    place = table_run.place_of(plan.options, plan.metrics, table.title)
    text = text_of(table, "md")
    run = table_run.log_table(place, table.title, records(table), text, results, list(plan.methods))
    print(f"tracked as run {run}, offline; `metarec sync {file}` uploads it", file=sys.stderr)
