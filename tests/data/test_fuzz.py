"""Anything at all as a file, to every parser: it is read, or refused in one line, and neither takes long."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarec.data.terms import TERMS
from tests.data.sets.all_sources import SOURCES
from tests.fuzz.mutations import WAYS, spoiled
from tests.fuzz.parsers import parsers, tried

NAMES = [name for name, source in SOURCES.items() if not source.twin] + ["yaml", "archive"]
STEPS = st.lists(st.tuples(st.integers(0, len(WAYS) - 1), st.integers(0, 2**16), st.integers(0, 2**10)), max_size=4)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TERMS:
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "licence-shown").touch()
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))


def fuzz(name: str, folder: Path, examples: int) -> int:
    """Try so many spoiled files, at least; how many it were."""
    parser = parsers(folder)[name]
    count = 0

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(file=st.sampled_from(sorted(parser.files)), steps=STEPS, junk=st.none() | st.binary(max_size=200))
    def one(file: str, steps: list[tuple[int, int, int]], junk: bytes | None) -> None:
        nonlocal count
        count += 1
        content = parser.files[file] if junk is None or count % 8 else junk
        tried(parser, folder / "set", file, spoiled(content, steps))

    one()
    return count


@pytest.mark.fault("fuzz")
@pytest.mark.parametrize("name", NAMES)
def test_any_file_is_read_or_refused(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("injected", fuzz(name, tmp_path, 30))


@pytest.mark.slow
@pytest.mark.fault("fuzz")
@pytest.mark.parametrize("name", NAMES)
def test_many_files_are_read_or_refused(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("injected", fuzz(name, tmp_path, 300))


@pytest.mark.slow
@pytest.mark.fault("fuzz")
def test_the_guided_fuzzing_runs(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Five seconds each; `make fuzz` takes a minute each, of all parsers."""
    pytest.importorskip("atheris")
    names = ["100k", "recbole-atomic", "csv", "archive"]
    command = [sys.executable, "-m", "tests.fuzz.harness", *names, "--seconds=5", f"--keep={tmp_path / 'kept'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    inputs = [int(count) for count in re.findall(r": (\d+) inputs", done.stdout)]
    assert len(inputs) == len(names)
    assert min(inputs) > 0
    record_property("injected", sum(inputs))
