"""``metarec plot``: the figures of an experiment."""

import argparse
import sys
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_experiment, results_of, warn_of

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
    plot.add_argument("--kind", nargs="+", choices=(*KINDS, "all"), default=["all"], help="default: all")
    plot.add_argument("--metric", nargs="+", default=[], metavar="NAME", help="default: the experiment's first")
    plot.add_argument("--format", nargs="+", choices=("png", "svg"), default=["png", "svg"], help="default: both")
    plot.add_argument("--into", type=Path, metavar="FOLDER", help="default: figures/ in the folder of the runs")
    plot.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from metarec import experiment
    from metarec.errors import InputError
    from metarec.plots import pictures, style
    from metarec.plots.runs import Runs

    style.require_matplotlib()
    plan, results = experiment.load(options.experiment), results_of(options)
    plan = replace(plan, metrics=options.metric or plan.metrics[:1])
    runs = Runs(plan, results, options.seeds)
    warn_of(experiment.ran_otherwise(experiment.expand(plan, results, options.seeds)), options.experiment)
    kinds = KINDS if "all" in options.kind else options.kind
    drawn, refused = pictures.draw_all(runs, kinds, plan.metrics, options.experiment.stem)
    if refused and ("all" not in options.kind or not drawn):
        raise InputError("; ".join(refused.values()))
    for (kind, metric), picture in drawn.items():
        for ending in options.format:
            path = (options.into or results / "figures") / f"{pictures.file_name(kind, metric)}.{ending}"
            style.save(picture, path)
            print(path)
    for (kind, _), reason in refused.items():
        print(f"metarec: no figure {kind}: {reason}", file=sys.stderr)
