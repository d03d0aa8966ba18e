"""A data set that is kept is read once, split once, and saved under its own name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarec import configured, training
from metarec.data import shared
from metarec.data.scenario import Scenario
from metarec.data.splits import UserCold


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of a run on a file of its own; nothing is kept yet, and nothing afterwards."""
    monkeypatch.setattr(shared, "_RATINGS", {})
    monkeypatch.setattr(shared, "_SPLITS", {})
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    lines = [f"u{user},i{item},{random.integers(1, 6)}" for user in range(30) for item in random.permutation(20)[:12]]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,rating", *lines, ""]))
    layers = ["configs/base.yaml", "configs/data/csv.yaml", "configs/scenario/user_cold.yaml"]
    layers += ["configs/baseline/item_mean.yaml"]
    options = {
        "data.ratings.init_args.path": tmp_path / "own.csv",
        "data.scenario.init_args.min_ratings": 8,
        "data.eval_support": 5,
        "trainer.default_root_dir": tmp_path / "run",
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
    }
    return [f"-c={layer}" for layer in layers] + [f"--{name}={value}" for name, value in options.items()]


def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each split that is made from here on."""
    made: list[Any] = []
    whole = Scenario.__call__
    monkeypatch.setattr(Scenario, "__call__", lambda self, *args: made.append(self) or whole(self, *args))
    return made


def test_what_is_kept_is_neither_read_nor_split_again(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = configured.data_of(given)
    assert len(alone.split.train)
    made = calls(monkeypatch)
    configured.keep(training.parse(["test", *given])["data"])
    assert len(made) == 1
    (tmp_path / "own.csv").unlink()
    first, second = configured.data_of(given), configured.data_of([*given, "--data.batch_size=7"])
    assert first.given is second.given
    assert first.split is second.split
    assert len(made) == 1
    assert (first.ratings.digest, first.split.digest) == (alone.ratings.digest, alone.split.digest)
    assert first.test_digest == alone.test_digest
    other = configured.data_of([*given, "--data.scenario.init_args.seed=1"])
    assert other.given is first.given
    assert other.split.digest != first.split.digest
    assert len(made) == 2


def test_another_file_is_another_data_set(given: list[str], tmp_path: Path) -> None:
    configured.keep(training.parse(["test", *given])["data"])
    (tmp_path / "other.csv").write_bytes((tmp_path / "own.csv").read_bytes())
    other = configured.data_of([*given, f"--data.ratings.init_args.path={tmp_path / 'other.csv'}"])
    assert other.given is not configured.data_of(given).given


def test_a_run_saves_what_it_was_given(given: list[str], tmp_path: Path) -> None:
    saved = []
    for _ in range(2):
        training.run(["test", *given, "--verbose=false"])
        saved.append((tmp_path / "run" / "config.yaml").read_text())
        (tmp_path / "run" / "config.yaml").unlink()
        configured.keep(training.parse(["test", *given])["data"])
    assert saved[0] == saved[1]
    assert "csv_ratings" in saved[0]


def test_nothing_is_kept_in_an_ordinary_process(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = calls(monkeypatch)
    for _ in range(2):
        assert len(configured.data_of(given).split.train)
    assert len(made) == 2


def test_a_scenario_of_another_kind_has_another_split(given: list[str]) -> None:
    class Other(UserCold):
        pass

    ratings = configured.data_of(given).given
    mine, other = UserCold(min_ratings=8), Other(min_ratings=8)
    shared.keep({"class_path": "x"}, ratings, mine, "users")
    assert shared.split_of(UserCold(min_ratings=8), ratings, "users") is shared.split_of(mine, ratings, "users")
    assert shared.split_of(other, ratings, "users") is not shared.split_of(mine, ratings, "users")
    assert shared._division(mine, ratings, "items") != shared._division(mine, ratings, "users")
