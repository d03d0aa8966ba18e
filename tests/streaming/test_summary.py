"""What `stream.json` says, by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec.streaming.figures import draw
from metarec.streaming.summary import Curves, curve, errors, modes_of, summary

DAY = 86_400
START = 946_684_800  # 1 January 2000


def table() -> pd.DataFrame:
    """Two users; zero-shot always says 3, reset is right from the second event on."""
    return pd.DataFrame(
        {
            "time": START + DAY * np.array([0, 1, 30, 31, 32]),
            "user": ["a", "b", "a", "a", "b"],
            "item": ["x", "x", "y", "z", "z"],
            "seen": [0, 0, 1, 2, 1],
            "rating": np.array([5, 4, 1, 3, 5], dtype=np.float32),
            "zero_shot": np.full(5, 3.0, dtype=np.float32),
            "reset": np.array([3, 3, 1, 3, 5], dtype=np.float32),
        }
    )


def test_modes_and_errors() -> None:
    assert modes_of(table()) == ["zero_shot", "reset"]
    assert errors(table(), "zero_shot").tolist() == [2, 1, 2, 0, 2]
    assert errors(table(), "reset", "squared").tolist() == [4, 1, 0, 0, 0]


def test_summary_by_hand() -> None:
    found = summary(table(), START + DAY, Curves(window=2, fading=0.5))
    assert (found["events"], found["users"], found["later_than_training"]) == (5, 2, 3)
    overall = found["modes"]["reset"]
    assert overall["mae"] == pytest.approx(3 / 5)
    assert overall["rmse"] == pytest.approx(1.0)
    assert overall["user_mae"]["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert list(overall["user_mae_less"]) == ["zero_shot"]
    assert overall["user_mae_less"]["zero_shot"]["mean"] == pytest.approx((2 / 3 - 4 / 3 + 1 / 2 - 3 / 2) / 2)
    assert found["curves"]["event"] == [1, 2, 3, 4, 5]
    assert found["curves"]["zero_shot"]["windowed_mae"] == [2, 1.5, 1.5, 1, 1]
    assert found["curves"]["reset"]["windowed_rmse"] == pytest.approx([2, 2.5**0.5, 0.5**0.5, 0, 0], abs=1e-5)
    assert found["curves"]["reset"]["fading_mae"][:2] == pytest.approx([2, (1 + 0.5 * 2) / 1.5], abs=1e-5)
    by_seen = {row["seen"]: row for row in found["by_seen"]["zero_shot"]}
    assert list(by_seen) == ["0", "1", "2"]
    assert (by_seen["0"]["mean"], by_seen["0"]["users"], by_seen["0"]["events"]) == (1.5, 2, 2)
    assert (by_seen["2"]["mean"], by_seen["2"]["users"]) == (0, 1)
    months = found["by_month"]
    assert [(row["month"], row["age"], row["events"]) for row in months] == [("2000-01", 0, 3), ("2000-02", 1, 2)]
    assert months[0]["zero_shot"]["mae"] == pytest.approx(5 / 3)
    assert months[1]["zero_shot"]["rmse"] == pytest.approx(2**0.5)
    json.dumps(found, allow_nan=False)


def test_times_that_are_ranks_fall_into_no_month() -> None:
    ranks = table().assign(time=[1, 2, 3, 4, 5])
    assert summary(ranks, 2)["by_month"] is None


def test_long_curves_are_thinned_and_end_with_the_last_event() -> None:
    long = pd.concat([table()] * 200, ignore_index=True)
    found = summary(long, START, Curves(window=10, fading=0.9))["curves"]
    assert len(found["event"]) == 200
    assert (found["event"][0], found["event"][-1]) == (1, 1000)
    whole = curve(long, "reset", Curves(10, 0.9))["fading_mae"]
    assert found["reset"]["fading_mae"][-1] == pytest.approx(whole[-1], abs=1e-5)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for number, events in enumerate((table(), table().assign(time=[1, 2, 3, 4, 5]))):
        path = tmp_path / f"{number}.png"
        assert draw(events, summary(events, START), Curves(2, 0.5), path)
        assert path.read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2
