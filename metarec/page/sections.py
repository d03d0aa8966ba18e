"""The parts of an experiment's page, each from what its runs left."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarec.experiment import tuned_layer
from metarec.k_shot import table as k_shot
from metarec.page import elements
from metarec.plots import style
from metarec.plots.pictures import KINDS, draw_all
from metarec.plots.runs import Runs
from metarec.tables.markdown import as_markdown

CAPTIONS = {
    "dots": "{metric}: mean of each method with its 95 % interval, and its paired difference to {reference}",
    "k-shot": "{metric} with k ratings of a user to adapt on",
    "learning": "{metric} of validation users while training",
    "gain": "What adaptation gains in {metric}, by users' number of ratings",
    "differences": "How a user's {metric} differs from that by {reference}: quantiles over test users",
    "time": "Time of training, and of adapting to one user",
}
COSTS = {
    "parameters": "parameters",
    "epochs": "epochs",
    "steps": "outer steps",
    "fit_seconds": "fit s",
    "select_seconds": "selection s",
    "test_seconds": "test s",
    "peak_memory_mb": "peak MiB",
}
"""Columns of the cost table, by their names in ``metrics.json``."""

SOURCES = {
    "metarec": ("metarec",),
    "torch": ("torch",),
    "data": ("data", "name"),
    "data from": ("data", "source"),
    "digest of the data": ("data", "digest"),
    "digest of the split": ("split", "digest"),
    "digest of the test episodes": ("episodes", "digest"),
    "test users": ("users",),
}
"""What runs have in common, and where ``metrics.json`` holds it."""


def table_html(runs: Runs) -> str:
    """The table of `metarec table` as HTML."""
    return _html(as_markdown(runs.table), runs)


def _html(markdown: str, runs: Runs) -> str:
    """A printed table as HTML, without what the page says above it already."""
    return elements.of_markdown(markdown.removeprefix(runs.experiment.shows).strip(), runs.experiment.reference)


def k_shot_html(runs: Runs) -> str:
    """The table of `metarec curves` as HTML; empty where runs left no k-shot curve."""
    if not _files(runs, "k_shot.parquet"):
        return ""
    found = runs.k_shot(runs.experiment.metrics[0])
    return _html(k_shot.as_markdown(found, runs.experiment), runs)


def warnings(runs: Runs, odd: Sequence[str], scenario: str = "") -> str:
    """What a reader must know before the numbers: methods that are not finished, or ran otherwise."""
    found = []
    if runs.unfinished:
        found.append(f"Not finished for all of the seeds {runs.seeds}: {', '.join(runs.unfinished)}.")
    if odd:
        found.append(f"Not as the experiment file says now: {', '.join(odd)}.")
    of = f"{scenario}: " if scenario else ""
    return "\n".join(elements.paragraph(f"{of}{sentence}", "warning") for sentence in found)


def figures(runs: Runs, name: str) -> str:
    """All figures: dots of every metric, the other kinds of the first one; and what there is no figure of, and why."""
    first, *others = runs.experiment.metrics
    drawn, refused = draw_all(runs, list(KINDS), [first], name)
    for metric in others:
        more, missing = draw_all(runs, ["dots"], [metric], name)
        drawn, refused = drawn | more, refused | missing
    order = sorted(drawn, key=lambda key: list(KINDS).index(key[0]))
    named = {"reference": runs.experiment.reference}
    shown = [
        elements.figure(style.svg(drawn[kind, metric]), CAPTIONS[kind].format(metric=metric, **named))
        for kind, metric in order
    ]
    left_out = [elements.paragraph(f"No figure {kind}: {reason}.") for (kind, _), reason in refused.items()]
    return "\n".join([*shown, *left_out])


def cost(runs: Runs) -> str:
    """Means over model seeds of what each method took, and what its tuning had taken."""
    adapt = {row["method"]: row["mean"] for row in runs.records if row["metric"] == "adapt_seconds"}
    rows = []
    for method in runs.methods:
        own = [summary for (name, _), summary in runs.summaries.items() if name == method]
        means = [_mean([summary.get(key) for summary in own]) for key in COSTS]
        rows.append([method, len(own), *means, _number(1000 * adapt[method])])
    head = ["method", "seeds", *COSTS.values(), "ms/user"]
    notes = [(name, _comment(layer)) for name in runs.methods if (layer := _tuned(runs, name))]
    tuning = elements.details("Tuning, on validation users", elements.listed(notes)) if notes else ""
    return "\n".join(
        [
            elements.paragraph(
                "Means over model seeds. Weights that a method borrows are not counted here, but in the table above. "
                "ms/user: adapting to one user alone and predicting."
            ),
            elements.table(head, rows),
            tuning,
        ]
    )


def sources(runs: Runs) -> str:
    """Versions and digests; several values where runs differ."""
    found = [(name, _values(runs.summaries.values(), path)) for name, path in SOURCES.items()]
    return elements.listed((name, value) for name, value in found if value)


def again(runs: Sequence[Runs], file: Path, options: str) -> str:
    """The commands that make all of this again.

    Args:
        runs: the runs, by scenario.
        file: the experiment file.
        options: what the commands need beside it, as a shell takes it.
    """
    given = " ".join(filter(None, [shlex.quote(str(file)), options]))
    commands = ["tune"] if any(own.experiment.tuned for own in runs) else []
    lines = [f"metarec {command} {given}" for command in (*commands, "run", "table", "plot", "report")]
    plain = [
        json.loads(path.read_text("utf-8"))["command"] for own in runs for path in _files(own, "job.json").values()
    ]
    each = elements.details("The plain command of each run", elements.code("\n\n".join(plain))) if plain else ""
    return "\n".join([elements.code("\n".join(lines)), each])


def configuration(runs: Mapping[str, Runs], file: Path) -> str:
    """The experiment file, and for each run all that it was configured with."""
    parts = [elements.details(f"The experiment: {file}", elements.code(file.read_text("utf-8")))]
    for scenario, own in runs.items():
        inner = "\n".join(_configured(own, method) for method in own.methods)
        parts.append(elements.details(scenario, inner) if scenario else inner)
    return "\n".join(parts)


def _configured(runs: Runs, method: str) -> str:
    """What a method's runs were configured with."""
    configs = _files(runs, "config.yaml")
    own = [(seed, path) for (name, seed), path in configs.items() if name == method]
    inner = [elements.details(f"seed {seed}", elements.code(path.read_text("utf-8"))) for seed, path in own]
    if layer := _tuned(runs, method):
        inner.insert(0, elements.details("settings chosen by tuning", elements.code(layer.read_text("utf-8"))))
    return elements.details(method, "\n".join(inner) or elements.paragraph("No config.yaml was left."))


def _files(runs: Runs, name: str) -> dict[tuple[str, int], Path]:
    """A file of each run folder that has it."""
    return {key: path for key, folder in runs.folders.items() if (path := folder / name).is_file()}


def _tuned(runs: Runs, method: str) -> Path | None:
    """The layer that `metarec tune` wrote for a method."""
    path = tuned_layer(runs.experiment.tuned or "", method)
    return path if runs.experiment.tuned and path.is_file() else None


def _comment(path: Path) -> str:
    """What the head of a tuned layer says of the trials."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    return " ".join(line.removeprefix("#").strip() for line in lines)


def _values(summaries: Any, path: Sequence[str]) -> str:
    """What runs hold under a path of keys, each value once."""
    found: list[str] = []
    for summary in summaries:
        value: Any = summary
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        found += [] if value is None else [str(value)]
    return ", ".join(dict.fromkeys(found))


def _mean(values: Sequence[float | None]) -> str:
    """The mean of the values that are there, a dash without any."""
    found = [value for value in values if value is not None]
    return _number(sum(found) / len(found)) if found else "-"


def _number(value: float) -> str:
    """Whole from 100 on, else with three figures or so."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
