"""No secret of environment, code or git comes into any file or line of output, whatever is run and however it ends."""

import base64
import gzip
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from tests.tracking.conftest import SECRETS
from tests.tracking.forms import holding, read_all, unpacked
from tests.tracking.read import ALLOWED, FOMAML, TINY, read

ROOT = Path.cwd()
WORD = b"canary"
"""What every secret here has in it."""

HIDDEN = {
    **SECRETS,
    "MY_TOKEN": "canary-token",
    "GITHUB_TOKEN": "ghp_canary",
    "DATABASE_URL": "postgres://someone:canary-database@localhost/it",
    "HTTP_PROXY": "http://someone:canary-proxy@127.0.0.1:9",
    "HTTPS_PROXY": "http://someone:canary-proxy@127.0.0.1:9",
    "PIP_INDEX_URL": "https://someone:canary-index@127.0.0.1:9/simple",
    "PIP_RETRIES": "0",
    "WANDB_INIT_TIMEOUT": "3",
    "WANDB_SAVE_CODE": "true",
    "WANDB_CONSOLE": "wrap",
}
ONE = [option for option in [*TINY, FOMAML, "--trainer.max_epochs=1"] if option != "--trainer.max_epochs=2"]
TOLD = [option.replace("configs/", f"{ROOT}/configs/") for option in ONE]
OPTIONS = [option for option in TOLD if option.startswith("--") and option != ALLOWED]
EXPERIMENT = f"""
shows: A table.
layers: [{", ".join(option.removeprefix("-c=") for option in TOLD if option.startswith("-c="))}]
reference: fomaml
metrics: [mae]
seeds: [0]
options:
{chr(10).join("  " + option.removeprefix("--").replace("=", ": ", 1) for option in OPTIONS)}
methods:
  fomaml: {{}}
"""
CALLS = {
    "run": (0, ["run", "mine.yaml", ALLOWED]),
    "table": (0, ["table", "mine.yaml", "--track"]),
    "report": (0, ["report", "mine.yaml", "--into", "page.html"]),
    "dashboard": (0, ["dashboard", "mine.yaml", "--into", "dashboard"]),
    "fit": (
        0,
        [
            "fit",
            *TOLD,
            "--then_test=true",
            "--trainer.default_root_dir=fit",
            "--trainer.logger.init_args.offline=false",
        ],
    ),
    "crash": (1, ["fit", *TOLD, "--trainer.default_root_dir=crash", "--trainer.callbacks+=tests.tracking.crash.Crash"]),
    "refused": (2, ["fit", *TOLD, "--trainer.default_root_dir=refused", "--trainer.max_epoch=1"]),
    "print_config": (0, ["fit", *TOLD, "--print_config"]),
    "fetch": (2, ["data", "movielens-100k"]),
    "doctor": (None, ["doctor"]),
}
"""Exit code (null: any) and command line of what is called, in this order."""


class Left(NamedTuple):
    """What the calls left: the folder that all lies in, and what each printed."""

    folder: Path
    printed: dict[str, str]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def checkout(folder: Path) -> None:
    """A checkout with a token in its remote's address, and secrets in changed and in untracked files."""
    folder.mkdir()
    (folder / "settings.py").write_text("KEY = None\n")
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "https://someone:canary3remote@example.com/it.git")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "branch", "-q", "--set-upstream-to=origin/main")
    (folder / "settings.py").write_text("KEY = 'canary4changed'\n")
    (folder / ".env").write_text("KEY=canary5untracked\n")
    code = ["KEY = 'canary6code'", "from metarec import cli", "if __name__ == '__main__':", "    cli.main()"]
    (folder / "main.py").write_text("\n".join(code))
    (folder / "mine.yaml").write_text(EXPERIMENT)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Everything that metarec does, done while there are secrets all about."""
    above = tmp_path_factory.mktemp("secrets")
    folder = above / "checkout"
    checkout(folder)
    (above / "tmp").mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "METAREC"))}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {"PYTHONPATH": path, "HOME": str(above / "home"), "TMPDIR": str(above / "tmp")}
    printed = {}
    for name, (code, arguments) in CALLS.items():
        command = [sys.executable, "main.py", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env={**plain, **HIDDEN, **own}, check=False
        )
        printed[name] = done.stdout + done.stderr
        assert code in (None, done.returncode), printed[name]
    return Left(above, printed)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.fault("secret")
@pytest.mark.parametrize("call", CALLS)
def test_nothing_printed_holds_a_secret(call: str, left: Left) -> None:
    assert holding(WORD, left.printed[call].encode()) == []
    said = {"crash": "a crash", "refused": "did you mean trainer.max_epochs", "fetch": "no source serves"}
    said |= {"fit": "Weights & Biases is offline", "print_config": "seed_everything", "doctor": "packages"}
    assert said.get(call, "") in left.printed[call]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.fault("secret")
def test_no_file_left_holds_a_secret(left: Left, record_property: Callable[[str, object], None]) -> None:
    record_property("injected", len(HIDDEN))
    own = {left.folder / "checkout" / name for name in ("main.py", "settings.py", ".env")}
    files = [path for path in left.folder.rglob("*") if path.is_file() and path not in own and ".git" not in path.parts]
    kinds = {path.suffix for path in files}
    assert {".wandb", ".ckpt", ".parquet", ".json", ".yaml", ".html", ".log"} <= kinds
    found = {str(path): forms for path in files if (forms := holding(WORD, read_all(path)))}
    assert found == {}


@pytest.mark.slow
@pytest.mark.long
def test_all_of_it_was_recorded(left: Left) -> None:
    """What was looked through is what W&B would upload: configuration, artifacts, console."""
    [fit] = read(left.folder / "checkout" / "fit")
    assert ("predictions", f"predictions-{fit.run.run_id}", "made") in fit.lineage
    assert fit.config["model"]["algorithm"]["class_path"]
    assert (left.folder / "checkout" / "page.html").exists()
    assert {path.name for path in (left.folder / "checkout" / "dashboard").iterdir()} >= {"workspace.json"}
    assert "a crash" in (left.printed["crash"])


def test_a_secret_is_found_in_whatever_form(tmp_path: Path) -> None:
    for before in range(3):
        told = base64.b64encode(b"x" * before + b"a canary sings")
        assert holding(WORD, told), before
    assert holding(WORD, b"..63616e617279..")
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", gzip.compress(WORD * 3))
    assert holding(WORD, b"\n".join(unpacked((tmp_path / "a.ckpt").read_bytes())))
    pd.DataFrame({"a": ["canary"] * 100}).to_parquet(tmp_path / "a.parquet", compression="zstd")
    assert holding(WORD, read_all(tmp_path / "a.parquet"))
    assert not holding(WORD, b"nothing of the kind")
