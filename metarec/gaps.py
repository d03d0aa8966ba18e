"""Gaps between groups of users, or of items where these are the tasks: for whom a run works worst; no torch."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec.data.ratings import UNKNOWN, BoolArray, FeatureTable
from metarec.errors import InputError, at_least
from metarec.messages import did_you_mean
from metarec.metrics import higher_is_better
from metarec.metrics.intervals import Interval, mean_interval

Values = npt.NDArray[np.float64]

DRAWS = 1_000
"""Random groupings that a gap is compared with."""


class Gap(NamedTuple):
    """A metric of groups of users.

    Attributes:
        groups: mean of each group with its 95 % bootstrap interval, the best first.
        compared: the groups with enough users to be compared.
        gap: worst minus best of these: >= 0 for errors, <= 0 where more is better; NaN if there are fewer than two.
        by_chance: mean gap if the same users were put into groups of these sizes at random. The gap of many small
            groups is large without any difference between them.
        share: share of random groupings whose gap is as large or larger, a p-value of a permutation test.
    """

    groups: dict[str, Interval]
    compared: list[str]
    gap: float
    by_chance: float
    share: float


def gap_of(
    values: npt.ArrayLike, groups: Sequence[str | tuple[str, ...]], better: bool, least: int = 10, seed: int = 0
) -> Gap:
    """The worst group's mean minus the best one's, over users that have a value.

    The difference between groups as a measure of unequal service: Ekstrand et al., All the cool kids, how do they fit
    in (FAT* 2018), compare means of user groups by age and gender. Of the differences the largest is reported here.

    Groups may overlap, as those of films by genre do; random groupings then hand around each one's whole set of groups.

    Args:
        values: one value a user, NaN = none, (users,).
        groups: each user's group, or groups, (users,).
        better: whether larger values are better.
        least: users with a value that a group must have to be compared; smaller ones are listed only.
        seed: of the random groupings and the intervals.

    Raises:
        ValueError: the numbers of values and groups differ.

    Example:
        >>> found = gap_of([1.0, 2.0, 4.0, 6.0], ["a", "a", "b", "b"], better=False, least=2)
        >>> found.gap, found.compared
        (3.5, ['a', 'b'])
    """
    array, sets = np.asarray(values, dtype=np.float64), [(own,) if isinstance(own, str) else own for own in groups]
    if array.shape != (len(sets),):
        raise ValueError(f"got values of shape {array.shape} for {len(sets)} groups; give one each a user")
    members = {str(name): np.array([name in own for own in sets]) for name in dict.fromkeys(n for s in sets for n in s)}
    means = {name: mean_interval(array[member], seed=seed) for name, member in members.items()}
    sign = -1 if better else 1
    means = dict(sorted(means.items(), key=lambda entry: (np.isnan(entry[1].mean), sign * entry[1].mean)))
    compared = [name for name, interval in means.items() if interval.tasks >= least]
    if len(compared) < 2:
        return Gap(means, compared, np.nan, np.nan, np.nan)
    member = np.stack([members[name] for name in compared])
    counted = member.any(axis=0) & ~np.isnan(array)
    kept, member = array[counted], member[:, counted]
    random = np.random.default_rng(seed)
    drawn = np.array([_range(kept, member[:, random.permutation(len(kept))]) for _ in range(DRAWS)])
    own_range = _range(kept, member)
    share = (1 + (drawn >= own_range - 1e-12).sum()) / (1 + DRAWS)
    return Gap(means, compared, sign * own_range, sign * float(drawn.mean()), float(share))


def _range(values: Values, member: BoolArray) -> float:
    """Largest minus smallest mean of the groups, whose members are (groups, users)."""
    return float(np.ptp(member @ values / member.sum(axis=1)))


def groups_of(table: FeatureTable, name: str, rows: Sequence[int]) -> list[tuple[str, ...]]:
    """The groups of users or items by an attribute: its value, each of its values, or ``""`` without one.

    Args:
        table: their attributes.
        name: the attribute.
        rows: which of them.

    Raises:
        KeyError: there is no such attribute.
    """
    values, own = table.values[name], list(rows)
    found: Iterable[list[int]]
    if name in table.multi_hot:
        found = ([int(column) for column in np.flatnonzero(row)] for row in table.multi_hot[name][own])
    else:
        codes = table.categorical[name] if name in table.categorical else table.lists[name]
        found = ([int(code) for code in row if code] for row in codes[own].reshape(len(own), -1))
    return [tuple(values[code] for code in row) or (UNKNOWN,) for row in found]


def users_of(table: pd.DataFrame) -> pd.DataFrame:
    """One row a test user, means over draws of their episode and over windows; `activity`: support and query size.

    Args:
        table: a run's ``per_task.parquet``.
    """
    users = table.groupby("user", sort=False, as_index=False).mean(skipna=False, numeric_only=True)
    return users.assign(activity=users["support_size"] + users["query_size"])


def binned(numbers: pd.Series, bins: int) -> list[str]:
    """Each user's group by a number: equally many users in each, as far as equal numbers stay together.

    Args:
        numbers: one a user.
        bins: how many groups, >= 1.

    Raises:
        InputError: `bins` is out of range.

    Example:
        >>> binned(pd.Series([1, 2, 3, 9]), bins=2)
        ['1 to 2', '1 to 2', '3 to 9', '3 to 9']
    """
    at_least(1, bins=bins)
    code = pd.qcut(numbers, bins, labels=False, duplicates="drop").fillna(0)
    ends = numbers.groupby(code).agg(["min", "max"])
    names = {group: f"{low:g}" if low == high else f"{low:g} to {high:g}" for group, low, high in ends.itertuples()}
    return [names[group] for group in code]


def column_of(users: pd.DataFrame, metric: str) -> Values:
    """The values of a metric; a bare name means the adapted model's.

    Raises:
        InputError: there is no such column.
    """
    known = [name for name in users if "/" in str(name)]
    name = metric if "/" in metric else f"adapted/{metric}"
    if name not in known:
        bare = [str(column).split("/", 1)[1] for column in known if str(column).startswith("adapted/")]
        cure = did_you_mean(metric, [*map(str, known), *bare]) or f"; there are {bare}"
        raise InputError(f"no metric '{metric}' in the run's per_task.parquet{cure}")
    values: Values = users[name].to_numpy(np.float64)
    return values


def as_markdown(gap: Gap, metric: str, by: str, least: int, kind: str = "users") -> str:
    """The groups as a Markdown table, and the gap below.

    Args:
        gap: what `gap_of` returned.
        metric: its name.
        by: what the groups are by.
        least: users that a group must have to be compared.
        kind: who they are, `users` or `items`.
    """
    lines = [f"| {by} | {metric} | {kind} | without a value |", "| --- | ---: | ---: | ---: |"]
    for name, found in gap.groups.items():
        mark = "" if name in gap.compared else " (not compared)"
        cell = "-" if found.tasks == 0 else f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
        lines.append(f"| {name or 'unknown'}{mark} | {cell} | {found.tasks} | {found.missing} |")
    if np.isnan(gap.gap):
        return "\n".join([*lines, "", f"No gap: fewer than two groups have {least} {kind} with a value."])
    direction = "more is better" if higher_is_better(metric.split("/")[-1]) else "less is better"
    worst, best = gap.compared[-1], gap.compared[0]
    return "\n".join(
        [
            *lines,
            "",
            f"Worst ({worst or 'unknown'}) minus best ({best or 'unknown'}): {gap.gap:+.3f}; {direction}. Random "
            f"groups of these sizes: {gap.by_chance:+.3f} on average, as large in {100 * gap.share:.1f} % of {DRAWS} "
            f"draws. In brackets 95 % bootstrap intervals over {kind}; groups of fewer than "
            f"{least} {kind} are not compared.",
        ]
    )
