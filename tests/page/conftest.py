from pathlib import Path

import pytest

from metarec.page.document import page
from metarec.plots.runs import Runs
from tests.plots.made import EXPERIMENT, YAML, write_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(EXPERIMENT, write_runs(tmp_path_factory.mktemp("results")))


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment file."""
    path = tmp_path_factory.mktemp("experiments") / "made-up.yaml"
    path.write_text(YAML)
    return path


@pytest.fixture(scope="session")
def html(runs: Runs, file: Path) -> str:
    """The page."""
    return page({"": runs}, file, odd={"": ["maml"]}, options=f"--results {runs.results}")
