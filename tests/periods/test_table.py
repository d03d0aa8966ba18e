"""The table of an experiment by periods, from run folders written by hand."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from metarec.errors import InputError
from metarec.experiment import Experiment, Method
from metarec.periods import figure, table

PLAN = Experiment("By hand.", [], "net", ["mae"], {"net": Method(), "mean": Method(train=False)})


def write(results: Path, run: str, values: list[float], digest: str = "same", new: int = 1) -> None:
    folder = results / run / "seed-0"
    folder.mkdir(parents=True)
    users = [f"u{number}" for number in range(len(values))]
    columns = {"user": users, "support_size": 5, "query_size": 9, "adapted/mae": values}
    pd.DataFrame(columns).to_parquet(folder / "per_task.parquet")
    summary = {
        "data": {"digest": "d"},
        "episodes": {"digest": digest},
        "new_tasks": new,
        "split": {"unseen": {"test": 7}},
    }
    (folder / "metrics.json").write_text(json.dumps(summary))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for run, values in {
        "net-first": [1.0, 3.0],
        "net-frozen-2": [2.0, 4.0, 6.0],
        "net-fine-tuned-2": [1.0, 3.0, 5.0],
        "net-retrained-2": [1.0, 1.0, 1.0],
        "mean-first": [2.0, 2.0],
        "mean-frozen-2": [3.0, 3.0, 3.0],
    }.items():
        write(tmp_path, run, values, digest=f"period {len(values)}")
    return tmp_path


def test_means_and_pairs_by_hand(results: Path) -> None:
    rows = {(row["method"], row["way"], row["tested_on"]): row for row in table.records(PLAN, 3, results)}
    assert {way: rows["net", way, 2]["mean"] for way in ("frozen", "fine-tuned", "retrained")} == dict.fromkeys(
        ("frozen", "fine-tuned", "retrained"), 2.0
    )
    assert [rows["net", way, 3]["mean"] for way in ("frozen", "fine-tuned", "retrained")] == [4.0, 3.0, 1.0]
    assert [rows["net", way, 3]["less_than_frozen"] for way in ("frozen", "fine-tuned", "retrained")] == [
        None,
        1.0,
        3.0,
    ]
    assert rows["net", "fine-tuned", 3]["less_low"] == rows["net", "fine-tuned", 3]["less_high"] == 1.0
    assert rows["net", "frozen", 3]["low"] < 4.0 < rows["net", "frozen", 3]["high"]
    assert (rows["net", "frozen", 3]["tasks"], rows["net", "frozen", 3]["new_tasks"]) == (3, 1)
    assert ("mean", "fine-tuned", 2) not in rows
    assert ("mean", "retrained", 3) not in rows


def test_markdown_has_a_row_a_way_and_a_column_a_period(results: Path) -> None:
    lines = table.as_markdown(table.records(PLAN, 3, results), PLAN).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["method", "way", "period 2", "period 3"]
    assert [line[:2] for line in cells[2:7]] == [
        *(["net", way] for way in ("frozen", "fine-tuned", "retrained")),
        *(["mean", way] for way in ("frozen", "retrained")),
    ]
    assert cells[3][3].startswith("3.000 [")
    assert cells[6][3] == "-"
    assert cells[7] == ["test users", "", "2", "3"]


def test_users_are_paired_by_name_and_seeds_by_number(results: Path) -> None:
    before = table.records(PLAN, 3, results)
    path = results / "net-fine-tuned-2" / "seed-0" / "per_task.parquet"
    pd.read_parquet(path).iloc[::-1].to_parquet(path)
    assert table.records(PLAN, 3, results) == before
    path.parent.rename(path.parents[1] / "seed-1")
    rows = table.records(PLAN, 3, results, seeds=[0, 1])
    [tuned] = [row for row in rows if (row["way"], row["tested_on"]) == ("fine-tuned", 3)]
    assert (tuned["mean"], tuned["less_than_frozen"]) == (3.0, None)


def test_other_tests_are_refused(results: Path) -> None:
    write(results, "mean-retrained-2", [1.0, 1.0, 1.0], digest="other")
    with pytest.raises(InputError, match="other users or ratings of period 3"):
        table.records(PLAN, 3, results)


def test_nothing_done(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the experiment first with `metarec periods`"):
        table.records(PLAN, 3, tmp_path)


def test_csv_json_and_picture(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = table.records(PLAN, 3, results)
    assert len(table.as_csv(rows).splitlines()) == len(rows) + 1
    assert json.loads(table.as_json(rows)) == rows
    figure.draw(rows, tmp_path / "periods.png", "by hand")
    assert (tmp_path / "periods.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_committed_periods() -> None:
    """Every cell of the README's rows of methods is a record of the committed file, and every record stands there."""
    path = Path("experiments/curves/movielens-100k-periods.csv")
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    name, text = f"{path.stem} periods", Path("README.md").read_text(encoding="utf-8")
    block = text.split(f"<!-- begin {name} -->\n")[1].split(f"\n<!-- end {name} -->")[0]
    cells = [line.strip("| ").split(" | ") for line in block.splitlines() if "[" in line and line.startswith("| ")]
    shown = {(method, way): values for method, way, *values in cells}
    expected: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        mean, low, high = (float(row[key]) for key in ("mean", "low", "high"))
        expected.setdefault((row["method"], row["way"]), []).append(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
    assert shown == expected
