"""Runs the jobs of a plan that are not done: so many at once, each when what it needs is there and memory is enough."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metarec.experiment.estimate import Costs
from metarec.experiment.job import Task, last_line, task_of
from metarec.experiment.plan import Job, best_of
from metarec.experiment.view import View

UNKNOWN = 1.0
"""GiB that a job is taken to need while no run has told: somewhat more than the libraries alone."""

PAUSE = 0.5
"""Seconds to wait for the end of a job before looking again whether another can begin."""


class Launcher(Protocol):
    """What starts jobs: on this machine, through SLURM, through Ray."""

    @property
    def threads(self) -> int | None:
        """How many each job may use; null: as many as the library takes."""
        ...

    def start(self, task: Task) -> None:
        """Start a job, or hand it to what will."""
        ...

    def ended(self, timeout: float) -> dict[Path, str]:
        """By folder, why jobs that have ended failed; empty: they did not. Waits at most so many seconds."""
        ...

    def close(self) -> None:
        """End all that runs."""
        ...


@dataclass(frozen=True)
class Limits:
    """What jobs share.

    Attributes:
        at_once: how many may run at once.
        memory: GiB that the peaks of those that run may add up to; a job that alone takes more is refused. Null: no
            limit.
        free: GiB that they may add up to where `memory` says nothing; a job that alone takes more runs alone.
    """

    at_once: int = 1
    memory: float | None = None
    free: float | None = None


def free_memory() -> float | None:
    """GiB that new processes can have on this machine; null: it does not say."""
    table = Path("/proc/meminfo")
    found = re.search(r"MemAvailable: +(\d+) kB", table.read_text(encoding="ascii")) if table.exists() else None
    return int(found[1]) / 2**20 if found else None


class Runner:
    """One call of `metarec run`.

    Args:
        jobs: the jobs, in the order in which to begin them.
        launcher: what starts them; it is closed at the end.
        limits: what they share.
        costs: what finished runs took.
        view: what is told.
    """

    def __init__(self, jobs: Sequence[Job], launcher: Launcher, limits: Limits, costs: Costs, view: View) -> None:
        self._launcher, self._limits, self._costs, self._view = launcher, limits, costs, view
        self._waiting = {job.folder: job for job in jobs}
        self._running: dict[Path, Job] = {}
        self._failed: dict[Path, tuple[Job, str]] = {}

    def run(self) -> list[tuple[Job, str]]:
        """Run the jobs.

        Returns:
            Those that failed or could not be run, and why; the others are done.
        """
        try:
            with self._view:
                while self._waiting or self._running:
                    self._begin()
                    if self._running:
                        self._end()
        finally:
            self._launcher.close()
        return list(self._failed.values())

    def _begin(self) -> None:
        """Begin what can; settle what is done, or what never can."""
        for folder, job in list(self._waiting.items()):
            if len(self._running) >= self._limits.at_once:
                return
            if job.needs and any(best_of(other) == job.needs for other in (*self._waiting, *self._running)):
                continue
            if why := self._hindrance(job):
                self._fail(self._waiting.pop(folder), why)
            elif job.done:
                self._view.done_before(self._waiting.pop(folder))
            elif self._limits.memory and self._costs.known(job) and self._need(job) > self._limits.memory:
                why = f"runs of it take {self._need(job):.1f} GiB; raise --memory {self._limits.memory:g}"
                self._fail(self._waiting.pop(folder), why)
            elif self._fits(job):
                self._running[folder] = self._waiting.pop(folder)
                self._launcher.start(task_of(job, self._launcher.threads))
                self._view.started(job)

    def _end(self) -> None:
        """Wait a while for jobs to end."""
        for folder, why in self._launcher.ended(PAUSE).items():
            job = self._running.pop(folder)
            if why:
                self._fail(job, ": ".join(filter(None, (why, last_line(folder)))))
            else:
                self._costs.add(job, folder)
                self._view.finished(job)

    def _fail(self, job: Job, why: str) -> None:
        self._failed[job.folder] = job, why
        self._view.failed(job, why)

    def _hindrance(self, job: Job) -> str:
        """Why a job cannot be run whose turn it is; empty: it can."""
        for folder, (other, _) in self._failed.items():
            if job.needs == best_of(folder):
                return f"not run, since it needs the weights of {other.name}, which failed"
        if job.needs and not (job.needs.exists() and (job.needs.parent.parent / "metrics.json").exists()):
            return f"not run: {job.needs} of a finished run is missing; run the method that makes it first"
        return ""

    def _need(self, job: Job) -> float:
        """GiB that it will need at its peak."""
        return self._costs.memory(job) or UNKNOWN

    def _fits(self, job: Job) -> bool:
        """Whether the memory is enough for it beside those that run."""
        limit = self._limits.memory or self._limits.free
        need = sum(map(self._need, [*self._running.values(), job]))
        return not self._running or limit is None or need <= limit
