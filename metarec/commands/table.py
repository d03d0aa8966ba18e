"""``metarec table``: print the table of an experiment, or check its results."""

import argparse
import sys
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, results_of, show, warn_of

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
    table.add_argument("--format", choices=FORMATS, default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.add_argument("--check", action="store_true", help="print no table; fail where a result is not as expected")
    table.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment, report
    from metarec.tables import html, latex, made, markdown, plain, published

    plan, results = experiment.load(options.experiment), results_of(options)
    figures = published.of_experiment(plan, options.experiment.parent / "published.csv")
    runs = report.finished(plan, results, options.seeds)
    odd = experiment.ran_otherwise(experiment.expand(plan, results, options.seeds))
    warn_of(odd, options.experiment)
    table = made.made(plan, runs, figures, options.experiment.stem, odd)
    if options.check:
        _check(plan, table)
        return
    text = {
        "md": markdown.as_markdown,
        "latex": latex.as_latex,
        "html": html.as_html,
        "csv": plain.as_csv,
        "json": plain.as_json,
    }[options.format](table)
    show(text, options.into, table.title)


def _check(plan: Any, table: Any) -> None:
    """Exit with 1 where results are not as expected."""
    from metarec.tables import expected

    for miss in (found := expected.misses(plan, table)):
        print(f"metarec: {miss}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{table.title}: all results are within their expected ranges")
