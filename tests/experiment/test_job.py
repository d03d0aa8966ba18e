"""A job where it runs, with a stub in place of the command."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from metarec.experiment import Job, job
from metarec.experiment.job import in_subprocess, last_line, reason, task_of

STUB = "tests.experiment.stub"


def asked(one: Job, what: str = "", threads: int | None = None) -> job.Task:
    """The job with a stub command that does as asked."""
    task = task_of(one, threads, STUB)
    return dataclasses.replace(task, command=[*task.command, f"--stub={one.method}:{what}"])


def test_a_job_leaves_results_a_log_and_a_record(jobs: list[Job]) -> None:
    mean = jobs[1]
    assert in_subprocess(asked(mean, threads=3)) == 0
    assert mean.done
    record = json.loads((mean.folder / "job.json").read_text())
    assert (record["digest"], record["command"]) == (mean.digest, str(mean))
    assert 0 < record["seconds"] < 60
    assert (mean.folder / "job.log").read_text() == "stub mean\n"
    seen = json.loads((mean.folder / "metrics.json").read_text())["seen"]
    assert seen["threads"] == "3"
    assert seen["argv"] == [*mean.command, "--stub=mean:"]


@pytest.mark.parametrize(
    ("what", "why", "said"),
    [
        ("fail", "exit code 2", "metarec: error: as asked"),
        ("raise", "exit code 1", "ValueError: as asked"),
        ("kill", "killed by SIGKILL", "stub mean"),
        ("nothing", "it left no metrics.json", "stub mean"),
    ],
)
def test_a_job_that_fails_leaves_no_record(jobs: list[Job], what: str, why: str, said: str) -> None:
    mean = jobs[1]
    in_subprocess(asked(mean))
    assert mean.done
    assert reason(in_subprocess(asked(mean, what))) == why
    assert not mean.done
    assert not (mean.folder / "metrics.json").exists()
    assert last_line(mean.folder) == said


def test_results_of_an_earlier_run_are_gone_before_it_begins(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    mean = jobs[1]
    for name in (*job.LEFT, "config.yaml", "predictions.parquet"):
        mean.folder.mkdir(parents=True, exist_ok=True)
        (mean.folder / name).write_text("{}")
    left = []
    monkeypatch.setattr(job, "_there", lambda task, log: left.extend(file.name for file in task.folder.iterdir()) or 1)
    in_subprocess(asked(mean))
    assert set(left) == {".lock", job.BEGUN}


def test_a_folder_is_one_processes(jobs: list[Job]) -> None:
    mean = jobs[1]
    in_subprocess(asked(mean))
    with FileLock(mean.folder / ".lock"):
        assert reason(in_subprocess(asked(mean))) == "another process runs in its folder"
    assert mean.done


def test_the_wait_for_a_job_takes_it_along(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """What interrupts the worker ends the command."""
    mean = jobs[1]

    def interrupt(seconds: float) -> None:
        if (mean.folder / "begun").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(job.time, "sleep", interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_subprocess(asked(mean, "wait"))
    assert time.monotonic() - started < 50  # the stub waits a minute
    pid = int((mean.folder / "begun").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not mean.done


@pytest.mark.parametrize(
    ("log", "last"),
    [("", ""), ("a\nb\n", "b"), ("a\n\n  \n", "a"), ("10 %\r20 %\r", "20 %"), ("x" * 9000 + "\nend", "end")],
)
def test_the_last_line_of_a_log(tmp_path: Path, log: str, last: str) -> None:
    (tmp_path / "job.log").write_text(log)
    assert last_line(tmp_path) == last


def test_no_log(tmp_path: Path) -> None:
    assert last_line(tmp_path) == ""


def test_in_process_is_what_the_module_is_run_as(jobs: list[Job]) -> None:
    """In a fresh process: same arguments, same name, same exit as ``python -m``."""
    mean = jobs[1]
    code = (
        "import dataclasses, sys; from pathlib import Path; from metarec.experiment.job import Task, in_process;"
        f"task = Task(Path({str(mean.folder)!r}), {asked(mean).command!r}, 'd', 'text', 2, module={STUB!r});"
        "print(in_process(task), file=sys.__stderr__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    seen = json.loads((mean.folder / "metrics.json").read_text())["seen"]
    assert (seen["threads"], seen["main"], seen["argv"]) == ("2", "__main__", asked(mean).command)
    assert (mean.folder / "job.log").read_text() == "stub mean\n0\n"
