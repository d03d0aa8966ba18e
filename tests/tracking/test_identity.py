"""Which W&B run a folder is."""

from pathlib import Path

import pytest

from metarec.tracking.identity import FILE, note, run_id, who


def test_the_same_thing_in_a_folder_is_the_same_run(tmp_path: Path) -> None:
    one, two = {"seed": 0, "model": {"lr": 0.1}}, {"seed": 1, "model": {"lr": 0.1}}
    first, second = run_id(tmp_path, one), run_id(tmp_path, two)
    assert first != second
    assert run_id(tmp_path, {"model": {"lr": 0.1}, "seed": 0}) == first
    assert run_id(tmp_path, two) == second
    assert run_id(tmp_path / "other", one) not in (first, second)
    assert len(first) == 8


def test_a_folder_that_is_moved_stays_the_run(tmp_path: Path) -> None:
    first = run_id(tmp_path / "old", 1)
    (tmp_path / "old").rename(tmp_path / "new")
    assert run_id(tmp_path / "new", 1) == first


@pytest.mark.parametrize("content", [None, "", "[1]", "{"])
def test_a_spoilt_file_is_written_anew(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)
    assert who(tmp_path, "trained") is None
    note(tmp_path, "trained", "abc")
    note(tmp_path, "tested", "def")
    assert run_id(tmp_path, 1) == run_id(tmp_path, 1)
    assert (who(tmp_path, "trained"), who(tmp_path, "tested")) == ("abc", "def")
