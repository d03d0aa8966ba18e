"""A pytest plugin that counts what tests of the catalogue injected and what was survived, and prints the table.

``pytest tests -m fault --faults-into=README.md`` also writes the table into a file.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metarec.files import replace_block
from tests.faults.catalogue import CATALOGUE

INJECTED = "injected"
"""Property of a test: how often it injected its fault, where that is not once."""


@pytest.fixture
def control(record_property: Callable[[str, object], None]) -> None:
    """For a test among those of a fault that injects none itself: what is sound has to pass, too."""
    record_property(INJECTED, 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-into", metavar="FILE", help="write the table of faults into this file")


class Report:
    """Counts by fault: times injected, survived, and tests that were skipped."""

    def __init__(self) -> None:
        self.injected: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:
        """Count a test when it is over; one that fails while it is set up was injected and not survived."""
        made = yield
        keys = [mark.args[0] for mark in item.iter_markers("fault")]
        over = made.when == "call" or (made.when == "setup" and not made.passed)
        times = dict(item.user_properties).get(INJECTED, 1)
        for key in keys if over else ():
            if made.skipped:
                self.skipped[key] += 1
            else:
                self.injected[key] += times
                self.survived[key] += times if made.passed else 0
        return made

    def table(self) -> str:
        """The table in Markdown."""
        lines = ["| | fault | what must happen | injected | survived |", "| --- | --- | --- | ---: | ---: |"]
        section = ""
        for key, fault in CATALOGUE.items():
            left = f" ({self.skipped[key]} skipped)" if self.skipped[key] else ""
            name = fault.section if fault.section != section else ""
            section = fault.section
            lines.append(
                f"| {name} | {fault.done} | {fault.must} | {self.injected[key]:,}{left} | {self.survived[key]:,} |"
            )
        total = f"| {self.injected.total():,} | {self.survived.total():,} |"
        return "\n".join([*lines, f"| | all | {total}"])

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Print the table, where the catalogue was asked for; write it, if asked to."""
        if config.option.markexpr != "fault":
            return
        terminalreporter.write_line(self.table())
        if config.option.faults_into:
            replace_block(Path(config.option.faults_into), "faults", self.table())


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Report(), "faults-report")
