"""`metarec sync`: which runs are handed to `wandb sync`, and what is said where there is no account."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from metarec import cli
from tests.tracking.test_offline import run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two new runs, one uploaded before and one that may be running, below the results of an experiment."""
    results = tmp_path / "results" / "mine"
    run(results / "maml" / "seed-0", "offline-run-20260102_000000-a", True)
    run(results / "maml" / "seed-0", "offline-run-20260101_000000-a", True)
    run(results / "other" / "seed-0", "offline-run-20260103_000000-b", True).with_suffix(".wandb.synced").touch()
    run(results / "other" / "seed-1", "offline-run-20260104_000000-c", False)
    (tmp_path / "mine.yaml").touch()
    return results


class Calls(list):
    """Stands for `subprocess.run`, and for a `wandb sync` that uploads all but some."""

    def __init__(self, but: str = "none") -> None:
        self.but = but

    def __call__(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.append((command, options))
        for folder in command[4:]:
            if self.but not in folder:
                (Path(folder) / "run-a.wandb.synced").touch()
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "local-" + "0" * 40)


@pytest.mark.usefixtures("account")
def test_new_runs_go_to_wandb_in_one_call(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = Calls()
    monkeypatch.setattr("metarec.tracking.sync.subprocess", SimpleNamespace(run=calls))
    monkeypatch.setenv("WANDB_MODE", "offline")
    cli.main(["sync", str(results.parents[1] / "mine.yaml")])
    [(command, options)] = calls
    folder = results / "maml" / "seed-0" / "wandb"
    expected = [str(folder / f"offline-run-2026010{day}_000000-a") for day in (1, 2)]
    assert command == [sys.executable, "-m", "wandb", "sync", *expected]
    assert "WANDB_MODE" not in options["env"]
    assert options["env"]["WANDB_DIR"] == str(folder.parent)
    assert options["env"]["WANDB_API_KEY"]
    said = capsys.readouterr().out
    assert said.splitlines() == ["1 skipped, uploaded before", "1 skipped, perhaps still running", "2 of 2 uploaded"]
    cli.main(["sync", str(results)])
    assert len(calls) == 1
    assert "0 to upload" in capsys.readouterr().out


@pytest.mark.usefixtures("account")
def test_what_is_not_uploaded_is_named(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("metarec.tracking.sync.subprocess", SimpleNamespace(run=Calls(but="20260101")))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sync", str(results)])
    out, err = capsys.readouterr()
    assert stopped.value.code == 1
    assert "1 of 2 uploaded" in out
    assert "offline-run-20260101_000000-a" in err
    assert "20260102" not in err


def test_a_dry_run_needs_no_account(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["sync", str(results), str(results / "maml"), "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "2 to upload"
    assert [line[-17:] for line in lines[3:]] == ["20260101_000000-a", "20260102_000000-a"]


def test_wandb_itself_finds_the_same_runs(results: Path) -> None:
    """The command that is called is one that wandb has: a dry run of its own, which needs no account either."""
    command = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(results / "maml" / "seed-0" / "wandb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=results, check=False)
    assert done.returncode == 0
    assert "Would sync 2 run(s)" in done.stdout + done.stderr


def test_without_account_or_runs_there_is_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = results.parent / "empty"
    empty.mkdir()
    cures = {
        str(results): "uploading 2 runs needs a Weights & Biases account; run `wandb login`, or set WANDB_API_KEY",
        str(empty): "no offline run of Weights & Biases below it; add -c configs/logger/wandb.yaml",
        str(results / "nowhere"): "no folder; give run folders",
    }
    for path, cure in cures.items():
        with pytest.raises(SystemExit) as stopped:
            cli.main(["sync", path])
        assert stopped.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        assert cure in line
