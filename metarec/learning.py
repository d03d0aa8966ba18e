"""The file in a run folder that learning curves are drawn from: what each validation of a fit gave; no torch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from metarec.files import replacing

LEARNING = "learning.csv"
"""A row a validation: `epoch` and `step`, how many were done by then, and every ``val/...`` metric."""

Row = Mapping[str, float]


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a ``learning.csv``; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, whole or not at all; all have the same names, and numbers are exact."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
