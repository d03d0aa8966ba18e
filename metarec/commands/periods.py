"""``metarec periods``: train to a period, test on the next: frozen, fine-tuned and retrained models side by side."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarec.commands import running
from metarec.commands.experiment import add_experiment, results_of, show, warn_of

EPILOG = f"""
The experiment must have the layer configs/scenario/period.yaml. Its methods are followed through all periods:
  frozen      trained on period 1 alone
  fine-tuned  the frozen model, trained further on each following period
  retrained   trained from scratch on all periods before the tested one
Each is an ordinary `metarec fit` or `metarec test`; what is done is skipped. Example:
  metarec periods experiments/movielens-100k-periods.yaml --methods fomaml --figure periods.png
{running.LAUNCHING}"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    periods = commands.add_parser(
        "periods",
        help="train to a period, test on the next: frozen, fine-tuned and retrained; print a table, draw a picture",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(periods)
    periods.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    running.add_running(periods)
    periods.add_argument("--no-run", action="store_true", help="show what is done, run nothing")
    periods.add_argument("--metric", default="", help="default: the first metric of the experiment")
    periods.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    periods.add_argument("--figure", type=Path, metavar="FILE", help="draw a panel a method into this PNG")
    periods.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    periods.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.periods import figure, plan, table
    from metarec.plots.style import require_matplotlib

    if options.figure:
        require_matplotlib("no --figure")
    plan.require_fixed(options.option)
    followed, results = experiment.load(options.experiment), results_of(options)
    number = plan.periods_of(followed, options.experiment)
    followed = experiment.only(followed, options.methods)
    jobs = experiment.expand(plan.expanded(followed, number), results, options.seeds, options=options.option)
    if options.dry_run:
        running.planned(options, followed, jobs, jobs[:1])
        return
    if not options.no_run:
        _check(followed, jobs, options.metric)
    done = options.no_run or running.run(options, followed, jobs, jobs[:1])
    rows = table.records(followed, number, results, options.metric, options.seeds)
    warn_of(experiment.ran_otherwise(jobs), options.experiment)
    if options.figure:
        title = f"{options.experiment.stem}: trained to a period, tested on the next; 95 % intervals"
        figure.draw(rows, options.figure, title)
    text = {
        "md": lambda: table.as_markdown(rows, followed),
        "csv": lambda: table.as_csv(rows),
        "json": lambda: table.as_json(rows),
    }[options.format]()
    show(text, options.into, f"{options.experiment.stem} periods")
    if not done:
        sys.exit(1)


def _check(followed: Any, jobs: Sequence[Any], metric: str) -> None:
    """Refuse, before the first run, what could not be compared after the last."""
    from metarec import experiment, training
    from metarec.periods import plan

    asked = [metric.removeprefix("zero_shot/")] if metric else []
    experiment.check(dataclasses.replace(followed, metrics=[*followed.metrics, *asked]), jobs[:1])
    plan.require_same_rows(followed, training.parse(jobs[0].command), metric)
