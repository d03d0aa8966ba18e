"""Disks that are full, read-only or not ours: old files stay whole, one line says it, nothing half-written stays."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from metarec import checkpoint
from tests.faults.disk import mounted
from tests.faults.run import command, finished, lines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("movielens")]
SHORT = ["--trainer.max_epochs=12", "--trainer.limit_train_batches=4", "--save_minutes=0"]


def leftovers(folder: Path) -> list[str]:
    """Files under a temporary name."""
    return [path.name for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.fault("disk-full")
def test_a_disk_that_fills_up_leaves_whole_checkpoints(tmp_path: Path) -> None:
    """Some 0.6 MB a checkpoint: the first ones fit, a temporary copy of a later one does not."""
    with mounted(tmp_path / "disk", "size=1500k") as disk:
        assert finished(command(disk, *SHORT), tmp_path / "log") == 1
        [said] = lines(tmp_path / "log")
        assert said.startswith(f"metarec: error: {disk}/checkpoints/")
        assert "No space left on device" in said
        kept = [path for path in disk.rglob("*.ckpt") if checkpoint.read(path)]
        assert kept
        assert not leftovers(disk)


@pytest.mark.fault("disk-full")
def test_a_run_goes_on_when_there_is_space_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1500k") as disk:
        assert finished(command(disk, *SHORT), tmp_path / "log") == 1
        shutil.copytree(disk, tmp_path / "larger")
    given = command(tmp_path / "larger", *SHORT, "--resume=true")
    assert finished(given, tmp_path / "log") == 0
    assert checkpoint.read(tmp_path / "larger" / "checkpoints" / "last.ckpt")["epoch"] == 12


def refused(given: Sequence[str], log: Path, folder: Path) -> None:
    assert finished(given, log) == 2
    [said] = lines(log)
    assert said.startswith(f"metarec: error: trainer.default_root_dir {folder}: cannot be ")
    assert said.endswith("; name a folder that can")
    assert "engine" not in log.read_text()  # which training begins with


@pytest.mark.fault("read-only")
@pytest.mark.parametrize("inside", ["", "runs/first"])
def test_a_read_only_disk_is_refused_before_training(inside: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro") as disk:
        refused(command(disk / inside), tmp_path / "log", disk / inside)


@pytest.mark.fault("disk-full")
def test_a_disk_that_is_full_already_is_refused_before_training(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        (disk / "fill").write_bytes(bytes(64 * 1024))
        refused(command(disk), tmp_path / "log", disk)


@pytest.mark.fault("read-only")
def test_a_folder_that_is_not_ours_is_refused_before_training(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    given = command(folder)
    if os.geteuid() == 0:  # who may write anywhere, unless that is taken away
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv, or another user than root")
        given = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *given]
    assert given[-1].startswith("--trainer.default_root_dir")
    assert sys.executable in given
    refused(given, tmp_path / "log", folder)
