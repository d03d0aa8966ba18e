"""Where the real data sets lie, for the tests that read them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real() -> Callable[[str], str]:
    """Gives the folder of a data set, or skips the test."""
    folder = os.environ.get("METAREC_DATA")

    def find(name: str) -> str:
        if not folder or not (Path(folder) / name).is_dir():
            pytest.skip(f"real data: set METAREC_DATA to a folder that holds {name}/")
        return str(Path(folder) / name)

    return find
