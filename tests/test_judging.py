"""What is judged apart, against the predictions of the same run and plain numpy."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_series_equal as same

from metarec import configured, training
from metarec.callbacks import BestCheckpoint
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings, encode
from metarec.data.splits import ItemCold, ListedUserCold
from metarec.data.unseen import APART
from metarec.judging import judged
from metarec.metrics.collection import MeanAbsoluteErrorPerTask
from metarec.run_folder import RunFolder
from tests.conftest import synthetic_ratings
from tests.test_clicks import click_data, click_module
from tests.test_module import NET, data_of, module_of, trainer_of
from tests.test_training import LAYERS

NEW_USERS = [f"u{number}" for number in range(1, 11)]
SIZES = {"train_support": (2, 5), "train_query": 4, "eval_support": 4, "batch_size": 8}


def with_unseen_items() -> Ratings:
    """Items 21 to 30 are rated by the first ten users alone, items 26 to 30 in a year that no other item has."""
    ratings = synthetic_ratings()
    kept = np.flatnonzero((ratings.item <= 20) | (ratings.user <= 10))
    year, years = encode(["old"] * 25 + ["new"] * 5)
    table = ratings.item_features
    values, categorical = table.values | {"year": years}, {"year": year}
    return dataclasses.replace(
        ratings.at(kept), item_features=dataclasses.replace(table, categorical=categorical, values=values)
    )


def listed(folder: Path, ratings: Ratings, **options: object) -> EpisodeDataModule:
    (folder / "new.txt").write_text("\n".join(NEW_USERS))
    scenario = ListedUserCold(str(folder / "new.txt"), val_fraction=0.2, min_ratings=6)
    return EpisodeDataModule(ratings, scenario, **{**SIZES, **options})


def results(folder: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_parquet(folder / "per_task.parquet"), json.loads((folder / "metrics.json").read_text())


@pytest.mark.fault("unseen")
def test_errors_of_unseen_items_are_those_of_the_predictions(tmp_path: Path) -> None:
    """One trainer fits, validates, tests and predicts."""
    ratings = with_unseen_items()
    data, module = listed(tmp_path, ratings), module_of(ratings)
    trainer = trainer_of(tmp_path)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    table, summary = results(tmp_path)
    trainer.predict(module, datamodule=data)
    asked = pd.read_parquet(tmp_path / "predictions.parquet")
    number = asked["item"].str[1:].astype(int)
    error = (asked["prediction"] - asked["rating"]).abs()
    for part, first in (("unseen", 21), ("unseen_value", 26)):
        own = number >= first
        table_of = table.set_index("user").sort_index()
        sizes = own.groupby(asked["user"]).sum()
        assert (table_of[f"{part}_size"] == sizes).all()
        assert sizes.max() > 0
        for name, rows in ((part, own), (APART[part], ~own)):
            mae, square = (values[rows].groupby(asked["user"][rows]).mean() for values in (error, error**2))
            for metric, expected in (("mae", mae), ("rmse", square**0.5)):
                found = table_of[f"adapted/{metric}_{name}"]
                same(found.dropna(), expected, check_names=False, check_dtype=False, rtol=1e-5)
                mean = summary["metrics"][f"test/adapted/{metric}_{name}"]
                assert mean == pytest.approx(found.mean(), abs=1e-6)
                before = summary["metrics"][f"test/zero_shot/{metric}_{name}"]
                assert before == pytest.approx(table_of[f"zero_shot/{metric}_{name}"].mean(), abs=1e-6)
                assert summary["metrics"][f"test/gain/{metric}_{name}"] == pytest.approx(before - mean, abs=1e-6)
        assert summary["apart"][part] == {
            "ratings": own.sum(),
            "of": len(asked),
            "tasks": (sizes > 0).sum(),
            "tasks_with_others": (sizes < table_of["query_size"]).sum(),
        }
    assert summary["apart"]["unseen"]["tasks"] == 10
    trainer.validate(module, datamodule=data, verbose=False)
    assert not module.parts


def test_nothing_is_apart_where_all_items_are_of_one_kind(ratings: Ratings, tmp_path: Path) -> None:
    cold = EpisodeDataModule(ratings, ItemCold((0.5, 0.2, 0.3), train_min_ratings=4), train_query=2, eval_support=1)
    for name, data in (("seen", data_of(ratings)), ("unseen", cold)):
        module, folder = module_of(ratings), tmp_path / name
        trainer = trainer_of(folder, max_epochs=1)
        trainer.fit(module, datamodule=data)
        trainer.test(module, datamodule=data, verbose=False)
        table, summary = results(folder)
        assert summary["apart"] == {}
        assert not [column for column in [*table, *summary["metrics"]] if "seen" in column]


def test_where_tasks_are_items_users_are_apart(tmp_path: Path) -> None:
    """Test items are rated by known users, and by one whose ratings of known items are taken away."""
    ratings = synthetic_ratings()
    data = EpisodeDataModule(ratings, ItemCold((0.5, 0.2, 0.3), min_ratings=6), tasks="items", **SIZES)
    split, rater = data.split, data.ratings.item
    stranger = rater[split.test][0]
    data.split = dataclasses.replace(split, train=split.train[rater[split.train] != stranger])
    module = module_of(data.ratings, net=partial(NET, user_features=["genre"], item_features=["group"]))
    trainer = trainer_of(tmp_path, max_epochs=1)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    table, summary = results(tmp_path)
    assert table["unseen_size"].max() == 1
    assert summary["apart"]["unseen"]["ratings"] == table["unseen_size"].sum() > 0
    assert set(table["user"]) <= set(ratings.item_ids)
    assert (table["adapted/mae_unseen"].isna() == (table["unseen_size"] == 0)).all()


def test_clicks_have_no_parts(tmp_path: Path) -> None:
    data, module = click_data(), click_module()
    trainer = trainer_of(tmp_path, callbacks=[RunFolder(), BestCheckpoint("val/adapted/auc", "max")], max_epochs=1)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    table, summary = results(tmp_path)
    assert summary["apart"] == {}
    assert not [column for column in table if "seen" in column]


def test_a_part_takes_its_rows_alone(ratings: Ratings) -> None:
    """By hand: of three rows the first two are of items in the part; a task without any has no value."""
    batch = next(iter(data_of(ratings).test_dataloader()))
    item = torch.tensor([[1, 2, 3], [3, 3, 3]])
    query = batch.query._replace(item=item, rating=torch.full((2, 3), 3.0), mask=torch.ones(2, 3, dtype=torch.bool))
    batch = batch._replace(task=batch.task[:2], query=query)
    part = torch.tensor([False, True, True, False])
    prediction = torch.tensor([[4.0, 5.0, 9.0], [9.0, 9.0, 9.0]])
    metrics = [MeanAbsoluteErrorPerTask(), MeanAbsoluteErrorPerTask("unseen")]
    found = judged(batch, {"adapted": prediction}, {"adapted": metrics}, {"unseen": part})
    assert found["unseen_size"].tolist() == [2, 0]
    assert found["adapted/mae"].tolist() == [3.0, 6.0]
    assert found["adapted/mae_unseen"][0] == 1.5
    assert found["adapted/mae_unseen"][1].isnan()
    assert metrics[1].compute() == 1.5
    assert metrics[1].missing == 1


def test_tables_may_list_them() -> None:
    known = configured.measured(training.parse(["fit", *LAYERS]))
    assert {"mae", "mae_unseen", "rmse_seen", "mae_unseen_value", "rmse_seen_values"} <= set(known)
