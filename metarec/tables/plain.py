"""A table for programs: CSV and JSON, with all columns and digits."""

import dataclasses
import json

from metarec import files
from metarec.tables.table import Cell, Table

FIELDS = ("method", "trivial", "column", *(field.name for field in dataclasses.fields(Cell) if field.name != "digits"))
"""Columns of the CSV file."""


def as_csv(table: Table) -> str:
    """A line a method and column, after one with `FIELDS`; an empty field: there is no such number."""
    lines = [
        {"method": row.method, "trivial": row.trivial, "column": name, **dataclasses.asdict(cell)}
        for row in table.rows
        for name, cell in row.cells.items()
    ]
    return files.as_csv(FIELDS, [{field: line[field] for field in FIELDS} for line in lines])


def records(table: Table) -> list[dict[str, object]]:
    """A record a method and column: ``method``, ``metric``, which names the column, and the numbers of the cell."""
    return [
        {"method": row.method, "metric": name, **dataclasses.asdict(cell)}
        for row in table.rows
        for name, cell in row.cells.items()
    ]


def as_json(table: Table) -> str:
    """The whole table, caption and foot too; null: there is no such number."""
    return json.dumps(dataclasses.asdict(table), indent=1, allow_nan=False)
