"""Worlds in which the doctor is called."""

from pathlib import Path

import pytest

from tests.doctor.world import NEEDS, World, bare_python


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("bare") / "python")


@pytest.fixture
def empty(bare: Path, tmp_path: Path) -> World:
    """One with no package at all."""
    return World(bare, tmp_path)


@pytest.fixture
def world(empty: World) -> World:
    """One where all packages are there, and do nothing."""
    for one in NEEDS:
        empty.install(one)
    return empty
