"""Children of the warm process: fresh, and gone when they should be."""

import ast
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metarec.experiment import Job, warm
from metarec.experiment.job import DIED, task_of
from metarec.experiment.local import Local
from tests.experiment import calls

STUB = "tests.experiment.stub"


@pytest.fixture
def local() -> Iterator[Local]:
    """A launcher whose warm process has imported nothing heavy."""
    launcher = Local(modules=["tests.experiment.calls"])
    yield launcher
    launcher.close()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what its parent has not asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def group(leader: int) -> list[int]:
    """Processes of a group that live."""
    found = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in found.splitlines()]
    return [pid for pid, own in pairs if own == leader and not gone(pid)]


def test_a_child_sees_what_the_warm_process_has_and_nothing_of_other_children(local: Local, tmp_path: Path) -> None:
    local._send(calls.mark, ("here",), numbered=False)
    local._send(calls.refuse, (), numbered=False)
    local._send(calls.stop, (), numbered=False)
    for number in (1, 2):
        assert local.call(calls.show, tmp_path / str(number)) == 0
    first, second = (ast.literal_eval((tmp_path / str(number)).read_text()) for number in (1, 2))
    assert first == second == (["here"], os.environ.get("OMP_NUM_THREADS"), ["MainThread"], True)
    assert calls.LEFT == []


def test_what_is_not_installed_is_left_to_those_who_need_it() -> None:
    local = Local(modules=["no_such_package_at_all", "tests.experiment.calls"])
    try:
        assert local.call(calls.leave, 0) == 0
    finally:
        local.close()


def test_exit_codes(local: Local) -> None:
    assert [local.call(calls.leave, code) for code in (0, 1, 75)] == [0, 1, 75]
    assert local.call(calls.refuse) == 1


def test_a_child_leaves_the_parents_clean_up_alone_and_waits_for_its_threads(local: Local, tmp_path: Path) -> None:
    """W&B registers the removal of a folder that it made in the warm process: other children still use it."""
    assert local.call(calls.never_clean, tmp_path / "file") == 0
    assert (tmp_path / "file.done").exists()
    assert not (tmp_path / "file").exists()


def test_temporary_files_of_the_warm_process_are_removed_and_a_childs_are_elsewhere(tmp_path: Path) -> None:
    local = Local(modules=["tests.experiment.calls"])
    local._send(calls.temporary, (tmp_path / "warm",), numbered=False)
    assert local.call(calls.temporary, tmp_path / "child") == 0
    theirs = Path((tmp_path / "warm").read_text())
    assert theirs.name.startswith("metarec-warm-")
    assert theirs.exists()
    assert Path((tmp_path / "child").read_text()) == theirs.parent
    local.close()
    assert not theirs.exists()


def test_threads_are_in_the_environment_of_the_warm_process(tmp_path: Path) -> None:
    """Before its libraries are loaded, as in a process that the plain command starts."""
    before = dict(os.environ)
    local = Local(threads=3, modules=["tests.experiment.calls"])
    local.call(calls.show, tmp_path / "file")
    local.close()
    assert ast.literal_eval((tmp_path / "file").read_text())[1] == "3"
    assert dict(os.environ) == before


def test_jobs_run_at_once_and_end_as_the_plain_command_does(local: Local, jobs: list[Job]) -> None:
    asked = {"plain": "", "mean": "fail", "tuned": "kill"}
    for job in jobs:
        task = task_of(job, None, STUB)
        local.start(dataclasses.replace(task, command=[*task.command, f"--stub={job.method}:{asked[job.method]}"]))
    found: dict[Path, str] = {}
    while len(found) < 3:
        found |= local.ended(10)
    assert {folder.parent.name: why for folder, why in found.items()} == {
        "plain": "",
        "mean": "exit code 2",
        "tuned": "killed by SIGKILL",
    }
    assert [job.done for job in jobs] == [True, False, False]
    seen = json.loads((jobs[0].folder / "metrics.json").read_text())["seen"]
    assert (seen["main"], seen["argv"][:-1]) == ("__main__", jobs[0].command)
    assert (jobs[1].folder / "job.log").read_text() == "stub mean\nmetarec: error: as asked\n"
    assert local.ended(0) == {}


def test_close_ends_children_and_what_they_started(tmp_path: Path) -> None:
    local = Local(modules=["tests.experiment.calls"])
    local._send(calls.linger, (tmp_path / "pid",))
    until((tmp_path / "pid").exists)
    leader = int((tmp_path / "pid").read_text())
    assert len(group(leader)) == 2
    local.close()
    until(lambda: not group(leader))


def test_close_right_after_start(tmp_path: Path) -> None:
    """The pid of the child is not known yet."""
    local = Local(modules=["tests.experiment.calls"])
    local._send(calls.linger, (tmp_path / "pid",))
    local.close()
    time.sleep(0.5)
    if (tmp_path / "pid").exists():
        assert not group(int((tmp_path / "pid").read_text()))


def test_children_end_when_the_runner_is_killed(tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from metarec.experiment.local import Local;"
        "from tests.experiment import calls; local = Local(modules=['tests.experiment.calls']);"
        f"local._send(calls.linger, (Path({str(tmp_path / 'pid')!r}),)); time.sleep(60)"
    )
    runner = subprocess.Popen([sys.executable, "-c", code])
    until((tmp_path / "pid").exists)
    leader = int((tmp_path / "pid").read_text())
    assert group(leader)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    until(lambda: not group(leader))


def test_when_the_warm_process_dies_its_children_do_and_the_next_job_has_another(local: Local, tmp_path: Path) -> None:
    assert local.call(calls.end_parent, tmp_path / "pid") == DIED
    if (tmp_path / "pid").exists():
        until(lambda: not group(int((tmp_path / "pid").read_text())))
    assert local.call(calls.leave, 0) == 0


def test_the_terminals_interrupt_reaches_the_runner_alone() -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=warm.serve, args=(theirs, ()))
    process.start()
    theirs.close()
    ours.send((1, calls.leave, (0,)))
    assert ours.recv()[0] == 1
    os.kill(process.pid or 0, signal.SIGINT)
    ours.send((2, calls.leave, (5,)))
    assert [ours.recv() for _ in range(3)][-1][2] == 5
    ours.close()
    process.join(10)
    assert process.exitcode == 0
