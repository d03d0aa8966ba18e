"""``metarec run``: run the methods of an experiment."""

import argparse
import sys
from typing import Any

from metarec.commands import running
from metarec.commands.experiment import add_experiment, add_scenarios, results_of

EPILOG = f"""
An experiment's runs are its methods, times its scenarios if it has some, times its seeds. Each is an ordinary
`metarec fit` or `metarec test`, which --dry-run prints; what is done is skipped, what has changed is run again.
{running.LAUNCHING}"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    run = commands.add_parser(
        "run",
        help="run the methods of an experiment file, skipping what is done",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_experiment(run)
    add_scenarios(run)
    run.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    running.add_running(run)
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment
    from metarec.experiment.plan import typical

    plan, results = experiment.load(options.experiment), results_of(options)
    jobs = experiment.expand(plan, results, options.seeds, options.methods, options.option, options.scenarios)
    if options.dry_run:
        running.planned(options, plan, jobs, typical(jobs))
        return
    done = running.run(options, plan, jobs, typical(jobs))
    runs = f"{'*/' if plan.scenarios else ''}*/*/wandb/offline-run-*"
    if any(results.glob(runs)):
        print(f"dashboards: metarec sync {results}")
    if not done:
        sys.exit(1)
