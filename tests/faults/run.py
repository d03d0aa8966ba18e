"""Runs of the command line in processes of their own, which tests kill, stop and starve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.test_training import LAYERS

FIT = ["fit", *LAYERS, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
"""A fit on MovieLens 100K."""
PATIENCE = 240
"""Seconds that a process may take to get anywhere; far more than any needs on a quiet machine."""


def command(folder: Path, *options: str) -> list[str]:
    """The command line of a fit in a folder."""
    return [sys.executable, "-m", "metarec", *FIT, f"--trainer.default_root_dir={folder}", *options]


def started(given: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A process in a group of its own, whose output goes to a file."""
    with log.open("ab") as output:
        own = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        return subprocess.Popen(given, stdout=output, stderr=output, env=own, start_new_session=True)


def finished(given: Sequence[str], log: Path, **environment: str) -> int:
    """The exit code of a process that is let run."""
    return started(given, log, **environment).wait(PATIENCE)


def wait_until(there: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    """Wait for something that a process does."""
    until = time.monotonic() + PATIENCE
    while not there():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def killed(given: Sequence[str], log: Path, there: Callable[[], Any], number: int = signal.SIGKILL) -> int:
    """The exit code of a process that gets a signal once something is there."""
    process = started(given, log)
    try:
        wait_until(there, process)
        process.send_signal(number)
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def epochs_done(folder: Path) -> int:
    """How many validations a run has noted."""
    curve = folder / "learning.csv"
    return max(0, len(curve.read_text().splitlines()) - 1) if curve.exists() else 0


def outcome(folder: Path) -> dict[str, Any]:
    """What a run must leave the same however often it was killed: weights, metrics of each user, the curve."""
    found: dict[str, Any] = {"curve": (folder / "learning.csv").read_text()}
    for name in ("best", "last"):
        content = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        found |= {f"{name} {key}": value.numpy().tobytes() for key, value in content["state_dict"].items()}
        found[f"{name} step"] = content["global_step"]
    if (folder / "metrics.json").exists():
        summary = json.loads((folder / "metrics.json").read_text())
        found |= {name: summary[name] for name in ("metrics", "epochs", "steps", "split", "episodes")}
    return found


def lines(log: Path) -> list[str]:
    """What a process has said that is meant for people: metarec's own lines, and any traceback."""
    return [line for line in log.read_text().splitlines() if line.startswith(("metarec:", "Traceback"))]
