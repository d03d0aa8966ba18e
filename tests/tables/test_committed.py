"""The tables of the repository: what the README shows is what `experiments/tables/` holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from metarec.experiment import load
from metarec.tables.markdown import as_markdown
from metarec.tables.plain import as_json
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


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_the_readme_shows_the_committed_results(path: Path) -> None:
    table = of_json(json.loads(path.read_text(encoding="utf-8")))
    plan = load(Path("experiments") / f"{path.stem}.yaml")
    assert {row.method for row in table.rows} <= set(plan.methods)
    assert table.caption.startswith(plan.shows)
    assert as_json(table) == path.read_text(encoding="utf-8").rstrip("\n")
    text = Path("README.md").read_text(encoding="utf-8")
    block = text.split(f"<!-- begin {path.stem} -->\n")[1].split(f"\n<!-- end {path.stem} -->")[0]
    assert block == as_markdown(table)
