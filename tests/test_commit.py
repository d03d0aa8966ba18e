"""Which commit a run notes, on repositories made for it."""

import subprocess
from pathlib import Path

import pytest

from metarec import commit as module
from metarec.commit import commit


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def code(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "tag", "-am", "a name that would hide the digits", "v1")
    return tmp_path / "code.py"


def test_the_commit(code: Path) -> None:
    assert commit(code) == git(code.parent, "rev-parse", "HEAD").strip()


def test_changes_are_marked_and_new_files_are_none(code: Path) -> None:
    (code.parent / "new.py").write_text("2\n")
    assert not str(commit(code)).endswith("+")
    code.write_text("3\n")
    assert commit(code) == git(code.parent, "rev-parse", "HEAD").strip() + "+"


def test_a_repository_that_does_not_hold_the_code_is_not_its_own(code: Path) -> None:
    installed = code.parent / "env" / "code.py"
    installed.parent.mkdir()
    installed.write_text("1\n")
    assert commit(installed) is None


def test_no_repository_and_no_git(tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nothing"))
    assert commit(code) is None
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.setenv("PATH", "")
    assert commit(code) is None


def test_the_default_is_the_code_itself() -> None:
    assert commit() == commit(Path(module.__file__))
