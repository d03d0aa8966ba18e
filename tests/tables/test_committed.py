"""The tables of the repository: what the README shows is what `experiments/tables/` holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metarec.commands.experiment import joined
from metarec.experiment import load, parts
from metarec.tables.expected import misses
from metarec.tables.markdown import as_markdown
from metarec.tables.plain import as_csv
from metarec.tables.table import Cell, Column, Row, Table

TABLES = sorted(Path("experiments/tables").glob("*.json"))


def of_json(content: dict[str, Any]) -> Table:
    """The table of a file that `metarec table --format json` has written."""
    columns = [Column(**column) for column in content["columns"]]
    rows = [
        Row(**row | {"cells": {name: Cell(**cell) for name, cell in row["cells"].items()}}) for row in content["rows"]
    ]
    return Table(**content | {"columns": columns, "rows": rows})


def test_there_are_committed_results() -> None:
    assert TABLES


def tables_of(path: Path) -> dict[str, Table]:
    """The tables of a file, by scenario; under the empty name, where there are none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {"": of_json(content)} if "rows" in content else {name: of_json(table) for name, table in content.items()}


def text_of(tables: dict[str, Table], form: str, printer: Callable[[Table], str]) -> str:
    """The tables as `metarec table` prints them."""
    texts = {name: printer(table) for name, table in tables.items()}
    return texts[""] if "" in texts else joined(texts, form)


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_the_readme_shows_the_committed_results(path: Path) -> None:
    tables, plan = tables_of(path), load(Path("experiments") / f"{path.stem}.yaml")
    assert list(tables) == (list(plan.scenarios) or [""])
    for table in tables.values():
        assert {row.method for row in table.rows} <= set(plan.methods)
        assert table.caption.startswith(plan.shows)
        assert table.warnings == []
    text = Path("README.md").read_text(encoding="utf-8")
    block = text.split(f"<!-- begin {path.stem} -->\n")[1].split(f"\n<!-- end {path.stem} -->")[0]
    assert block == text_of(tables, "md", as_markdown)


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_the_csv_holds_the_same_numbers(path: Path) -> None:
    text = path.with_suffix(".csv").read_text(encoding="utf-8").rstrip("\n")
    assert text == text_of(tables_of(path), "csv", as_csv)


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_committed_results_are_within_the_expected_ranges(path: Path) -> None:
    for name, (part, _) in parts(load(Path("experiments") / f"{path.stem}.yaml"), Path("results")).items():
        if part.expected:
            assert misses(part, tables_of(path)[name]) == []


@pytest.mark.parametrize("path", sorted(Path("experiments/users").glob("*.csv")), ids=str)
def test_values_of_users_are_those_that_the_table_is_of(path: Path) -> None:
    """The mean over users and seeds is the cell."""
    values, tables = pd.read_csv(path), tables_of(Path("experiments/tables") / f"{path.stem}.json")
    assert list(tables) == [""], "no table of scenarios is small"
    metrics = load(Path("experiments") / f"{path.stem}.yaml").metrics
    for row in tables[""].rows:
        own = values[values["method"] == row.method]
        for metric in metrics:
            assert own[f"adapted/{metric}"].mean() == pytest.approx(row.cells[metric].mean, abs=1e-4)
