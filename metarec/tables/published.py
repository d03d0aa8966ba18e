"""Figures that others have printed, from the one file that holds them."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from metarec.errors import InputError
from metarec.experiment import Experiment
from metarec.messages import did_you_mean
from metarec.tables.table import Cell

FIELDS = ("id", "source", "place", "dataset", "scenario", "model", "metric", "value", "unit", "verified")
UNITS = {"1": 0, "percent": 2}
"""Digits by which a unit's point must move to the left."""


@dataclass(frozen=True)
class Printed:
    """A printed figure.

    Attributes:
        source: who printed it, such as ``Lee et al., KDD 2019``.
        place: table of that source.
        model: its name there.
        cell: the figure, empty where nobody has verified it against the source.
    """

    source: str
    place: str
    model: str
    cell: Cell


def read(path: Path) -> dict[str, Printed]:
    """All printed figures, by id.

    Args:
        path: a CSV file with `FIELDS`; `unit` is ``1`` or ``percent``, `verified` is ``yes`` or ``no``. A figure that
            is not verified is not shown, so its `value` may be left out.

    Raises:
        InputError: it is missing, or a line of it is wrong; names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if tuple(lines.fieldnames or ()) != FIELDS:
                raise InputError(
                    f"{path}: the first line is {','.join(lines.fieldnames or ())}; give {','.join(FIELDS)}"
                )
            found: dict[str, Printed] = {}
            for number, line in enumerate(lines, start=2):
                if line["id"] in found:
                    raise InputError(f"{path}, line {number}: id {line['id']} stands there twice; give each its own")
                found[line["id"]] = _printed(line, f"{path}, line {number}")
            return found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); printed figures stand there") from error


def _printed(line: dict[str, str], where: str) -> Printed:
    """One line of the file."""
    if None in line.values() or not line["source"] or not line["place"]:
        raise InputError(f"{where}: give a value for each of {','.join(FIELDS)}, source and place among them")
    unit, verified = line["unit"], line["verified"]
    if unit not in UNITS or verified not in ("yes", "no"):
        raise InputError(f"{where}: unit is {' or '.join(UNITS)}, verified is yes or no; found {unit} and {verified}")
    cell = _cell(line["value"], UNITS[unit], where) if verified == "yes" else Cell()
    return Printed(line["source"], line["place"], line["model"], cell)


def _cell(text: str, shift: int, where: str) -> Cell:
    """A figure with as many digits as were printed, its point moved to the left."""
    if re.fullmatch(r"-?(\d+\.?|\d*\.\d+)", text) is None:
        raise InputError(f"{where}: value '{text}' is no number; give it as it is printed, such as .785")
    return Cell(float(text) / 10**shift, digits=len(text.partition(".")[2]) + shift)


def of_experiment(experiment: Experiment, path: Path) -> dict[str, dict[str, Printed]]:
    """The printed figures that an experiment is held against, by method and metric.

    Args:
        experiment: names them by id.
        path: the file of all; read only if the experiment names any.

    Raises:
        InputError: there is no such id or metric, or the file is wrong.
    """
    known = read(path) if experiment.published else {}
    for method, figures in experiment.published.items():
        for metric, name in figures.items():
            if metric not in experiment.metrics:
                raise InputError(
                    f"published.{method}: {metric} is no metric of the table; there are {experiment.metrics}"
                )
            if name not in known:
                raise InputError(f"published.{method}.{metric}: no id '{name}' in {path}{did_you_mean(name, known)}")
    return {
        method: {metric: known[name] for metric, name in figures.items()}
        for method, figures in experiment.published.items()
    }
