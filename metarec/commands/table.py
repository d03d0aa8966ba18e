"""``metarec table``: print the table of an experiment, or check its results."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import add_experiment, add_scenarios, blocks, results_of, show, warn_of

if TYPE_CHECKING:
    from metarec.experiment import Experiment
    from metarec.tables.table import Table

FORMATS = ("md", "latex", "html", "csv", "json")
EPILOG = """
Formats: md, latex (booktabs) and html are for reading; csv (a line a method and column) and json hold every number.
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
    table.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment

    plan = experiment.load(options.experiment)
    if options.check:
        _check(options, plan)
        return
    text = blocks(
        options, plan, lambda name, part, results: _format(options.format, _table(options, name, part, results))
    )
    show(text, options.into, options.experiment.stem)


def _table(options: argparse.Namespace, scenario: str, plan: "Experiment", results: Path) -> "Table":
    """The table of an experiment, or of one of its scenarios."""
    from metarec import experiment, report
    from metarec.tables import made, published

    figures = published.of_experiment(plan, options.experiment.parent / "published.csv")
    runs = report.finished(plan, results, options.seeds)
    odd = experiment.ran_otherwise(experiment.expand(plan, results, options.seeds))
    warn_of([f"{scenario}: {name}" if scenario else name for name in odd], options.experiment)
    title = f"{options.experiment.stem}-{scenario}" if scenario else options.experiment.stem
    return made.made(plan, runs, figures, title, odd)


def _format(form: str, table: "Table") -> str:
    """A table as text."""
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
    for name, (part, results) in parts(only(plan, (), options.scenarios), results_of(options)).items():
        found += expected.misses(part, _table(options, name, part, results))
    for miss in found:
        print(f"metarec: {miss}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{options.experiment.stem}: all results are within their expected ranges")
