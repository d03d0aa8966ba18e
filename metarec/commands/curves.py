"""``metarec curves``: the k-shot curves of an experiment, as a table and as a picture."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import add_experiment, add_scenarios, blocks, show, warn_of

if TYPE_CHECKING:
    from metarec.experiment import Experiment

EPILOG = """
The runs must have been made with the layer configs/evaluation/k_shot.yaml. Example:
  metarec run experiments/movielens-100k-k-shot.yaml
  metarec curves experiments/movielens-100k-k-shot.yaml --metric rmse --figure k_shot.png
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    curves = commands.add_parser(
        "curves",
        help="print the k-shot curves of an experiment file, and draw them",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(curves)
    add_scenarios(curves)
    curves.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    curves.add_argument("--metric", default="", help="default: the first metric of the experiment")
    curves.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    curves.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw a line a method into this PNG; a scenario each"
    )
    curves.add_argument("--into", type=Path, metavar="FILE", help="replace the curves' block in this file")
    curves.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.k_shot import figure, table
    from metarec.plots.style import require_matplotlib

    if options.figure:
        require_matplotlib("no --figure")
    whole = experiment.load(options.experiment)

    def block(scenario: str, plan: "Experiment", results: Path) -> str:
        jobs = experiment.expand(plan, results, options.seeds, options.methods)
        plan = experiment.only(plan, options.methods)
        found = table.curves(plan, results, options.metric, options.seeds)
        odd = [method for method in experiment.ran_otherwise(jobs) if method in found.methods]
        warn_of(odd, options.experiment)
        if found.without:
            print(f"metarec: no curves of {', '.join(found.without)}; run them with {table.LAYER}", file=sys.stderr)
        if options.figure:
            named = f"{options.experiment.stem}{scenario and f', {scenario}'}"
            title = f"{named}: means over {found.users} test users, with 95 % bootstrap intervals over them"
            file = options.figure.with_stem(f"{options.figure.stem}-{scenario}") if scenario else options.figure
            figure.draw({found.metric: found.methods}, file, title)
        return {
            "md": lambda: table.as_markdown(found, plan, odd),
            "csv": lambda: table.as_csv(found),
            "json": lambda: table.as_json(found),
        }[options.format]()

    text = blocks(options, whole, block)
    show(text, options.into, f"{options.experiment.stem} {options.metric or whole.metrics[0]}")
