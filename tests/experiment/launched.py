"""What every launcher must do, with a stub in place of the command."""

import dataclasses
import json
import os
import time
from pathlib import Path

from metarec.experiment import Job
from metarec.experiment.estimate import Costs
from metarec.experiment.job import Task, task_of
from metarec.experiment.runner import Launcher, Limits, Runner
from metarec.experiment.view import View

STUB = "tests.experiment.stub"


def asked(one: Job, what: str = "", threads: int | None = None) -> Task:
    """The job with a stub command that does as asked."""
    task = task_of(one, threads, STUB)
    return dataclasses.replace(task, command=[*task.command, f"--stub={one.method}:{what}"])


class Stubbed:
    """A launcher that runs the stub; plain is asked to do what is said."""

    def __init__(self, launcher: Launcher, plain: str) -> None:
        self.launcher, self.plain = launcher, plain
        self.threads, self.ended, self.close = launcher.threads, launcher.ended, launcher.close

    def start(self, task: Task) -> None:
        command = [*task.command, f"--stub=plain:{self.plain}"]
        self.launcher.start(dataclasses.replace(task, command=command, module=STUB))


def check_the_plan(launcher: Launcher, jobs: list[Job], plain: str = "") -> dict[str, str]:
    """Run the three jobs; why they failed, by method."""
    costs = Costs(jobs)
    runner = Runner(jobs, Stubbed(launcher, plain), Limits(3), costs, View(jobs, costs, 3))
    failed = {job.method: why for job, why in runner.run()}
    for job in jobs:
        assert job.done == (job.method not in failed)
        if job.done:
            seen = json.loads((job.folder / "metrics.json").read_text())["seen"]
            assert seen["threads"] == str(launcher.threads)
            assert (job.folder / "job.log").read_text() == f"stub {job.method}\n"
    return failed


def check_close(launcher: Launcher, job: Job) -> None:
    """Closing it ends what runs."""
    launcher.start(asked(job, "wait"))
    until = time.monotonic() + 60
    while not (job.folder / "begun").exists():
        assert launcher.ended(0.1) == {}
        assert time.monotonic() < until
    pid = int((job.folder / "begun").read_text())
    launcher.close()
    while alive(pid):
        assert time.monotonic() < until + 15
        time.sleep(0.05)
    assert not job.done


def alive(pid: int) -> bool:
    """Whether there is such a process, other than one that nobody has asked for yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
