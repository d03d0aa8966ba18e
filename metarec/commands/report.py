"""``metarec report``: one self-contained HTML page of an experiment."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, results_of, warn_of

EPILOG = """
The page holds the table, the figures of `metarec plot`, what each method cost, the commands to run it all again,
versions and digests, and every configuration. It needs no other file, no network and no script. Example:
  metarec report experiments/movielens-100k-user-cold.yaml --into user-cold.html
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    report = commands.add_parser(
        "report",
        help="write one self-contained HTML page of an experiment file: table, figures, cost, configuration",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(report)
    report.add_argument("--into", type=Path, metavar="FILE", help="default: report.html in the folder of the runs")
    report.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.files import write_text
    from metarec.page.document import page
    from metarec.plots.runs import Runs
    from metarec.plots.style import require_matplotlib
    from metarec.tables.published import of_experiment

    require_matplotlib()
    printed = options.experiment.parent / "published.csv"
    runs, odd = {}, {}
    for scenario, (part, results) in experiment.parts(experiment.load(options.experiment), results_of(options)).items():
        runs[scenario] = Runs(part, results, options.seeds, of_experiment(part, printed))
        odd[scenario] = experiment.ran_otherwise(experiment.expand(part, results, options.seeds))
        warn_of(odd[scenario], options.experiment)
    into = options.into or results_of(options) / "report.html"
    write_text(into, page(runs, options.experiment, odd, _given(options)))
    print(into)


def _given(options: argparse.Namespace) -> str:
    """The options that the page's commands are to have, too."""
    found = ["--results", str(options.results)] if options.results else []
    return shlex.join([*found, *(["--seeds", *map(str, options.seeds)] if options.seeds else [])])
