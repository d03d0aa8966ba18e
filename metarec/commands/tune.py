"""``metarec tune``: choose the settings of an experiment's methods."""

import argparse
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_scenarios, results_of
from metarec.errors import InputError


def add(commands: Any) -> None:
    """Give the command and its options."""
    tune = commands.add_parser("tune", help="choose the settings of an experiment's methods on validation users")
    tune.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    add_scenarios(tune)
    tune.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    tune.add_argument(
        "--minutes",
        type=float,
        default=6.0,
        metavar="M",
        help="processor time of each method, over all threads and all calls so far (default: 6)",
    )
    tune.add_argument("--trials", type=int, default=60, metavar="N", help="most trials of each method (default: 60)")
    tune.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")
    tune.add_argument("--into", type=Path, metavar="FOLDER", help="where the layers go (default: the file's `tuned`)")
    tune.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment, tuning

    plan = experiment.only(experiment.load(options.experiment), (), options.scenarios)
    faults = []
    for scenario, (part, results) in experiment.parts(plan, results_of(options)).items():
        into = options.into and options.into / scenario
        try:
            tuning.tune(part, results, options.methods, options.minutes, options.trials, into)
        except InputError as fault:
            faults.append(f"{scenario and f'{scenario}: '}{fault}")
    if faults:
        raise InputError("; ".join(faults))
