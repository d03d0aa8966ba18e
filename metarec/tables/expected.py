"""Whether the results of an experiment are where its file expects them."""

from metarec.errors import InputError
from metarec.experiment import Experiment
from metarec.messages import did_you_mean
from metarec.tables.table import Table


def misses(experiment: Experiment, table: Table) -> list[str]:
    """What is not as the experiment expects, a line each; empty: all is.

    Args:
        experiment: its `expected` has, by method and column of the table, the lowest and the highest mean.
        table: its table.

    Raises:
        InputError: the experiment expects nothing, or something of no column, or a range is none.
    """
    if not experiment.expected:
        raise InputError(
            f"{table.title}: no expected ranges to check; give expected: {{METHOD: {{METRIC: [low, high]}}}}"
        )
    columns, rows = [column.name for column in table.columns], {row.method: row.cells for row in table.rows}
    found = []
    for method, ranges in experiment.expected.items():
        for column, ends in ranges.items():
            if column not in columns:
                hint = did_you_mean(column, columns) or f"; there are {columns}"
                raise InputError(f"{table.title}: expected.{method}: no column '{column}' in the table{hint}")
            low, high = _range(ends, f"{table.title}: expected.{method}.{column}")
            mean = rows[method][column].mean if method in rows else None
            if mean is None:
                found.append(f"{method}, {column}: no result; expected {low:g} to {high:g}")
            elif not low <= mean <= high:
                found.append(f"{method}, {column}: {mean:.4f} is not within {low:g} to {high:g}")
    return found


def _range(ends: list[float], where: str) -> tuple[float, float]:
    """The two ends of a range."""
    if len(ends) != 2 or not ends[0] <= ends[1]:
        raise InputError(f"{where}: {ends} is no range; give [low, high]")
    return ends[0], ends[1]
