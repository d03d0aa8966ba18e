"""Data of one user, of one item, of equal ratings, or in another order of rows, through the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import cli

BASELINE = ["base", "data/csv", "scenario/user_cold", "baseline/item_mean"]
MAML = ["base", "data/csv", "scenario/user_cold", "net/neumf", "algorithm/maml"]
MODELS = pytest.mark.parametrize("layers", [BASELINE, MAML], ids=["item_mean", "maml"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))


def written(folder: Path, users: int, items: int, constant: int | None = None) -> pd.DataFrame:
    """Ratings of each user of all items, or of 20 of them."""
    random = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", constant or random.integers(1, 6), random.integers(10**9))
        for user in range(users)
        for item in random.permutation(items)[:20]
    ]
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "time"])
    frame.to_csv(folder / "own.csv", index=False)
    return frame


def judged(folder: Path, layers: list[str], *options: str) -> dict:
    """What a test leaves behind, after an epoch of training where there is something to train."""
    arguments = [part for layer in layers for part in ("-c", f"configs/{layer}.yaml")]
    arguments += [f"--data.ratings.init_args.path={folder / 'own.csv'}", "--data.ratings.init_args.time=time"]
    arguments += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    if layers is MAML:
        arguments += ["--model.net.init_args.user_features=[]", "--model.net.init_args.item_features=[]"]
        arguments += ["--trainer.max_epochs=1", "--then_test=true"]
    command = "fit" if layers is MAML else "test"
    cli.main([command, *arguments, f"--trainer.default_root_dir={folder / 'run'}", *options])
    return json.loads((folder / "run" / "metrics.json").read_text())


@pytest.mark.fault("degenerate")
@pytest.mark.parametrize(
    ("size", "constant", "reason"),
    [
        ((1, 25), None, "the split leaves no val user"),
        ((30, 1), None, "the split leaves no train user (24 train users with too few ratings"),
        ((1, 1), 4, "every rating is 4, which tells no scale; give scale, such as [1, 5]"),
        ((30, 25), 4, "every rating is 4, which tells no scale; give scale, such as [1, 5]"),
    ],
)
@MODELS
def test_what_cannot_be_learned_from_says_why(
    tmp_path: Path,
    layers: list[str],
    size: tuple[int, int],
    constant: int | None,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written(tmp_path, *size, constant)
    with pytest.raises(SystemExit) as stopped:
        judged(tmp_path, layers)
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert reason in line
    assert not list((tmp_path / "run").rglob("*"))


@pytest.mark.fault("degenerate")
@MODELS
def test_equal_ratings_on_a_known_scale_are_learned(tmp_path: Path, layers: list[str]) -> None:
    written(tmp_path, 30, 25, constant=4)
    found = judged(tmp_path, layers, "--data.ratings.init_args.scale=[1, 5]")
    assert found["tasks"] == 3
    assert found["metrics"]["test/adapted/mae"] < 0.05
    assert found["metrics"]["test/adapted/ndcg_linear@5"] is None


@pytest.mark.fault("short-task")
@MODELS
def test_users_with_too_few_ratings_are_left_out_and_counted(tmp_path: Path, layers: list[str]) -> None:
    """No task is filled up: each has the support that was asked for, and the query set that is left."""
    frame = written(tmp_path, 30, 25)
    short = {f"u{user}" for user in range(0, 30, 3)}
    frame = frame[~frame["user"].isin(short) | (frame.groupby("user").cumcount() < 6)]
    frame.to_csv(tmp_path / "own.csv", index=False)
    scenario = ["train_min_ratings=10", "fractions=[0.4, 0.3, 0.3]"]
    found = judged(tmp_path, layers, *(f"--data.scenario.init_args.{option}" for option in scenario))
    assert sum(count for reason, count in found["split"]["left_out"].items() if "too few" in reason) == len(short)
    table = pd.read_parquet(tmp_path / "run" / "per_task.parquet")
    assert len(table) == found["tasks"] > 0
    assert not set(table["user"]) & short
    assert (table["support_size"] == 15).all()
    assert (table["support_size"] + table["query_size"] <= table["user"].map(frame["user"].value_counts())).all()


@pytest.mark.fault("permuted")
@pytest.mark.parametrize("order", ["random", "time"])
@MODELS
def test_rows_in_another_order_give_the_same_metrics(tmp_path: Path, layers: list[str], order: str) -> None:
    frame = written(tmp_path, 30, 25)
    found = []
    for seed in (None, 1, 2):
        rows = frame if seed is None else frame.sample(frac=1, random_state=seed)
        rows.to_csv(tmp_path / "own.csv", index=False)
        summary = judged(tmp_path, layers, f"--data.order={order}", "--seed_everything=7")
        found.append((summary["metrics"], summary["episodes"]["digest"]))
    assert found[0] == found[1] == found[2]
    assert found[0][0]["test/adapted/mae"] > 0.1
