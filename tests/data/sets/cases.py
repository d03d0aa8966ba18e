"""Tests over all sources, over their files, over their columns."""

from collections.abc import Callable, Sequence

import pytest

from tests.data.sets.all_sources import SOURCES, Source

FAULTY = {name: source for name, source in SOURCES.items() if not source.twin}
"""Those that faults are tried with."""


def sources(wanted: Callable[[Source], bool] = lambda source: True) -> pytest.MarkDecorator:
    """Run a test over the sources that can have what it is about."""
    found = {name: source for name, source in FAULTY.items() if wanted(source)}
    return pytest.mark.parametrize("source", found.values(), ids=found)


def files(wanted: Callable[[Source, str], bool] = lambda source, file: True) -> pytest.MarkDecorator:
    """Run a test over the files of all sources that can have what it is about."""
    every = [(name, source, file) for name, source in FAULTY.items() for file in source.files]
    cases = [pytest.param(source, file, id=f"{name}-{file}") for name, source, file in every if wanted(source, file)]
    return pytest.mark.parametrize(("source", "file"), cases)


def cells(columns: Sequence[str], wanted: Callable[[Source, str], bool]) -> pytest.MarkDecorator:
    """Run a test over columns of sources that have them."""
    every = [(name, source, column) for name, source in FAULTY.items() for column in columns if source.has(column)]
    cases = [
        pytest.param(source, column, id=f"{name}-{column}") for name, source, column in every if wanted(source, column)
    ]
    return pytest.mark.parametrize(("source", "column"), cases)
