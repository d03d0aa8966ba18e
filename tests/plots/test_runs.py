"""What figures and pages read from run folders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import learning
from metarec.errors import InputError
from metarec.plots.runs import Runs, gains, values
from tests.plots.made import EXPERIMENT, LEVELS, SEEDS, USERS, write_runs


def test_finished_and_unfinished(runs: Runs) -> None:
    assert runs.methods == list(LEVELS)
    assert runs.unfinished == ["absent"]
    assert set(runs.summaries) == {(method, seed) for method in LEVELS for seed in SEEDS}


def test_a_run_without_results_is_not_finished(tmp_path: Path) -> None:
    write_runs(tmp_path)
    (tmp_path / "maml" / "seed-1" / "metrics.json").unlink()
    found = Runs(EXPERIMENT, tmp_path)
    assert found.unfinished == ["maml", "absent"]
    assert ("maml", 0) in found.folders
    assert Runs(EXPERIMENT, tmp_path, [0]).unfinished == ["absent"]
    with pytest.raises(InputError, match="no finished run; run the experiment first"):
        Runs(EXPERIMENT, tmp_path / "elsewhere")


def test_users_are_means_over_draws(runs: Runs, made: Path) -> None:
    found = values(runs.users, "maml", "adapted/mae")
    assert found.shape == (len(SEEDS), USERS)
    table = pd.read_parquet(made / "maml" / "seed-1" / "per_task.parquet")
    names = sorted(table["user"].unique())
    own = table[table["user"] == "u7"]["adapted/mae"].mean()
    assert found[1, names.index("u7")] == pytest.approx(own)
    assert np.isnan(values(runs.users, "maml", "adapted/ndcg_exp@5")[:, names.index("u3")]).all()


def test_gains_are_positive_where_adaptation_helps(runs: Runs) -> None:
    assert gains(runs.users, "maml", "mae").mean() == pytest.approx(0.25, abs=0.01)
    assert np.nanmean(gains(runs.users, "maml", "ndcg_exp@5")) == pytest.approx(0.125, abs=0.01)


def test_an_unknown_metric_names_the_nearest(runs: Runs) -> None:
    with pytest.raises(InputError, match=r"no metric 'ndcg_exp' in the results; did you mean ndcg_exp@5\?"):
        values(runs.users, "maml", "adapted/ndcg_exp")


def test_other_users_are_refused(tmp_path: Path) -> None:
    write_runs(tmp_path)
    path = tmp_path / "maml" / "seed-1" / "per_task.parquet"
    pd.read_parquet(path).replace({"user": {"u0": "someone"}}).to_parquet(path)
    with pytest.raises(InputError, match="tested different users"):
        _ = Runs(EXPERIMENT, tmp_path).users


def test_learning_curves(runs: Runs, made: Path, tmp_path: Path) -> None:
    found = runs.learning("mae")
    assert found.without == []
    assert list(found.table["adapted"][:5]) == [0.9, 0.8, 0.70, 0.75, 0.76]
    assert set(zip(found.table["method"], found.table["seed"], strict=True)) == {("maml", 0), ("maml", 1)}
    shutil.copytree(made, tmp_path / "copy")
    for method in ("bias", "item-mean"):
        assert not (made / method / "seed-0" / "learning.csv").exists()
    for path in (tmp_path / "copy").rglob("learning.csv"):
        path.unlink()
    with pytest.raises(InputError, match=r"no run left a learning curve of 'mae' \(learning.csv, written while"):
        Runs(EXPERIMENT, tmp_path / "copy").learning("mae")
    with pytest.raises(InputError, match="no run left a learning curve of 'auc'"):
        runs.learning("auc")


def test_a_curve_without_a_value_is_none(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "maml", tmp_path / "maml")
    for path in tmp_path.rglob("learning.csv"):
        learning.write(path, [row | {"val/adapted/mae": float("nan")} for row in learning.read(path)])
    with pytest.raises(InputError, match="no run left a learning curve of 'mae'"):
        Runs(EXPERIMENT, tmp_path).learning("mae")
    assert len(Runs(EXPERIMENT, tmp_path).learning("ndcg_exp@5").table) == 10


def test_methods_that_trained_and_left_no_curve_are_named(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "maml", tmp_path / "maml")
    shutil.copytree(made / "bias", tmp_path / "absent")
    assert Runs(EXPERIMENT, tmp_path).learning("mae").without == ["absent"]


def test_records_are_those_of_the_table(runs: Runs, made: Path) -> None:
    found = {(row["method"], row["metric"]): row for row in runs.records}
    for row in runs.table.rows:
        cell = row.cells["mae"]
        own = found[row.method, "mae"]
        assert (own["mean"], own["low"], own["high"], own["tasks"]) == (cell.mean, cell.low, cell.high, cell.tasks)
        assert own["difference"] == row.cells[f"mae - {EXPERIMENT.reference}"].mean
        assert found[row.method, "zero_shot_mae"]["mean"] == row.cells["zero-shot mae"].mean
        assert found[row.method, "fit_seconds"]["mean"] == row.cells["fit s"].mean
        assert found[row.method, "adapt_seconds"]["mean"] == pytest.approx(row.cells["ms/user"].mean / 1000)
    assert json.loads((made / "maml" / "seed-0" / "metrics.json").read_text()) == runs.summaries["maml", 0]
