"""A table for programs: CSV and JSON, with all columns and digits."""

import dataclasses
import json
from collections.abc import Sequence

import pandas as pd

from metarec import files
from metarec.report import Runs
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


def users_csv(runs: Runs, metrics: Sequence[str], digits: int = 4) -> str:
    """A line a method, seed and test user: sizes of their sets, and each metric adapted and zero-shot.

    Args:
        runs: what the runs of an experiment left.
        metrics: those of the table; what a run has but one value of is no user's, and is left out.
        digits: after the point.
    """
    shown = [f"{mode}/{name}" for name in metrics for mode in ("adapted", "zero_shot")]
    shown = [name for name in shown if not runs.is_of_runs(name)]
    lines = [
        table[["user", "support_size", "query_size", *shown]].assign(method=method, seed=seed)
        for method, found in runs.users.items()
        for seed, table in found.items()
    ]
    ordered = pd.concat(lines)[["method", "seed", "user", "support_size", "query_size", *shown]]
    whole = {name: ordered[name].round(digits) for name in shown}
    text: str = ordered.assign(**whole).to_csv(index=False, lineterminator="\n", float_format=f"%.{digits}f")
    return text.rstrip("\n")


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
