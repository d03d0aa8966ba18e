"""Runs jobs on this machine, each in a child of a warm process."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from metarec.experiment import warm
from metarec.experiment.job import DIED, Task, end_group, environment_of, in_process, reason

PATIENCE = 5.0
"""Seconds that the warm process may take to leave; it may be importing."""


class Local:
    """Starts jobs as children of one warm process, which it starts itself, and again should it die.

    Args:
        threads: of each job; null: as many as the library takes.
        modules: what the warm process imports before it forks.
    """

    def __init__(self, threads: int | None = None, modules: Sequence[str] = warm.MODULES) -> None:
        self.threads, self.modules = threads, modules
        self._calls: Connection | None = None
        self._process: SpawnProcess | None = None
        self._folders: dict[int, Path] = {}
        self._pids: dict[int, int] = {}
        self._number = 0

    def start(self, task: Task) -> None:
        """Start a job; `ended` tells when it has ended."""
        self._folders[self._send(in_process, (task,))] = task.folder

    def ended(self, timeout: float) -> dict[Path, str]:
        """By folder, why jobs that have ended failed; empty: they did not.

        Args:
            timeout: seconds to wait for the first.
        """
        return {self._folders.pop(number): reason(code) for number, code in self._ended(timeout).items()}

    def call(self, function: Callable[..., int], *arguments: Any) -> int:
        """Call a function in a child, and wait for it; no job may run yet.

        Returns:
            The exit code.
        """
        number = self._send(function, arguments)
        while True:
            ended = self._ended(None)
            if number in ended:
                return ended[number]

    def keep(self, data: Sequence[dict[str, Any]]) -> None:
        """Have the warm process read these data sets for all jobs that are started later; see `warm.keep`."""
        for one in data:
            self._send(warm.keep, (one,), numbered=False)

    def close(self) -> None:
        """End all that runs."""
        self._end_children()
        if self._calls is not None and self._process is not None:
            self._calls.close()  # now it ends those that it has started meanwhile
            self._process.join(PATIENCE)
            self._process.kill()
            self._process.join()
        self._calls, self._process = None, None
        self._pids.clear()
        self._folders.clear()

    def _end_children(self) -> None:
        """End the children that are known to have begun."""
        for pid in filter(None, self._pids.values()):
            end_group(pid)

    def _send(self, function: Callable[..., Any], arguments: tuple[Any, ...], numbered: bool = True) -> int:
        """Have a function called in a child, or without a number in the warm process; the number to know it by."""
        self._number += 1
        if self._calls is None:
            self._calls, self._process = self._started()
        with suppress(BrokenPipeError):  # the warm process has died: `_ended` will find out
            self._calls.send((self._number if numbered else None, function, arguments))
        if numbered:
            self._pids[self._number] = 0
        return self._number

    def _started(self) -> tuple[Connection, SpawnProcess]:
        """A new warm process, in the environment that jobs are to have, and the pipe to it."""
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=warm.serve, args=(theirs, self.modules))
        with _environment(environment_of(self.threads)):
            process.start()
        theirs.close()
        return ours, process

    def _ended(self, timeout: float | None) -> dict[int, int]:
        """By number, the exit codes of calls that have ended, once one has ended or the time is up."""
        ended: dict[int, int] = {}
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while self._calls is not None and self._calls.poll(0 if ended else _left(until)):
                number, pid, code = self._calls.recv()
                self._pids[number] = pid
                if code is not None:
                    del self._pids[number]
                    ended[number] = code
        except (EOFError, ConnectionError):
            self._end_children()
            ended |= dict.fromkeys(self._pids, DIED)
            self._pids.clear()
            self._calls, self._process = None, None
        return ended


def _left(until: float | None) -> float | None:
    """Seconds left until then, at least 0."""
    return None if until is None else max(0.0, until - time.monotonic())


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """More variables in the environment of processes that are started in this block."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
