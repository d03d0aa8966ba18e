"""A fit that is killed anywhere and resumed ends as one that is not, to the last bit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metarec.callbacks import LearningCurve
from metarec.data.ratings import Ratings
from metarec.epoch_log import EpochLog
from metarec.saving import KeepLast
from tests.faults.killed import MOMENTS, SETTINGS, CutAt, differences, fitted, killed_everywhere

Record = Callable[[str, object], None]


@pytest.mark.fault("killed")
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_once_at_each_moment(moment: str, ratings: Ratings, tmp_path: Path, record_property: Record) -> None:
    """One place each, inside the second epoch or near it; the slow test below takes every one."""
    setting = SETTINGS["accumulated over validation"]
    count, odd = killed_everywhere(ratings, tmp_path, setting, moment, lambda count: [count // 2 + 1])
    record_property("injected", count)
    assert odd == []


@pytest.mark.fault("killed")
@pytest.mark.parametrize("setting", SETTINGS)
def test_killed_once_in_each_setting(setting: str, ratings: Ratings, tmp_path: Path, record_property: Record) -> None:
    count, odd = killed_everywhere(ratings, tmp_path, SETTINGS[setting], MOMENTS[0], lambda count: [2 * count // 3])
    record_property("injected", count)
    assert odd == []


@pytest.mark.fault("killed")
@pytest.mark.parametrize("setting", ["plain", "stopped early"])
def test_killed_when_training_has_ended(setting: str, ratings: Ratings, tmp_path: Path) -> None:
    """As in the test that follows it: nothing is trained again, and the weights are the averaged ones."""
    batches: list[list[int]] = []
    whole, again = (fitted(ratings, tmp_path, SETTINGS[setting], CutAt(MOMENTS[0], None, batches)) for _ in range(2))
    assert [name for name in differences(whole, again) if not name.startswith("metric ")] == []


@pytest.mark.fault("killed")
@pytest.mark.parametrize("left_out", ["epoch_log", "metrics", "rows"])
@pytest.mark.usefixtures("control")
def test_what_is_not_restored_is_seen(
    left_out: str, ratings: Ratings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison sees each part of the state that a checkpoint could lack."""
    if left_out == "epoch_log":
        monkeypatch.setattr(EpochLog, "load", lambda *_: None)
    elif left_out == "metrics":
        monkeypatch.setattr(KeepLast, "load_state_dict", lambda *_: None)
    else:
        monkeypatch.setattr(LearningCurve, "load_state_dict", lambda *_: None)
    setting = SETTINGS["plain" if left_out == "rows" else "every second epoch"]
    _, odd = killed_everywhere(ratings, tmp_path, setting, MOMENTS[0], lambda count: [count - 1])
    assert odd


EVERYWHERE = [("accumulated over validation", moment) for moment in MOMENTS]
EVERYWHERE += [(setting, MOMENTS[0]) for setting in SETTINGS if setting != EVERYWHERE[0][0]]
"""The setting with most states at every moment, the others at every step."""


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.fault("killed")
@pytest.mark.parametrize(("setting", "moment"), EVERYWHERE)
def test_killed_at_every_moment(
    setting: str, moment: str, ratings: Ratings, tmp_path: Path, record_property: Record
) -> None:
    count, odd = killed_everywhere(ratings, tmp_path, SETTINGS[setting], moment, lambda count: range(1, count + 1))
    record_property("injected", count)
    assert odd == []
