"""Uploading offline runs, by wandb's own `wandb sync`."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from metarec.errors import InputError
from metarec.tracking.offline import is_uploaded, may_be_running, offline_runs


class Found(NamedTuple):
    """Offline runs below some folders, by what is to be done with them; the oldest first.

    Attributes:
        new: to be uploaded.
        uploaded: uploaded before.
        running: perhaps still running: an upload now would be taken for the whole run.
    """

    new: list[Path]
    uploaded: list[Path]
    running: list[Path]


def find(folders: Iterable[Path]) -> Found:
    """The offline runs below folders.

    Args:
        folders: run folders, or any folders above some.

    Raises:
        InputError: a folder is not there, or holds none.
    """
    files: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no folder; give run folders, a folder of runs or an experiment file")
        below = offline_runs(folder)
        if not below:
            raise InputError(f"{folder}: no offline run of Weights & Biases below it; add -c configs/logger/wandb.yaml")
        files |= dict.fromkeys(path.resolve() for path in below)
    uploaded = [path for path in files if is_uploaded(path)]
    left = [path for path in files if not is_uploaded(path)]
    running = [path for path in left if may_be_running(path)]
    return Found([path for path in left if path not in running], uploaded, running)


def upload(runs: Sequence[Path]) -> list[Path]:
    """Upload offline runs, in one call: those of the same W&B run go one after the other then.

    Args:
        runs: the ``.wandb`` files, the oldest first.

    Returns:
        Those that were not uploaded.
    """
    surroundings = {name: value for name, value in os.environ.items() if name not in ("WANDB_MODE", "WANDB_SILENT")}
    surroundings["WANDB_DIR"] = str(runs[0].parents[2])  # where it writes logs of its own, else the current folder
    folders = [str(path.parent) for path in runs]
    subprocess.run([sys.executable, "-m", "wandb", "sync", *folders], env=surroundings, check=False)
    return [path for path in runs if not is_uploaded(path)]
