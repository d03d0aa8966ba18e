"""A table for programs: CSV and JSON, with all columns and digits."""

import csv
import dataclasses
import io
import json

from metarec.tables.table import Cell, Table

FIELDS = ("method", "trivial", "column", *(field.name for field in dataclasses.fields(Cell) if field.name != "digits"))
"""Columns of the CSV file."""


def as_csv(table: Table) -> str:
    """A line a method and column, after one with `FIELDS`; an empty field: there is no such number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for name, cell in row.cells.items():
            writer.writerow({"method": row.method, "trivial": row.trivial, "column": name, **dataclasses.asdict(cell)})
    return text.getvalue().rstrip("\n")


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
