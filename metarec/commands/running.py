"""What the commands that run jobs share: how many at once, on what, and what is said at the end."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metarec.commands.experiment import results_of
from metarec.errors import InputError, at_least

if TYPE_CHECKING:
    from metarec.experiment import Experiment, Job
    from metarec.experiment.runner import Launcher

LAUNCHING = """
how many at once, and where:
  --jobs 4                      four processes on this machine, each with a quarter of its cores
  --jobs 4 --memory 16          fewer, where the peaks that finished runs measured add up to more than 16 GiB
  --launcher slurm --resource slurm_partition=long mem_gb=8 timeout_min=600
                                each run a job of SLURM's queue; cluster=local tries it on this machine
  --launcher ray --resource num_gpus=0.5
                                each run a task of the Ray cluster that RAY_ADDRESS names, else of one made here
Results lie in one folder, which all nodes must see, with the output of each run in its job.log. Ctrl-C ends what runs;
the next call goes on with what is not done. A run that fails does not keep the others from running; exit status 1 says
that there was one.
"""


class AllowCode(argparse.Action):
    """Hands ``--allow-code`` on to every run."""

    text = "let configurations name code of these packages too, `--allow-code=PACKAGE,PACKAGE`; of none: of all"

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        """Add it to the options."""
        given = f"allow-code={values}" if values else "allow-code"
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest, None) or []), given])


def add_running(command: argparse.ArgumentParser) -> None:
    """Give a command the options of running jobs."""
    add = command.add_argument
    add("--option", action="append", default=[], metavar="KEY=VALUE", help="further option of every run")
    add("--allow-code", dest="option", action=AllowCode, nargs="?", metavar="PACKAGE", help=AllowCode.text)
    add("--dry-run", action="store_true", help="print the plain commands and how long they may take, run nothing")
    add("--jobs", type=int, metavar="N", help="runs at once (default: 1; with slurm or ray as many as these take)")
    add("--threads", type=int, metavar="N", help="cores of each run (default: an even share; with slurm or ray 1)")
    add("--memory", type=float, metavar="GIB", help="what peaks of runs at once may add up to (default: what is free)")
    add("--launcher", choices=("local", "slurm", "ray"), default="local", help="default: local")
    add(
        "--resource",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="parameters of submitit, or options of Ray's tasks",
    )


def planned(options: argparse.Namespace, plan: "Experiment", jobs: Sequence["Job"], some: Sequence["Job"]) -> None:
    """Print the plain commands, and how long they may take.

    Args:
        options: those of `add_running`.
        plan: the experiment.
        jobs: its jobs.
        some: those of them whose configuration to check.

    Raises:
        InputError: a configuration is faulty.
    """
    from metarec.experiment import check
    from metarec.experiment.estimate import Costs, about, whole

    _check(options)
    check(plan, some)
    costs, at_once = Costs(jobs), _at_once(options, jobs)
    for job in jobs:
        print(f"{_prefix(options)}{job}  # {'done before' if job.done else about(costs.seconds(job))}")
    if rest := [job for job in jobs if not job.done]:
        guessed = sum(not costs.known(job) for job in rest)
        note = f", {guessed} of them by the mean of other methods" if guessed and costs.seconds(rest[0]) else ""
        print(f"# {len(rest)} of {len(jobs)} to run{note}: {about(whole(rest, costs, at_once))}, {at_once} at once")


def run(options: argparse.Namespace, plan: "Experiment", jobs: Sequence["Job"], some: Sequence["Job"]) -> bool:
    """Run the jobs that are not done, and say how it went; a signal that ends it ends them.

    Args:
        options: those of `add_running`.
        plan: the experiment.
        jobs: its jobs.
        some: those of them whose configuration to check first, unless all jobs are done.

    Returns:
        Whether all jobs are done.

    Raises:
        InputError: a configuration or an option is faulty.
    """
    _check(options)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        failed = _run(options, plan, jobs, some)
    except KeyboardInterrupt:
        print("metarec: stopped; the next call goes on with what is not done", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs done; results lie in {results_of(options)}")
    for job, why in failed:
        print(f"failed: {job.name}: {why}", file=sys.stderr)
    return not failed


def _run(
    options: argparse.Namespace, plan: "Experiment", jobs: Sequence["Job"], some: Sequence["Job"]
) -> list[tuple["Job", str]]:
    """Check and run; the jobs that failed, and why."""
    from rich.console import Console

    from metarec.experiment.checking import checked, to_keep
    from metarec.experiment.estimate import Costs
    from metarec.experiment.local import Local
    from metarec.experiment.runner import Limits, Runner, free_memory
    from metarec.experiment.view import View

    rest, at_once = [job for job in jobs if not job.done], _at_once(options, jobs)
    here, limits = Local(_threads(options)), Limits(at_once, options.memory, free_memory())
    launcher: Launcher = here
    try:
        if rest and options.launcher != "local":
            launcher, limits = _elsewhere(options), Limits(at_once)
        if rest:
            with Console().status("loading libraries, checking configurations"):
                data = checked(here, plan, some)
        if launcher is not here:
            here.close()
        elif len(rest) > 1:
            here.keep(to_keep(data))
        costs = Costs(jobs)
        view = View(jobs, costs, at_once, _prefix(options))
        return Runner(jobs, launcher, limits, costs, view).run()
    finally:
        launcher.close()
        here.close()


def _at_once(options: argparse.Namespace, jobs: Sequence["Job"]) -> int:
    """How many jobs are handed out at once."""
    return int(options.jobs or (1 if options.launcher == "local" else len(jobs)))


def _elsewhere(options: argparse.Namespace) -> "Launcher":
    """What hands jobs to SLURM or Ray."""
    resources = dict(_parsed(given) for given in options.resource)
    if options.launcher == "slurm":
        from metarec.experiment.on_slurm import Slurm

        return Slurm(results_of(options), options.threads or 1, resources)
    from metarec.experiment.on_ray import Ray

    return Ray(options.threads or 1, resources)


def _parsed(given: str) -> tuple[str, Any]:
    """Name and value of a resource."""
    from metarec.plain_yaml import loaded

    name, sign, value = given.partition("=")
    if not sign:
        raise InputError(f"--resource {given}: give KEY=VALUE")
    return name, loaded(value, f"--resource {name}")


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers out of range, and options that the launcher has no use for."""
    at_least(1, **{"--jobs": options.jobs, "--threads": options.threads})
    if options.memory is not None and not options.memory > 0:
        raise InputError(f"--memory {options.memory:g}: give GiB > 0")
    if options.launcher != "local" and options.memory is not None:
        raise InputError(f"--memory is of this machine; of {options.launcher}, say what each run takes with --resource")
    if options.launcher == "local" and options.resource:
        raise InputError("--resource is for --launcher slurm or ray; here, give --jobs, --threads and --memory")


def _threads(options: argparse.Namespace) -> int | None:
    """Cores of each job on this machine; null: as the environment says."""
    if options.threads or not (options.jobs or 1) > 1:
        return options.threads  # type: ignore[no-any-return]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // options.jobs)
    own = os.environ.get("OMP_NUM_THREADS", "")
    return None if own.isdigit() and 0 < int(own) <= share else share


def _prefix(options: argparse.Namespace) -> str:
    """What stands before a plain command, so that it does what the job does."""
    threads = _threads(options) if options.launcher == "local" else options.threads or 1
    return f"OMP_NUM_THREADS={threads} " if threads else ""
