"""Signals to a real run: a checkpoint, one line, the exit code that a shell expects, and the same end when resumed."""

import json
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.faults.run import PATIENCE, command, epochs_done, finished, killed, lines, outcome, started

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("movielens")]
SHORT = ["--trainer.max_epochs=6", "--trainer.limit_train_batches=12"]
LONG = ["--trainer.max_epochs=500", "--trainer.limit_train_batches=12", "--trainer.callbacks=[]"]


@pytest.fixture(scope="module")
def whole(movielens: object, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a run leaves that nothing has cut off."""
    folder = tmp_path_factory.mktemp("whole")
    assert finished(command(folder, *SHORT, "--then_test=true"), folder / "log") == 0
    return outcome(folder)


@pytest.mark.fault("sigterm")
def test_sigterm_saves_and_exits_with_143(whole: dict, tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = command(tmp_path, *SHORT, "--then_test=true", "--resume=true")
    assert killed(given, log, lambda: epochs_done(tmp_path) >= 2, signal.SIGTERM) == 143
    assert lines(log) == [
        "metarec: SIGTERM: stopping after this step",
        "metarec: stopped by SIGTERM; go on with --resume=true",
    ]
    steps = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 24 <= steps < 72  # where it was, and not where it began: saves are ten minutes apart
    assert finished(given, log) == 0
    assert outcome(tmp_path) == whole


@pytest.mark.fault("sigint")
def test_sigint_stops_cleanly_and_exits_with_130(whole: dict, tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = command(tmp_path, *SHORT, "--then_test=true", "--resume=true")
    assert killed(given, log, lambda: epochs_done(tmp_path) >= 2, signal.SIGINT) == 130
    assert lines(log)[-1] == "metarec: stopped by SIGINT; go on with --resume=true"
    assert "Traceback" not in log.read_text()
    assert finished(given, log) == 0
    assert outcome(tmp_path) == whole


@pytest.mark.fault("sigterm")
def test_without_checkpoints_it_stops_and_saves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = command(tmp_path, *LONG, "--trainer.enable_checkpointing=false")
    assert killed(given, log, lambda: epochs_done(tmp_path) >= 1, signal.SIGTERM) == 143
    assert lines(log)[-1] == "metarec: stopped by SIGTERM; nothing was saved"
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.long
@pytest.mark.fault("killed")
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_ten_moments_of_a_real_run(
    whole: dict, workers: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It goes on from its last checkpoint, one a step; SIGKILL comes at random times after it has begun."""
    moments = random.Random(workers)
    log, given = tmp_path / "log", command(tmp_path, *SHORT, "--then_test=true", "--resume=true", "--save_minutes=0")
    given.append(f"--data.num_workers={workers}")
    hits = 0
    for _ in range(10):
        begun = log.stat().st_size if log.exists() else 0
        wait = moments.uniform(0.0, 0.5)

        def some_way_in(begun: int = begun, wait: float = wait) -> bool:
            if log.stat().st_size <= begun:
                return False
            time.sleep(wait)
            return True

        process = started(given, log)
        while process.poll() is None and not some_way_in():
            time.sleep(0.01)
        process.kill()
        hits += process.wait(PATIENCE) == -signal.SIGKILL
    assert hits >= 5
    record_property("injected", hits)
    assert finished(given, log) == 0
    assert outcome(tmp_path) == whole


@pytest.mark.fault("killed")
def test_an_experiment_resumes_the_job_that_was_killed(tmp_path: Path) -> None:
    """The runner and all that it started are killed; called again, it goes on inside the job, to the same end."""
    outcomes = []
    for name in ("whole", "killed"):
        results = tmp_path / name
        given = [sys.executable, "-m", "metarec", "run", "experiments/movielens-100k-user-cold.yaml"]
        given += ["--results", str(results), "--methods", "maml", "--seeds", "0", "--option", "trainer.max_epochs=6"]
        given += ["--option", "trainer.limit_train_batches=12", "--option", "save_minutes=0"]
        folder, log = results / "maml" / "seed-0", tmp_path / f"{name}.log"
        if name == "killed":
            assert killed(given, log, lambda folder=folder: epochs_done(folder) >= 2) == -signal.SIGKILL
            assert not (folder / "metrics.json").exists()
            time.sleep(2)  # what it had started notices
        assert finished(given, log) == 0, log.read_text()
        outcomes.append(outcome(folder))
    assert outcomes[0] == outcomes[1]
    said = (folder / "job.log").read_text()
    assert said.count("engine: ") == 2, said
    assert json.loads((folder / "begun.json").read_text())["digest"]
