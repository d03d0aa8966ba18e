"""What is begun when, with a launcher that runs nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metarec import experiment
from metarec.experiment import Job, runner
from metarec.experiment.estimate import Costs
from metarec.experiment.job import Task
from metarec.experiment.runner import Limits, Runner, free_memory
from metarec.experiment.view import View


class Fake:
    """Leaves a run's results at once; each wait ends the job that was begun first. Fails for the methods named."""

    threads = None

    def __init__(self, fails: tuple[str, ...] = (), at_end: Callable[[], None] = lambda: None) -> None:
        self.fails, self.at_end = fails, at_end
        self.running: list[Task] = []
        self.events: list[str] = []
        self.closed = False

    def start(self, task: Task) -> None:
        self.running.append(task)
        self.events.append(f"+{task.folder.parent.name}")

    def ended(self, timeout: float) -> dict[Path, str]:
        self.at_end()
        task = self.running.pop(0)
        name = task.folder.parent.name
        self.events.append(f"-{name}")
        if name in self.fails:
            task.folder.mkdir(parents=True)
            (task.folder / "job.log").write_text("Epoch 3\nout of memory\n\n")
            return {task.folder: "killed by SIGKILL"}
        (task.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (task.folder / "checkpoints" / "best.ckpt").touch()
        (task.folder / "metrics.json").write_text(json.dumps({"test_seconds": 1.0, "peak_memory_mb": 2048}))
        (task.folder / "job.json").write_text(json.dumps({"digest": task.digest}))
        return {task.folder: ""}

    def close(self) -> None:
        self.closed = True


def run(jobs: list[Job], fake: Fake, limits: Limits | None = None) -> dict[str, str]:
    """Run, and give why jobs failed by name."""
    costs, limits = Costs(jobs), limits or Limits()
    failed = Runner(jobs, fake, limits, costs, View(jobs, costs, limits.at_once)).run()
    assert fake.closed
    assert not fake.running
    return {job.method: why for job, why in failed}


def test_one_after_the_other_and_only_once(jobs: list[Job]) -> None:
    fake, again = Fake(), Fake()
    assert run(jobs, fake) == {}
    assert fake.events == ["+plain", "-plain", "+mean", "-mean", "+tuned", "-tuned"]
    assert all(job.done for job in jobs)
    assert run(jobs, again) == {}
    assert again.events == []


def test_borrowed_weights_are_waited_for(jobs: list[Job]) -> None:
    fake = Fake()
    assert run([jobs[2], jobs[0], jobs[1]], fake, Limits(at_once=3)) == {}
    assert fake.events == ["+plain", "+mean", "-plain", "+tuned", "-mean", "-tuned"]


def test_new_weights_make_borrowed_ones_stale(jobs: list[Job]) -> None:
    run(jobs, Fake())
    (jobs[0].folder / "checkpoints" / "best.ckpt").write_text("other weights")
    fake = Fake()
    run(jobs, fake)
    assert fake.events == ["+tuned", "-tuned"]


def test_a_failed_run_stops_only_those_that_need_it(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    fake = Fake(fails=("plain",))
    failed = run(jobs, fake, Limits(at_once=2))
    assert failed == {
        "plain": "killed by SIGKILL: out of memory",
        "tuned": "not run, since it needs the weights of plain, seed 0, which failed",
    }
    assert fake.events == ["+plain", "+mean", "-plain", "-mean"]
    assert [job.done for job in jobs] == [False, True, False]
    said = capsys.readouterr().out.splitlines()
    assert "[1/3] plain, seed 0: failed: killed by SIGKILL: out of memory" in said
    assert "[3/3] tuned, seed 0: failed: not run, since it needs the weights of plain, seed 0, which failed" in said


def test_failure_runs_down_a_chain(small: Path, tmp_path: Path) -> None:
    text = small.read_text()
    more = "          next: {starts_from: plain}\n          last: {starts_from: next}\n"
    small.write_text(text.replace("          mean: {", more + "          mean: {"))
    jobs = experiment.expand(experiment.load(small), tmp_path / "results", [0], ["plain", "next", "last"])
    failed = run(jobs, Fake(fails=("next",)))
    assert failed["last"] == "not run, since it needs the weights of next, seed 0, which failed"
    assert [job.done for job in jobs] == [True, False, False]


def test_weights_of_an_unfinished_run_are_not_borrowed(jobs: list[Job]) -> None:
    """Training that was interrupted has left a checkpoint, but no results."""
    plain, _, tuned = jobs
    (plain.folder / "checkpoints").mkdir(parents=True)
    (plain.folder / "checkpoints" / "best.ckpt").touch()
    fake = Fake()
    assert "best.ckpt of a finished run is missing; run the method that makes it first" in run([tuned], fake)["tuned"]
    assert fake.events == []


@pytest.mark.parametrize(
    ("limits", "together"),
    [
        (Limits(at_once=4), 4),
        (Limits(at_once=3), 3),
        (Limits(at_once=4, memory=4.5), 2),
        (Limits(at_once=4, free=6.5), 3),
        (Limits(at_once=4, free=0.5), 1),
        (Limits(at_once=4, memory=4.5, free=0.5), 2),
    ],
)
def test_cores_and_memory_are_enough(small: Path, tmp_path: Path, limits: Limits, together: int) -> None:
    """Runs of seed 0 took 2 GiB each."""
    plan, results = experiment.load(small), tmp_path / "results"
    run(experiment.expand(plan, results, [0], ["mean"]), Fake())
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, len(fake.running))

    fake = Fake(at_end=look)
    jobs = experiment.expand(plan, results, [1, 2, 3, 4, 5], ["mean"])
    assert run(jobs, fake, limits) == {}
    assert most == together
    assert all(job.done for job in jobs)


def test_what_is_unknown_counts_as_one_gib_until_a_run_has_told(small: Path, tmp_path: Path) -> None:
    """The first takes 2 GiB, so the third waits until the second has ended."""
    fake = Fake()
    jobs = experiment.expand(experiment.load(small), tmp_path / "results", [1, 2, 3], ["mean"])
    run(jobs, fake, Limits(at_once=3, memory=2.5))
    assert fake.events == ["+mean", "+mean", "-mean", "-mean", "+mean", "-mean"]
    assert runner.UNKNOWN == 1.0


def test_what_alone_is_too_large_is_refused(small: Path, tmp_path: Path) -> None:
    plan, results, fake = experiment.load(small), tmp_path / "results", Fake()
    run(experiment.expand(plan, results, [0], ["mean"]), Fake())
    failed = run(experiment.expand(plan, results, [1], ["mean"]), fake, Limits(at_once=2, memory=1.5))
    assert failed == {"mean": "runs of it take 2.0 GiB; raise --memory 1.5"}
    assert fake.events == []


def test_what_is_unknown_is_not_refused_for_what_others_took(small: Path, tmp_path: Path) -> None:
    plan, results, fake = experiment.load(small), tmp_path / "results", Fake()
    run(experiment.expand(plan, results, [0], ["plain"]), Fake())
    jobs = experiment.expand(plan, results, [0], ["plain", "mean"])
    assert run(jobs, fake, Limits(at_once=2, memory=1.5)) == {}
    assert fake.events == ["+mean", "-mean"]


def test_what_interrupts_closes_the_launcher(jobs: list[Job]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    fake, costs = Fake(at_end=interrupt), Costs(jobs)
    with pytest.raises(KeyboardInterrupt):
        Runner(jobs, fake, Limits(), costs, View(jobs, costs, 1)).run()
    assert fake.closed
    fake = Fake()
    run(jobs, fake)
    assert fake.events[0] == "+plain"


def test_free_memory_is_that_of_the_machine() -> None:
    free = free_memory()
    assert free is None or 0 < free < 2**20
