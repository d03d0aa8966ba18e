"""From the values of an experiment's runs to its table: means, intervals, paired differences, tests, bold figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metarec.experiment import Experiment, Method
from metarec.files import read_yaml
from metarec.metrics import higher_is_better
from metarec.metrics.intervals import Interval, mean_intervals
from metarec.metrics.significance import holm, sign_flip_test
from metarec.report import Runs, Values
from metarec.tables.published import Printed
from metarec.tables.table import Cell, Column, Row, Table
from metarec.tables.words import FIT, SPEED, caption, difference, foot, gain, p_of, printed, zero_shot

TRIVIAL = ("metarec.baselines.means", "metarec.baselines.popularity")
"""Modules of the predictors that know no more than chance, counts and means."""

ROUNDING = 1e-6
"""A gain or a user's difference that is smaller comes from rounding: there is none."""

Key = tuple[str, str]
"""Column and method."""


def made(
    experiment: Experiment,
    runs: Runs,
    figures: Mapping[str, Mapping[str, Printed]],
    title: str,
    odd: Sequence[str] = (),
) -> Table:
    """The table of an experiment: a row a method that has run, the trivial ones on top, else in the file's order.

    Args:
        experiment: the experiment.
        runs: what its runs left.
        figures: printed figures to stand beside ours, by method and metric.
        title: name of the table.
        odd: methods that ran with other options than the experiment says now.

    Raises:
        InputError: a metric is not in the results.
    """
    values = _values(experiment, runs)
    intervals = dict(zip(values, mean_intervals(list(values.values())), strict=True))
    cells = {key: _cell(interval, len(values[key])) for key, interval in intervals.items()}
    for metric in experiment.metrics:
        if runs.is_of_runs(f"adapted/{metric}"):
            cells |= _of_runs(metric, experiment.reference, runs)
        else:
            cells |= _bold(metric, cells, runs) | _tests(metric, experiment.reference, values, runs)
        for method in runs.users:
            if abs(cells[gain(metric), method].mean or 0.0) <= ROUNDING:
                cells[gain(metric), method] = Cell()
            if metric in figures.get(method, {}):
                cells[printed(metric), method] = figures[method][metric].cell
    for method, seconds in runs.fit_seconds.items():
        cells[FIT, method] = Cell(float(np.mean(list(seconds.values()))), digits=0, seeds=len(seconds))
    columns = _columns(experiment, figures)
    rows = [
        Row(name, is_trivial(experiment.methods[name]), {c.name: cells.get((c.name, name), Cell()) for c in columns})
        for name in runs.users
    ]
    rows.sort(key=lambda row: not row.trivial)
    warnings = [f"Not as the experiment file says now: {', '.join(odd)}."] if odd else []
    return Table(title, caption(experiment, rows, figures), columns, rows, foot(runs, rows), warnings)


def is_trivial(method: Method) -> bool:
    """Whether a method's last layer with an algorithm names one of the `TRIVIAL` modules."""
    found = ""
    for layer in method.layers:
        model: Any = read_yaml(Path(layer), "model").get("model")
        algorithm = model.get("algorithm") if isinstance(model, dict) else None
        if isinstance(algorithm, dict):
            found = str(algorithm.get("class_path", found))
    return found.rpartition(".")[0] in TRIVIAL


def _columns(experiment: Experiment, figures: Mapping[str, Mapping[str, Printed]]) -> list[Column]:
    """All columns; those for reading first."""
    first, *others = experiment.metrics
    with_print = {metric for found in figures.values() for metric in found}
    columns = []
    for metric in experiment.metrics:
        columns += [Column(metric), *([Column(printed(metric), empty="")] if metric in with_print else [])]
    columns += [Column(gain(first)), Column(difference(first, experiment.reference)), Column(p_of(first))]
    columns += [Column(FIT), Column(SPEED)]
    for metric in others:
        names = (gain(metric), difference(metric, experiment.reference), p_of(metric))
        columns += [Column(name, shown=False) for name in names]
    return [*columns, *(Column(zero_shot(metric), shown=False) for metric in experiment.metrics)]


