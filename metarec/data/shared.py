"""Data sets that a process has read, and splits that it has made, before it forked: its children have them already.

Empty in every other process. What is kept here is never changed: `Ratings` and `Split` are not.
"""

import json
import pickle
from typing import Any

from metarec.data.ratings import Ratings
from metarec.data.scenario import Scenario, Split, Tasks

_RATINGS: dict[str, Ratings] = {}
_SPLITS: dict[bytes, Split] = {}
KEPT = f"{__name__}.kept"
"""What a configuration may say in place of the function that reads a data set, with its name as argument."""


def keep(specification: dict[str, Any], ratings: Ratings, scenario: Scenario, tasks: Tasks) -> None:
    """Keep a data set and its split.

    Args:
        specification: what a configuration says of the data set, its ``class_path`` and ``init_args``.
        ratings: the data set.
        scenario: what divides it.
        tasks: whose ratings make a task.
    """
    _RATINGS[_name(specification)] = ratings
    _SPLITS[_division(scenario, ratings, tasks)] = scenario(ratings, tasks)


def kept(name: str) -> Ratings:
    """The data set that is kept under a name; in a configuration, in place of the function that reads it."""
    return _RATINGS[name]


def name_of(specification: dict[str, Any]) -> str | None:
    """The name under which the data set of this specification is kept; null: it is not."""
    name = _name(specification)
    return name if name in _RATINGS else None


def split_of(scenario: Scenario, ratings: Ratings, tasks: Tasks) -> Split:
    """The split that is kept of them, else made now."""
    if not _SPLITS:
        return scenario(ratings, tasks)
    found = _SPLITS.get(_division(scenario, ratings, tasks))
    return scenario(ratings, tasks) if found is None else found


def _name(specification: dict[str, Any]) -> str:
    """A data set's specification as text; equal for equal ones."""
    return json.dumps(specification, sort_keys=True, default=str)


def _division(scenario: Scenario, ratings: Ratings, tasks: Tasks) -> bytes:
    """What a split follows from: the very data set, and all that the scenario was given."""
    kind = type(scenario)
    return pickle.dumps((kind.__module__, kind.__qualname__, sorted(vars(scenario).items()), id(ratings), tasks))
