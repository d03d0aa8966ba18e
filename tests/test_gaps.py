"""Groups of test users, against plain numpy and known differences."""

import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import cli, gaps
from metarec.data.ratings import FeatureTable, Ratings, encode, encode_lists, encode_sets
from metarec.gaps import binned, column_of, gap_of, groups_of, users_of
from metarec.training import parse


def test_doc_examples() -> None:
    result = doctest.testmod(gaps, extraglobs={"pd": pd})
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize("better", [False, True])
def test_the_gap_is_worst_minus_best(better: bool) -> None:
    random = np.random.default_rng(0)
    labels = random.choice(["a", "b", "c"], 90)
    values = random.normal(size=90) + (labels == "b") * 2.0
    found = gap_of(values, labels, better)
    means = {name: values[labels == name].mean() for name in "abc"}
    ordered = sorted(means, key=means.get, reverse=better)
    assert found.compared == list(found.groups) == ordered
    assert found.gap == pytest.approx(means[ordered[-1]] - means[ordered[0]])
    assert np.sign(found.gap) == np.sign(found.by_chance) == (-1 if better else 1)
    assert found.share == pytest.approx(1 / 1001)
    assert {name: interval.tasks for name, interval in found.groups.items()} == {
        name: (labels == name).sum() for name in "abc"
    }


def test_a_gap_without_a_difference_is_what_chance_gives() -> None:
    random = np.random.default_rng(1)
    found = [gap_of(random.normal(size=60), ["a"] * 20 + ["b"] * 40, False, seed=seed) for seed in range(40)]
    assert 0.3 < np.mean([gap.share for gap in found]) < 0.7
    assert np.mean([gap.gap for gap in found]) == pytest.approx(np.mean([gap.by_chance for gap in found]), abs=0.08)


def test_small_groups_and_users_without_a_value_are_not_compared() -> None:
    values = [1.0] * 10 + [2.0] * 10 + [9.0] * 3 + [np.nan] * 12
    labels = ["a"] * 10 + ["b"] * 10 + ["few"] * 3 + ["a"] * 2 + ["none"] * 10
    found = gap_of(values, labels, better=False)
    assert found.compared == ["a", "b"]
    assert found.gap == 1.0
    assert list(found.groups)[-1] == "none"
    assert (found.groups["a"].missing, found.groups["few"].tasks, found.groups["none"].tasks) == (2, 3, 0)
    alone = gap_of(values, labels, better=False, least=11)
    assert np.isnan(alone.gap)
    assert "No gap: fewer than two groups" in gaps.as_markdown(alone, "mae", "kind", 11)
    with pytest.raises(ValueError, match="give one each a user"):
        gap_of([1.0], ["a", "b"], better=False)


def test_bins_have_equally_many_users_and_keep_equal_numbers_together() -> None:
    numbers = pd.Series(np.random.default_rng(2).permutation(40))
    assert pd.Series(binned(numbers, 4)).value_counts().tolist() == [10] * 4
    assert binned(pd.Series([15] * 8), 4) == ["15"] * 8
    tied = pd.Series([1, 1, 1, 1, 1, 2, 3, 4])
    assert pd.DataFrame({"bin": binned(tied, 4), "number": tied}).groupby("number")["bin"].nunique().max() == 1


def test_overlapping_groups_are_means_of_all_their_members() -> None:
    random = np.random.default_rng(3)
    member = random.random((3, 60)) < 0.5
    groups = [tuple(name for name, own in zip("abc", column, strict=True) if own) or ("",) for column in member.T]
    values = random.normal(size=60) + 3 * member[1]
    found = gap_of(values, groups, better=False, least=15)
    means = {name: values[own].mean() for name, own in zip("abc", member, strict=True)}
    assert {name: found.groups[name].mean for name in "abc"} == pytest.approx(means)
    assert {name: found.groups[name].tasks for name in "abc"} == dict(zip("abc", member.sum(axis=1), strict=True))
    assert found.gap == pytest.approx(max(means.values()) - min(means.values()))
    assert found.share == pytest.approx(1 / 1001)
    calm = gap_of(values - 3 * member[1], groups, better=False, least=15)
    assert calm.share > 0.05


