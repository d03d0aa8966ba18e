from pathlib import Path

import pytest

from metarec.plots.runs import Runs
from tests.plots.made import EXPERIMENT, write_runs


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs; not to be changed."""
    return write_runs(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def runs(made: Path) -> Runs:
    return Runs(EXPERIMENT, made)
