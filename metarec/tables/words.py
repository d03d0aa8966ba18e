"""The words of a table: heads of its columns, caption and foot."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metarec.experiment import Experiment
from metarec.metrics.intervals import described
from metarec.metrics.significance import RESAMPLES
from metarec.report import Runs, own_seconds
from metarec.tables.published import Printed
from metarec.tables.table import Cell, Row

FIT, SPEED = "fit s", "ms/user"
"""Heads of the columns of cost."""


def zero_shot(metric: str) -> str:
    """Head of a metric of the model that is not adapted."""
    return f"zero-shot {metric}"


def gain(metric: str) -> str:
    """Head of a gain by adaptation."""
    return f"gain in {metric}"


def difference(metric: str, reference: str) -> str:
    """Head of a difference to the reference row."""
    return f"{metric} - {reference}"


def p_of(metric: str) -> str:
    """Head of the p-values of the differences."""
    return f"p ({metric})"


def printed(metric: str) -> str:
    """Head of printed figures."""
    return f"printed {metric}"


def caption(experiment: Experiment, rows: Sequence[Row], figures: Mapping[str, Mapping[str, Printed]]) -> str:
    """What the table shows, over how many users and seeds, and how its intervals and tests were made.

    Args:
        experiment: the experiment.
        rows: the table's.
        figures: the printed figures in it.
    """
    first = experiment.metrics[0]
    cells = {metric: _column(rows, metric) for metric in experiment.metrics}
    whole = [metric for metric, found in cells.items() if any(c.mean is not None and not c.tasks for c in found)]
    users = {metric: _range(cell.tasks for cell in found) for metric, found in cells.items() if metric not in whole}
    most = next(iter(users.values()), "")
    others = ", ".join(f"{metric}: {count}" for metric, count in users.items() if count != most)
    over = f"{most} test tasks{f' ({others})' if others else ''} and " if users else ""
    seeds = [cell.seeds for cell in cells[first]]
    return " ".join(
        [
            experiment.shows,
            f"Mean over {over}{_range(seeds)} model seed(s),",
            f"in brackets {described(max(seeds))}. A value is {_own(experiment.metrics)};",
            f"gain: adapted against zero-shot; {difference(first, experiment.reference)}: paired by user and seed;",
            "p: paired permutation test of that difference over users, seeds averaged first, with Holm's correction",
            f"for the rows of the table (of {RESAMPLES:,} draws of signs: before it, {2 / (RESAMPLES + 1):g} is the",
            "least). Bold: the best row, where the intervals of its paired differences to all others exclude 0.",
            "fit s: training and selection; ms/user: adapting to one user alone and predicting.",
            *(
                [f"{', '.join(whole)}: one value a run, over all test users at once, hence no interval."]
                if whole
                else []
            ),
            *_sources(figures),
        ]
    )


def _own(metrics: Sequence[str]) -> str:
    """What is to be said of metrics that could be taken over all rows at once; of AUC, what it is."""
    what = "one user's own"
    if "auc" in metrics:
        what += "; auc: the share of pairs of an item with a click and a sampled one in the right order"
    return what


def _sources(figures: Mapping[str, Mapping[str, Printed]]) -> list[str]:
    """Where printed figures are from."""
    named = {
        f"{method}: {found.model} in {found.source}, {found.place}{' (not verified)' * (found.cell.mean is None)}": None
        for method, own in figures.items()
        for found in own.values()
    }
    if not named:
        return []
    return [f"Printed, not run here, and on other draws of the tasks: {'; '.join(named)}; else empty."]


def foot(runs: Runs, rows: Sequence[Row]) -> str:
    """Where the table is from: commit, digests, seeds and cost of its runs.

    Args:
        runs: the runs.
        rows: the table's.
    """
    summaries = [summary for found in runs.summaries.values() for summary in found.values()]
    parts = [
        f"Runs of commit {', '.join(_commits(summaries))}",
        *(f"{part} {_digest(summaries[0], part)}" for part in ("data", "split", "episodes")),
        f"seeds {', '.join(map(str, sorted({seed for found in runs.users.values() for seed in found})))}",
        f"cost: {sum(map(own_seconds, summaries)):,.0f} s of training and selection in all, {_speeds(rows)} ms/user",
        *([f"not run: {', '.join(runs.without)}"] if runs.without else []),
    ]
    return f"{'; '.join(parts)}."


def _commits(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The commits that runs were made at, shortened; + stands for changes that were not committed."""
    found = sorted({one or "" for summary in summaries for one in summary.get("commits", [summary.get("commit")])})
    return [f"{commit[:10]}{'+' * commit.endswith('+')}" or "not recorded" for commit in found]


def _digest(summary: Mapping[str, Any], part: str) -> str:
    """Name and shortened digest of data, split or episodes."""
    found = summary.get(part, {})
    return " ".join(filter(None, [found.get("name"), (found.get("digest") or "unknown")[:12]]))


def _speeds(rows: Sequence[Row]) -> str:
    """The smallest and the largest time to adapt to one user."""
    found = [cell.mean for cell in _column(rows, SPEED) if cell.mean is not None]
    return f"{min(found):.2f} to {max(found):.2f}" if found else "unknown"


def _column(rows: Sequence[Row], name: str) -> list[Cell]:
    return [row.cells[name] for row in rows]


def _range(counts: Iterable[int]) -> str:
    """The number that all share, or the smallest and the largest."""
    found = sorted(set(counts))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
