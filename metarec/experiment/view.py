"""What is seen while jobs run: a line for each thing that happens and, on a terminal, what runs now below them."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from metarec.experiment.estimate import Costs, about, span
from metarec.experiment.job import last_line
from metarec.experiment.plan import Job

SHOWN = ("mae", "rmse", "auc")
"""Metrics of a finished run that are shown, of those that it has."""


class View:
    """Tells what happens to jobs; enter it before the first.

    Args:
        jobs: all of them.
        costs: what finished runs took.
        at_once: how many run at once.
        prefix: what stands before each plain command, such as ``OMP_NUM_THREADS=1``.
        console: where to write; null: standard output.
    """

    def __init__(
        self, jobs: Sequence[Job], costs: Costs, at_once: int, prefix: str = "", console: Console | None = None
    ) -> None:
        self.console = console or Console()
        self._costs, self._at_once, self._prefix = costs, at_once, prefix
        self._open = {job.folder: job for job in jobs}
        self._heads = {job.folder: f"[{n}/{len(jobs)}] {job.name}" for n, job in enumerate(jobs, start=1)}
        self._since: dict[Path, float] = {}
        self._failed = 0
        self._live = Live(get_renderable=self._now, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        """Begin to show what runs, where there is a terminal."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show it no longer."""
        self._live.stop()

    def done_before(self, job: Job) -> None:
        """It has left its results already."""
        self._settle(job, "done before")

    def started(self, job: Job) -> None:
        """It runs now."""
        self._since[job.folder] = time.monotonic()
        self._print(f"{self._heads[job.folder]}\n  {self._prefix}{job}")

    def finished(self, job: Job) -> None:
        """It has left its results."""
        taken = span(time.monotonic() - self._since.pop(job.folder))
        self._settle(job, ", ".join(filter(None, (f"done in {taken}", _score(job.folder)))))

    def failed(self, job: Job, why: str) -> None:
        """It has not, and will not in this call."""
        self._failed += 1
        self._since.pop(job.folder, None)
        self._settle(job, f"failed: {why}")

    def _settle(self, job: Job, how: str) -> None:
        del self._open[job.folder]
        self._print(f"{self._heads[job.folder]}: {how}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _now(self) -> Group:
        """What runs, how long already, of how long about, with the last line of its log; and how far all is."""
        since, waiting = dict(self._since), dict(self._open)  # it is called in a thread of its own
        rows = Table.grid(padding=(0, 2))
        for folder in (folder for folder in since if folder in waiting):
            taken = f"{span(time.monotonic() - since[folder])} of {about(self._costs.seconds(waiting[folder]))}"
            rows.add_row(self._heads[folder], taken, Text(last_line(folder), no_wrap=True, overflow="ellipsis"))
        done, total = len(self._heads) - len(waiting), len(self._heads)
        failed = f", {self._failed} failed" if self._failed else ""
        foot = Table.grid(padding=(0, 2))
        words = f"{done} of {total} settled{failed}; to go: {about(self._left(since, waiting))}"
        foot.add_row(ProgressBar(total=total, completed=done, width=40), words)
        return Group(rows, foot)

    def _left(self, since: Mapping[Path, float], waiting: Mapping[Path, Job]) -> float | None:
        """Seconds that the rest will take; null: unknown."""
        rest = []
        for folder, job in waiting.items():
            seconds = self._costs.seconds(job)
            if seconds is None:
                return None
            taken = time.monotonic() - since[folder] if folder in since else 0.0
            rest.append(max(0.0, seconds - taken))
        return sum(rest) / self._at_once


def _score(folder: Path) -> str:
    """The main figures of a finished run, in one line."""
    means = json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("metrics", {})
    found = {name: means.get(f"test/adapted/{name}") for name in SHOWN}
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
