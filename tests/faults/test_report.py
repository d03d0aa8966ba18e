"""The table of faults counts what was injected, and no fault of the catalogue is without a test."""

import re
from pathlib import Path

import pytest

from tests.faults.catalogue import CATALOGUE

TESTS = """
import pytest

@pytest.mark.fault("value")
@pytest.mark.parametrize("number", range(4))
def test_survived(number):
    assert number < 3

@pytest.mark.fault("killed")
def test_many(record_property):
    record_property("injected", 20)

@pytest.mark.fault("killed")
@pytest.mark.usefixtures("control")
def test_sound():
    pass

@pytest.mark.fault("empty")
def test_skipped():
    pytest.skip("no such disk")

@pytest.fixture
def broken():
    raise OSError("not there")

@pytest.mark.fault("times")
def test_broken(broken):
    pass
"""
pytest_plugins = ["pytester"]


def test_every_fault_has_a_test_and_every_marker_a_fault() -> None:
    files = [path for path in Path("tests").rglob("*.py") if path.name != "test_report.py"]
    marked = re.findall(r'mark\.fault\("([\w-]+)"\)', "".join(path.read_text() for path in files))
    assert set(marked) == set(CATALOGUE)


def test_the_table_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.makeini("[pytest]\nmarkers = fault(key): of the catalogue")
    into = pytester.path / "README.md"
    into.write_text("<!-- begin faults -->\n<!-- end faults -->\n")
    done = pytester.runpytest("-p", "tests.faults.report", "-m", "fault", f"--faults-into={into}")
    done.assert_outcomes(passed=5, failed=1, skipped=1, errors=1)
    text = into.read_text()
    assert "| off the scale" not in text
    assert re.search(r"off the scale \|[^|]*\| 4 \| 3 \|", text)
    assert re.search(r"SIGKILL at any step \|[^|]*\| 20 \| 20 \|", text)
    assert re.search(r"header alone \|[^|]*\| 0 \(1 skipped\) \| 0 \|", text)
    assert re.search(r"milliseconds \|[^|]*\| 1 \| 0 \|", text)
    assert "| | all | | 25 | 23 |" in text
    assert "| | all | | 25 | 23 |" in done.stdout.str()
