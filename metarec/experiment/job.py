"""What happens to a job where it runs: one process a folder, output to a log, a record when it is done."""

import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from metarec.experiment.plan import Job
from metarec.files import RESULTS, read_json, write_json
from metarec.tracking.ending import finish

LOG = "job.log"
LEFT = ("job.json", "config.yaml", *RESULTS)
"""What an earlier run may have left, and this one has not made yet."""

LOCKED = 75
"""Exit code: another process runs in the folder."""

DIED = 71
"""Exit code: what the process was forked from died."""

PAUSE = 0.05
"""Seconds between looks at a process that runs."""

BEGUN = "begun.json"
"""Which job a folder's checkpoints are of, from when it begins until other settings begin in the folder."""

NOTHING = 70
"""Exit code: the command ended well, and left no results."""


@dataclass(frozen=True)
class Task:
    """A job as it travels to a worker: plain values.

    Attributes:
        folder: where the run leaves its files.
        command: arguments of the module.
        digest: of the job, when it was started.
        text: the plain command.
        threads: how many the run may use; null: as many as the library takes.
        directory: working directory.
        module: what ``python -m`` runs.
    """

    folder: Path
    command: list[str]
    digest: str
    text: str
    threads: int | None = None
    directory: Path = field(default_factory=Path.cwd)
    module: str = "metarec"

    @property
    def environment(self) -> dict[str, str]:
        """What its environment has beyond that of the worker."""
        return environment_of(self.threads)


def environment_of(threads: int | None) -> dict[str, str]:
    """The environment that gives a process so many threads; null: leaves it alone."""
    return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}


def task_of(job: Job, threads: int | None = None, module: str = "metarec") -> Task:
    """The job as it travels to a worker, with its digest as of now."""
    return Task(job.folder, job.command, job.digest, str(job), threads, module=module)


def in_process(task: Task) -> int:
    """Run a job in this process, which must be a fresh one, as ``python -m metarec`` would.

    Returns:
        The exit code; see `reason`.
    """
    return _recorded(task, _here)


def in_subprocess(task: Task) -> int:
    """Run a job as the plain command, in a process of its own that ends with this one's call.

    Returns:
        The exit code, negative for a signal; see `reason`.
    """
    return _recorded(task, _there)


def reason(code: int) -> str:
    """Why a job failed, in a few words; empty: it did not."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    known = {
        0: "",
        LOCKED: "another process runs in its folder",
        NOTHING: "it left no metrics.json",
        DIED: "the process that it was forked from died",
    }
    return known.get(code, f"exit code {code}")


def last_line(folder: Path) -> str:
    """The last line of a job's log that is not empty; of a progress bar, what it showed last."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(-min(log.seek(0, os.SEEK_END), 4096), os.SEEK_END)
            lines = log.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def last_of(error: BaseException) -> str:
    """The last line of what an error says; its kind, where it says nothing."""
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)


def redirect(path: Path) -> None:
    """Send all further output of this process, and of those it starts, to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _recorded(task: Task, run: Callable[[Task, Path], int]) -> int:
    """Run a task while holding its folder; note that it is done when it has left its results."""
    folder = task.directory / task.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", blocking=False):
            for name in LEFT:
                (folder / name).unlink(missing_ok=True)
            started = time.perf_counter()
            code = run(_begun(task, folder), folder / LOG)
            if code == 0 and not (folder / "metrics.json").exists():
                return NOTHING
            if code == 0:
                seconds = round(time.perf_counter() - started, 3)
                write_json(folder / "job.json", {"digest": task.digest, "command": task.text, "seconds": seconds})
            return code
    except Timeout:
        return LOCKED


def _begun(task: Task, folder: Path) -> Task:
    """The task; one that had begun before, and was cut off, goes on from its last checkpoint and in its log.

    Args:
        task: a task whose folder is held.
        folder: its folder.
    """
    begun = folder / BEGUN
    if task.command[:1] == ["fit"] and begun.exists() and read_json(begun).get("digest") == task.digest:
        return replace(task, command=[*task.command, "--resume=true"])
    for name in (LOG, "checkpoints/last.ckpt"):
        (folder / name).unlink(missing_ok=True)
    write_json(begun, {"digest": task.digest})
    return task


def _here(task: Task, log: Path) -> int:
    """Run the module in this process; what it raises is its exit code, as in a process of its own."""
    redirect(log)
    os.chdir(task.directory)
    os.environ.update(task.environment)
    sys.argv = [task.module, *task.command]
    code = 0
    try:
        runpy.run_module(task.module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    finish(code)
    return code


def _there(task: Task, log: Path) -> int:
    """Run the plain command; whatever ends the wait for it, ends it too."""
    command = [sys.executable, "-m", task.module, *task.command]
    environment: Mapping[str, str] = {**os.environ, **task.environment}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=task.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(PAUSE)  # and not in a wait of the system's, which what cancels a task may not interrupt
            return process.returncode
        finally:
            with suppress(ProcessLookupError):  # the group may outlive its leader, and may be gone
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def end_group(leader: int) -> None:
    """End a process and all that it started: files are written whole or not at all, so nothing can be left half."""
    for end in (os.killpg, os.kill):  # it may not lead its group yet
        with suppress(ProcessLookupError, PermissionError):
            end(leader, signal.SIGKILL)
