"""A fit that is killed anywhere and resumed ends as one that is not, to the last bit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metarec.data.ratings import Ratings
from tests.faults.killed import MOMENTS, SETTINGS, killed_everywhere

Record = Callable[[str, object], None]


@pytest.mark.fault("killed")
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_once_at_each_moment(moment: str, ratings: Ratings, tmp_path: Path, record_property: Record) -> None:
    """One place each, inside the second epoch or near it; the slow test below takes every one."""
    setting = SETTINGS["accumulated over validation"]
    count, odd = killed_everywhere(ratings, tmp_path, setting, moment, lambda count: [count // 2 + 1])
    record_property("injected", count)
    assert odd == []


@pytest.mark.slow
@pytest.mark.fault("killed")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_every_moment(
    setting: str, moment: str, ratings: Ratings, tmp_path: Path, record_property: Record
) -> None:
    count, odd = killed_everywhere(ratings, tmp_path, SETTINGS[setting], moment, lambda count: range(1, count + 1))
    record_property("injected", count)
    assert odd == []