def _values(experiment: Experiment, runs: Runs) -> dict[Key, Values]:
    """The values of every cell that is a mean over users, (seeds, users)."""
    found, reference = {}, experiment.reference
    metrics = [metric for metric in experiment.metrics if not runs.is_of_runs(f"adapted/{metric}")]
    for method in runs.users:
        for metric in metrics:
            adapted, zero = runs.values(method, f"adapted/{metric}"), runs.values(method, f"zero_shot/{metric}")
            found[metric, method], found[zero_shot(metric), method] = adapted, zero
            found[gain(metric), method] = (adapted - zero) * (1 if higher_is_better(metric) else -1)
            if reference in runs.users and method != reference and runs.shared_seeds(method, reference):
                found[difference(metric, reference), method] = _less(metric, method, reference, runs)
        found[SPEED, method] = 1000 * runs.values(method, "seconds")
    return found


def _less(metric: str, method: str, other: str, runs: Runs) -> Values:
    """Values of a method minus those of another, over the seeds of both."""
    seeds, column = runs.shared_seeds(method, other), f"adapted/{metric}"
    return runs.values(method, column, seeds) - runs.values(other, column, seeds)


def _of_runs(metric: str, reference: str, runs: Runs) -> dict[Key, Cell]:
    """The cells of a metric that a run has but one value of: means over seeds, without an interval."""
    found = {}
    for method in runs.users:
        adapted, zero = (runs.values_of_runs(method, f"{mode}/{metric}") for mode in ("adapted", "zero_shot"))
        sign = 1 if higher_is_better(metric) else -1
        means = {metric: adapted, zero_shot(metric): zero, gain(metric): sign * (adapted - zero)}
        if reference in runs.users and method != reference and (seeds := runs.shared_seeds(method, reference)):
            own, other = (runs.values_of_runs(name, f"adapted/{metric}", seeds) for name in (method, reference))
            means[difference(metric, reference)] = own - other
        for name, values in means.items():
            mean = float(values.mean())
            found[name, method] = Cell(None if np.isnan(mean) else mean, seeds=len(values))
    return found


def _cell(interval: Interval, seeds: int) -> Cell:
    """A mean with its interval."""
    cell = Cell(tasks=interval.tasks, missing=interval.missing, seeds=seeds)
    return replace(cell, mean=interval.mean, low=interval.low, high=interval.high) if interval.tasks else cell


def _bold(metric: str, cells: Mapping[Key, Cell], runs: Runs) -> dict[Key, Cell]:
    """The cell of the best method in bold, if the intervals of its differences to all others exclude 0."""
    means = {method: mean for method in runs.users if (mean := cells[metric, method].mean) is not None}
    best, *others = sorted(means, key=lambda method: means[method], reverse=higher_is_better(metric)) or [""]
    if not others or not all(runs.shared_seeds(best, other) for other in others):
        return {}
    leads = mean_intervals([_less(metric, best, other, runs) for other in others])
    clear = all(lead.low > 0 if higher_is_better(metric) else lead.high < 0 for lead in leads)
    return {(metric, best): replace(cells[metric, best], bold=clear)}


def _tests(metric: str, reference: str, values: Mapping[Key, Values], runs: Runs) -> dict[Key, Cell]:
    """P-values of the differences in one metric, corrected for the number of rows."""
    name = difference(metric, reference)
    compared = [method for method in runs.users if (name, method) in values]
    if not compared:
        return {}
    users = np.stack([values[name, method].mean(axis=0) for method in compared])
    corrected = holm(sign_flip_test(np.where(np.abs(users) <= ROUNDING, 0.0, users)))
    return {
        (p_of(metric), method): Cell(None if np.isnan(p) else float(p), seeds=len(values[name, method]))
        for method, p in zip(compared, corrected, strict=True)
    }
