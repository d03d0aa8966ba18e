"""No secret of environment, code or git comes into any file of a run, whatever W&B is told to save."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.conftest import SECRETS
from tests.tracking.read import FOMAML, TINY, contents, read

ROOT = Path.cwd()


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a token in its remote's address, and secrets in changed and in untracked files."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "settings.py").write_text("KEY = None\n")
    git("init", "-q")
    git("remote", "add", "origin", "https://someone:canary3remote@example.com/it.git")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("branch", "-q", "--set-upstream-to=origin/main")
    (folder / "settings.py").write_text("KEY = 'canary4changed'\n")
    (folder / ".env").write_text("KEY=canary5untracked\n")
    code = ["KEY = 'canary6code'", "import sys", "from metarec import cli", "cli.main(sys.argv[1:])"]
    (folder / "main.py").write_text("\n".join(code))
    return folder


@pytest.mark.slow
def test_canaries_of_environment_git_and_code(repository: Path) -> None:
    options = [option.replace("configs/", f"{ROOT}/configs/") for option in [*TINY, FOMAML]]
    more = ["--then_test=true", "--trainer.default_root_dir=run", "--trainer.max_epochs=1"]
    surroundings = {
        **os.environ,
        **SECRETS,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "WANDB_SAVE_CODE": "true",
        "HOME": str(repository.parent / "home"),
    }
    command = [sys.executable, "main.py", "fit", *options, *more]
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    assert done.returncode == 0, done.stderr
    [found] = read(repository / "run")
    assert ("predictions", f"predictions-{found.run.run_id}", "made") in found.lineage
    left = [*(repository / "run").rglob("*"), *(repository.parent / "home").rglob("*")]
    everything = contents(left) + (done.stdout + done.stderr).encode()
    assert b"synthetic" in everything
    assert b"canary" not in everything
    assert {path.name for path in repository.iterdir()} == {".git", ".env", "main.py", "settings.py", "run"}
