"""``metarec plot``: the figures of an experiment."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import add_experiment, add_scenarios, results_of, warn_of

if TYPE_CHECKING:
    from metarec.plots.runs import Runs

KINDS = ("dots", "k-shot", "learning", "gain", "differences", "time")
EPILOG = """
kinds:
  dots          mean of each method with its interval, and its difference to the reference, as in the table
  k-shot        over the number of ratings to adapt on (runs with the layer configs/evaluation/k_shot.yaml)
  learning      validation metric while training (learning.csv of the run folders)
  gain          what adaptation gains, by users' number of ratings
  differences   how a method's differences to the reference spread over test users
  time          training, and adapting to one user
  all           all of these that the runs left something for; the others are named

examples:
  metarec plot experiments/movielens-100k-user-cold.yaml
      all figures of the first metric, PNG and SVG, into figures/ in the folder of the runs
  metarec plot experiments/movielens-100k-user-cold.yaml --kind dots --metric mae ndcg_exp@5 --into figures --format svg
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    plot = commands.add_parser(
        "plot",
        help="draw the figures of an experiment file: dots, k-shot, learning, gain, differences, time",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(plot)
    add_scenarios(plot)
    plot.add_argument("--kind", nargs="+", choices=(*KINDS, "all"), default=["all"], help="default: all")
    plot.add_argument("--metric", nargs="+", default=[], metavar="NAME", help="default: the experiment's first")
    plot.add_argument("--format", nargs="+", choices=("png", "svg"), default=["png", "svg"], help="default: both")
    plot.add_argument("--into", type=Path, metavar="FOLDER", help="default: figures/ in the folder of the runs")
    plot.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from metarec import experiment
    from metarec.plots import style
    from metarec.plots.runs import Runs

    style.require_matplotlib()
    plan = experiment.only(experiment.load(options.experiment), (), options.scenarios)
    plan = replace(plan, metrics=options.metric or plan.metrics[:1])
    for scenario, (part, results) in experiment.parts(plan, results_of(options)).items():
        warn_of(experiment.ran_otherwise(experiment.expand(part, results, options.seeds)), options.experiment)
        into = options.into / scenario if options.into else results / "figures"
        _draw(options, scenario, Runs(part, results, options.seeds), into)


def _draw(options: argparse.Namespace, scenario: str, runs: "Runs", into: Path) -> None:
    """Draw the figures of an experiment, or of one of its scenarios.

    Raises:
        InputError: a figure that was asked for by name cannot be drawn, or none can.
    """
    from metarec.errors import InputError
    from metarec.plots import pictures, style

    kinds = KINDS if "all" in options.kind else options.kind
    name = f"{options.experiment.stem}, {scenario}" if scenario else options.experiment.stem
    drawn, refused = pictures.draw_all(runs, kinds, runs.experiment.metrics, name)
    if refused and ("all" not in options.kind or not drawn):
        raise InputError("; ".join(refused.values()))
    for (kind, metric), picture in drawn.items():
        for ending in options.format:
            path = into / f"{pictures.file_name(kind, metric)}.{ending}"
            style.save(picture, path)
            print(path)
    for (kind, _), reason in refused.items():
        print(f"metarec: no figure {kind}: {reason}", file=sys.stderr)
