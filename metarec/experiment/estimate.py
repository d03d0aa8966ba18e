"""What a job will take, from what finished runs took: reads files only."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from metarec.experiment.plan import Job


class Cost(NamedTuple):
    """What a finished run took.

    Attributes:
        seconds: all of it; of runs that did not note it, training, selecting and testing.
        memory: the process's largest resident memory, GiB; null: not noted.
    """

    seconds: float
    memory: float | None


class Costs:
    """What finished runs of jobs' methods took, whatever their seeds and settings.

    Args:
        jobs: the jobs, beside whose folders other runs may lie.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._kinds: dict[tuple[str, str], list[Cost]] = {}
        for job in {job.folder.parent: job for job in jobs}.values():
            for file in sorted(job.folder.parent.glob("seed-*/metrics.json")):
                self.add(job, file.parent)

    def add(self, job: Job, folder: Path) -> None:
        """Take a finished run of the job's kind into account."""
        if cost := cost_of(folder):
            self._kinds.setdefault((job.scenario, job.method), []).append(cost)

    def seconds(self, job: Job) -> float | None:
        """Mean over runs of the method in the scenario, else in any, else of all; null: nothing is known."""
        found = self._nearest(job)
        return mean(cost.seconds for cost in found) if found else None

    def memory(self, job: Job) -> float | None:
        """The largest of runs of the method in the scenario, else in any, else of all, GiB; null: nothing is known."""
        return max((cost.memory for cost in self._nearest(job) if cost.memory is not None), default=None)

    def known(self, job: Job) -> bool:
        """Whether a run of the method is finished."""
        return any(method == job.method for _, method in self._kinds)

    def _nearest(self, job: Job) -> list[Cost]:
        """Costs of the nearest kinds that there are any of."""
        own = self._kinds.get((job.scenario, job.method), [])
        same = [cost for (_, method), costs in self._kinds.items() if method == job.method for cost in costs]
        return own or same or [cost for costs in self._kinds.values() for cost in costs]


def cost_of(folder: Path) -> Cost | None:
    """What the run in a folder took; null: its files do not say."""
    summary, noted = _read(folder / "metrics.json"), _read(folder / "job.json")
    parts = [summary.get(f"{part}_seconds") for part in ("fit", "select", "test")]
    known = [float(part) for part in parts if part is not None]
    if "seconds" not in noted and not known:
        return None
    peak = summary.get("peak_memory_mb")
    return Cost(float(noted.get("seconds", sum(known))), None if peak is None else peak / 2**10)


def _read(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where it is missing."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def whole(jobs: Sequence[Job], costs: Costs, at_once: int) -> float | None:
    """Seconds that all jobs will take, so many at once; null: unknown.

    That is the work shared out evenly, or the longest chain of jobs that need each other, if that takes longer.
    """
    seconds = {job.folder: costs.seconds(job) for job in jobs}
    known = {folder: time for folder, time in seconds.items() if time is not None}
    if len(known) < len(seconds):
        return None
    chains: dict[Path, float] = {}
    for job in jobs:  # each stands after what it needs
        before = job.needs.parent.parent if job.needs else None
        chains[job.folder] = known[job.folder] + (chains.get(before, 0.0) if before else 0.0)
    return max(sum(known.values()) / at_once, max(chains.values(), default=0.0))


def about(seconds: float | None) -> str:
    """An estimate for people: `about 40 s`, `unknown`."""
    return "unknown" if seconds is None else f"about {span(seconds)}"


def span(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
