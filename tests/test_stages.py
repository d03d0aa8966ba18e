import json

import numpy as np
import pytest

from metarec import cli, stages
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.splits import ItemCold, UserCold

LAYERS = ["-c", "configs/base.yaml", "-c", "configs/data/movielens-100k.yaml"]


def test_numbers_are_those_of_a_plain_count(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, UserCold((0.5, 0.25, 0.25), min_ratings=6), eval_support=5)
    numbers = stages.describe(data)
    test = data.split.test
    sizes = np.bincount(ratings.user[test])
    sizes = sizes[sizes > 0]
    assert numbers["test"] == {
        "tasks": len(sizes),
        "ratings": len(test),
        "support": [5, 5.0, 5],
        "query": [sizes.min() - 5, np.median(sizes) - 5, sizes.max() - 5],
        "known_users": 0,
        "new_users": len(sizes),
        "known_items": len(np.unique(ratings.item[test])),
        "new_items": 0,
        "first_time": ratings.time[test].min(),
        "last_time": ratings.time[test].max(),
    }


def test_item_tasks(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, ItemCold((0.5, 0.25, 0.25), min_ratings=6), tasks="items", eval_support=5)
    numbers = stages.describe(data)
    assert numbers["test"]["new_items"] == numbers["test"]["tasks"]
    assert numbers["test"]["known_items"] == numbers["test"]["new_users"] == 0
    assert data.schema["tasks"] == "items"
    assert data.schema["users"] == 31


def test_the_command_prints_a_table_and_json(movielens: object, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["tasks", *LAYERS, "-c", "configs/scenario/user_cold.yaml", "-c", "configs/net/neumf.yaml"]
    cli.main([*given, "--data.scenario.init_args.by=time", "--json"])
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["train"]["last_time"] < numbers["val"]["first_time"] <= numbers["val"]["last_time"]
    assert numbers["val"]["last_time"] < numbers["test"]["first_time"]
    cli.main([*given, "--data.tasks=items"])
    text = capsys.readouterr().out
    assert text.startswith("movielens-100k-swapped, UserCold, tasks are items")
    assert "known users" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.taks=items"], "data.tasks"),
        (["--data.tasks=itmes"], "itmes"),
        (["-c", "configs/scenario/usr_cold.yaml"], "usr_cold"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], message: str, movielens: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["tasks", *LAYERS, *options])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line
