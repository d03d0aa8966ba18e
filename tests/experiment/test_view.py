import dataclasses
import io
import json
import threading
from pathlib import Path

from rich.console import Console

from metarec.experiment import Job
from metarec.experiment.estimate import Costs
from metarec.experiment.view import View


def finish(job: Job, seconds: float = 40.0) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    metrics = {"test/adapted/mae": 0.8159, "test/adapted/rmse": 0.99, "test/zero_shot/mae": 0.9}
    (job.folder / "metrics.json").write_text(json.dumps({"metrics": metrics, "test_seconds": seconds}))


def view(jobs: list[Job], terminal: bool) -> tuple[View, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, color_system=None)
    return View(jobs, Costs(jobs), 2, "OMP_NUM_THREADS=1 ", console), text


def tell(shown: View, jobs: list[Job]) -> None:
    """One of each."""
    plain, mean, tuned = jobs
    with shown:
        shown.done_before(plain)
        shown.started(mean)
        finish(mean)
        shown.finished(mean)
        shown.failed(tuned, "killed by SIGKILL: [red]last line[/red]")


def test_lines(jobs: list[Job]) -> None:
    shown, text = view(jobs, terminal=False)
    tell(shown, jobs)
    assert text.getvalue().splitlines() == [
        "[1/3] plain, seed 0: done before",
        "[2/3] mean, seed 0",
        f"  OMP_NUM_THREADS=1 {jobs[1]}",
        "[2/3] mean, seed 0: done in 0 s, mae 0.816, rmse 0.990",
        "[3/3] tuned, seed 0: failed: killed by SIGKILL: [red]last line[/red]",
    ]


def test_what_runs_now(jobs: list[Job], monkeypatch: object) -> None:
    plain, mean, tuned = jobs
    finish(plain, 40.0)
    shown, text = view(jobs, terminal=True)
    with shown:
        shown.done_before(plain)
        shown.started(mean)
        mean.folder.mkdir(parents=True)
        (mean.folder / "job.log").write_text("Epoch 3: [bold]val/mae[/bold] 0.9\n")
        shown.failed(tuned, "why")
        shown.console.print(shown._now())
    said = text.getvalue()
    assert "[2/3] mean, seed 0  0 s of about 40 s  Epoch 3: [bold]val/mae[/bold] 0.9" in said
    assert "2 of 3 settled, 1 failed; to go: about 20 s" in said


def test_nothing_is_known(jobs: list[Job]) -> None:
    shown, _ = view(jobs, terminal=True)
    shown.started(jobs[0])
    text = io.StringIO()
    Console(file=text, width=100).print(shown._now())
    assert "0 s of unknown" in text.getvalue()
    assert "0 of 3 settled; to go: unknown" in text.getvalue()


def test_no_terminal_no_escapes(jobs: list[Job], tmp_path: Path) -> None:
    shown, text = view(jobs, terminal=False)
    tell(shown, jobs)
    assert "\x1b" not in text.getvalue()


def test_what_runs_now_is_asked_in_another_thread(jobs: list[Job]) -> None:
    """The terminal is drawn while jobs settle; nothing may change under its hands."""
    many = [dataclasses.replace(jobs[0], folder=jobs[0].folder / str(number)) for number in range(3000)]
    shown, _ = view(many, terminal=False)
    faults: list[BaseException] = []
    over = threading.Event()

    def draw() -> None:
        try:
            while not over.is_set():
                shown._now()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for job in many:
        shown.started(job)
        shown.failed(job, "why")
    over.set()
    for thread in threads:
        thread.join()
    assert faults == []
