"""A cache of its own for each test, and what sees that a refusal is one line and leaves nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metarec.data.terms import TERMS
from metarec.errors import InputError
from tests.data.sets.all_sources import Source


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that remembers that all terms of use were shown, which a source does before it reads."""
    folder = tmp_path / "cache"
    for name in TERMS:
        (folder / name).mkdir(parents=True)
        (folder / name / "licence-shown").touch()
    monkeypatch.setenv("METAREC_CACHE", str(folder))
    return folder


@pytest.fixture
def refused(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Reads a source with a bad file, or a bad path, and gives the line that refuses it.

    It sees that this is one line, that nothing else was said, and that nothing was written.
    """

    def reading(source: Source, content: bytes, file: str | None = None) -> str:
        return of_path(source, source.write(tmp_path / "set", {file or source.file: content}))

    def of_path(source: Source, folder: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError) as error:
            source.read(folder)
        line = str(error.value)
        assert "\n" not in line
        assert len(line) < 600
        assert sorted(tmp_path.rglob("*")) == before
        assert not caplog.records
        assert capfd.readouterr() == ("", "")
        return line

    reading.of_path = of_path  # type: ignore[attr-defined]
    return reading
