"""``metarec tune``: choose the settings of an experiment's methods."""

import argparse
from pathlib import Path
from typing import Any

from metarec.commands.experiment import add_scenarios, results_of
from metarec.commands.running import AllowCode
from metarec.errors import InputError

EXPLAINED = """
A study lies on disk, in tuning/ of the results. The same command in another terminal adds its trials to the same study;
what was interrupted goes on. Beside each layer, METHOD.trials.csv lists what was tried. --sweep writes the same search
spaces as sweeps of Weights & Biases instead:

  metarec tune experiments/NAME.yaml --methods maml --sweep runs/sweeps
  wandb sweep runs/sweeps/maml.yaml    # prints what agents are started with
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    tune = commands.add_parser(
        "tune",
        help="choose the settings of an experiment's methods on validation users",
        epilog=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tune.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    add_scenarios(tune)
    tune.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    tune.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="processor time of each method, over all threads, processes and calls (default: the file's, else 6)",
    )
    tune.add_argument("--trials", type=int, metavar="N", help="most trials of each (default: the file's, else 60)")
    tune.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")
    tune.add_argument("--into", type=Path, metavar="FOLDER", help="where the layers go (default: the file's `tuned`)")
    tune.add_argument("--sweep", type=Path, metavar="FOLDER", help="try nothing: write W&B sweeps, one a method")
    tune.add_argument(
        "--allow-code", dest="option", action=AllowCode, nargs="?", metavar="PACKAGE", help=AllowCode.text
    )
    tune.set_defaults(command=_run, option=[])


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.tuning.methods import tune
    from metarec.tuning.sweep import write_sweeps

    plan = experiment.only(experiment.load(options.experiment), (), options.scenarios)
    minutes = plan.tuning.minutes if options.minutes is None else options.minutes
    trials = plan.tuning.trials if options.trials is None else options.trials
    faults = []
    for scenario, (part, results) in experiment.parts(plan, results_of(options)).items():
        try:
            if options.sweep:
                for path in write_sweeps(
                    part, results, options.methods, trials, options.sweep / scenario, options.option
                ):
                    print(f"wandb sweep {path}")
            else:
                into = options.into and options.into / scenario
                tune(part, results, options.methods, minutes, trials, into, options.option)
        except InputError as fault:
            faults.append(f"{scenario and f'{scenario}: '}{fault}")
    if faults:
        raise InputError("; ".join(faults))