def test_one_group_each_may_be_given_either_way() -> None:
    random = np.random.default_rng(4)
    labels = [str(name) for name in random.choice(["a", "b", "c"], 50)]
    values = random.normal(size=50)
    assert gap_of(values, labels, False) == gap_of(values, [(name,) for name in labels], False)


def test_groups_by_each_kind_of_attribute() -> None:
    one, ones = encode(["x", "", "y", "x"])
    sets, columns = encode_sets([["b", "a"], ["b"], [], ["c"]])
    lists, listed = encode_lists([["b", "a"], ["b"], [], ["c"]])
    table = FeatureTable(
        {"one": one}, {"sets": sets}, {"one": ones, "sets": columns, "lists": listed}, {"lists": lists}
    )
    assert groups_of(table, "one", [1, 2, 4, 0]) == [("x",), ("",), ("x",), ("",)]
    for name in ("sets", "lists"):
        assert groups_of(table, name, [4, 1, 2, 3]) == [("c",), ("a", "b"), ("b",), ("",)]
    with pytest.raises(KeyError):
        groups_of(table, "two", [1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 40 users with two draws each, the first half of whom have few ratings and large errors."""
    users = [f"u{number}" for number in range(40) for _ in range(2)]
    few = np.arange(80) < 40
    error = np.where(few, 1.0, 0.5) + np.tile([0.1, -0.1], 40)
    table = pd.DataFrame({"user": users, "draw": np.tile([0, 1], 40), "support_size": 5, "query_size": few * -7 + 20})
    table["adapted/mae"], table["zero_shot/mae"], table["adapted/hit@5"] = error, error + 1, 1.0
    table.to_parquet(tmp_path / "per_task.parquet")
    return tmp_path


def test_a_user_is_one_user_however_often_drawn(folder: Path) -> None:
    users = users_of(pd.read_parquet(folder / "per_task.parquet"))
    assert len(users) == 40
    assert set(users["activity"]) == {18, 25}
    np.testing.assert_allclose(column_of(users, "mae"), np.repeat([1.0, 0.5], 20))
    np.testing.assert_allclose(column_of(users, "zero_shot/mae"), np.repeat([2.0, 1.5], 20))


def test_the_command_prints_groups_and_the_gap(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["gaps", str(folder), "--by", "activity", "--bins", "2", "--metric", "mae", "hit@5"])
    text = capsys.readouterr().out
    assert "| 25 | 0.500 [0.500, 0.500] | 20 | 0 |" in text
    assert "Worst (18) minus best (25): +0.500; less is better" in text
    assert "more is better" in text


def test_groups_by_an_attribute_of_the_data_of_the_run(
    movielens: Ratings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the configuration that the run has left."""
    ratings, folder = movielens, tmp_path
    gender = [ratings.user_features.values["gender"][code] for code in ratings.user_features.categorical["gender"]]
    table = pd.DataFrame({"user": ratings.user_ids[1:], "support_size": 5, "query_size": 5})
    table["adapted/mae"] = [1.0 if value == "F" else 0.5 for value in gender[1:]]
    table.to_parquet(folder / "per_task.parquet")
    layers = ["configs/base.yaml", "configs/data/movielens-100k.yaml", "configs/scenario/user_cold.yaml"]
    command = ["test", *(part for layer in [*layers, "configs/baseline/item_mean.yaml"] for part in ("-c", layer))]
    config = parse(command)
    plain = {name: config[name] for name in ("seed_everything", "trainer", "model", "data")}
    (folder / "config.yaml").write_text(json.dumps(plain, default=str))
    cli.main(["gaps", str(folder), "--by", "gender"])
    text = capsys.readouterr().out
    assert f"| M | 0.500 [0.500, 0.500] | {gender.count('M')} | 0 |" in text
    assert f"| F | 1.000 [1.000, 1.000] | {gender.count('F')} | 0 |" in text


def test_items_are_grouped_by_their_attributes_where_they_are_the_tasks(
    movielens: Ratings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A film counts in each of its genres; its ids stand where those of users do."""
    genres, years = movielens.item_features.multi_hot["genre"][1:], movielens.item_features.categorical["year"][1:]
    war = movielens.item_features.values["genre"].index("War")
    table = pd.DataFrame({"user": movielens.item_ids[1:], "support_size": 5, "query_size": 5})
    table["adapted/mae"] = np.where(genres[:, war] > 0, 1.0, 0.5)
    table[::-1].to_parquet(tmp_path / "per_task.parquet")
    (tmp_path / "config.yaml").write_text(configured_for("items"))
    cli.main(["gaps", str(tmp_path), "--by", "genre"])
    text = capsys.readouterr().out
    assert "| genre | mae | items | without a value |" in text
    assert f"| War | 1.000 [1.000, 1.000] | {int(genres[:, war].sum())} | 0 |" in text
    drama = movielens.item_features.values["genre"].index("Drama")
    both = (genres[:, war] * genres[:, drama]).sum()
    assert f"| Drama | {0.5 + 0.5 * both / genres[:, drama].sum():.3f} [" in text
    assert f"| {int(genres[:, drama].sum())} | 0 |" in text
    assert "Worst (War) minus best (" in text
    assert "intervals over items; groups of fewer than 10 items are not compared" in text
    cli.main(["gaps", str(tmp_path), "--by", "year"])
    first = movielens.item_features.values["year"][int(years[0])]
    line = capsys.readouterr().out.split(f"| {first} |")[1].splitlines()[0]
    assert line.endswith(f"| {(years == years[0]).sum()} | 0 |")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["gaps", str(tmp_path), "--by", "occupation"])
    assert stopped.value.code == 2
    assert "--by occupation: no such item attribute; known are ['support_size'" in capsys.readouterr().err


def configured_for(tasks: str) -> str:
    """A run's config.yaml, as far as it tells the data."""
    layers = ["configs/base.yaml", "configs/data/movielens-100k.yaml", "configs/scenario/item_cold.yaml"]
    command = ["test", *(f"-c={layer}" for layer in [*layers, "configs/baseline/item_mean.yaml"])]
    config = parse([*command, f"--data.tasks={tasks}"])
    plain = {name: config[name] for name in ("seed_everything", "trainer", "model", "data")}
    return json.dumps(plain, default=str)


WINDOWED = """
data:
  ratings:
    class_path: metarec.data.windows.windows
    init_args:
      ratings: {class_path: metarec.data.sources.movielens_100k, init_args: {path: null}}
      count: 50
  order: time
"""


def test_windows_of_histories_are_their_persons(
    movielens: Ratings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two windows of each person, as `metarec test` leaves them; a person counts once."""
    people = movielens.user_ids[1:]
    user = [person for person in people for _ in range(2)]
    table = pd.DataFrame({"user": user, "window": [f"{person}#{1 + n % 2}" for n, person in enumerate(user)]})
    table["support_size"], table["query_size"], table["adapted/mae"] = 5, 5, np.tile([0.5, 1.0], len(people))
    table.to_parquet(tmp_path / "per_task.parquet")
    (tmp_path / "windows.yaml").write_text(WINDOWED)
    layers = ["configs/base.yaml", tmp_path / "windows.yaml", "configs/scenario/user_cold.yaml"]
    command = ["test", *(f"-c={layer}" for layer in [*layers, "configs/baseline/item_mean.yaml"])]
    config = parse(command)
    plain = {name: config[name] for name in ("seed_everything", "trainer", "model", "data")}
    (tmp_path / "config.yaml").write_text(json.dumps(plain, default=str))
    cli.main(["gaps", str(tmp_path), "--by", "gender"])
    text = capsys.readouterr().out
    codes = movielens.user_features.categorical["gender"][1:]
    for code, gender in enumerate(movielens.user_features.values["gender"]):
        if gender:
            assert f"| {gender} | 0.750 [0.750, 0.750] | {(codes == code).sum()} | 0 |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "activity", "--metric", "maes"], "no metric 'maes' in the run's per_task.parquet; did you mean"),
        (["--by", "activity", "--bins", "0"], "bins 0: give a number >= 1"),
        (["--by", "age"], "config.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["gaps", str(folder), *arguments])
    assert left.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_folder_without_a_test_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["gaps", str(tmp_path), "--by", "activity"])
    assert "no such file; give the folder of a run that was tested" in capsys.readouterr().err
