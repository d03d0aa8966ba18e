"""``metarec run``: run the methods of an experiment."""

import argparse
import sys
from typing import Any

from metarec.commands.experiment import add_experiment, results_of


def add(commands: Any) -> None:
    """Give the command and its options."""
    run = commands.add_parser("run", help="run the methods of an experiment file, skipping what is done")
    add_experiment(run)
    run.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    run.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="further option of every run")
    run.add_argument("--dry-run", action="store_true", help="print the plain commands, run nothing")
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment

    plan = experiment.load(options.experiment)
    jobs = experiment.expand(plan, results_of(options), options.seeds, options.methods, options.option)
    experiment.check(plan, jobs)
    if options.dry_run:
        print("\n".join(map(str, jobs)))
        return
    failed = experiment.run(jobs)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs done; results lie in {results_of(options)}")
    if any(results_of(options).glob("*/*/wandb/offline-run-*")):
        print(f"dashboards: metarec sync {results_of(options)}")
    if failed:
        print("failed: " + ", ".join(f"{job.method} seed {job.seed}" for job in failed), file=sys.stderr)
        sys.exit(1)
