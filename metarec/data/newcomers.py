"""Who is known and who is new: the stage of every user and item, at random, by the time of arrival, or by lists."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from metarec.data.ratings import BoolArray, IntArray, Ratings
from metarec.errors import InputError

KNOWN, VAL, TEST, NOBODY = range(4)
"""Stages: trained on; new, and met in validation; new, and met in the test; of no stage, left out."""

By = Literal["random", "time"]
"""What decides who is new: a draw, or the time of the first rating."""

Stage = np.ndarray[Any, np.dtype[np.int8]]


class Stages(NamedTuple):
    """The stage of each user and item, and when stages begin.

    Attributes:
        user: stage of each user row, shape (users,).
        item: stage of each item row, shape (items,).
        starts: time at which validation begins, and the test; nothing of that time or later belongs to an earlier
            stage. Null: time plays no part.
    """

    user: Stage
    item: Stage
    starts: tuple[int, int] | None = None


def everyone(count: int, stage: int = KNOWN) -> Stage:
    """One stage for all `count` rows."""
    return np.full(count, stage, dtype=np.int8)


def drawn(rows: IntArray, count: int, fractions: Sequence[float], random: np.random.Generator) -> Stage:
    """Draw who is known, validates and tests.

    Args:
        rows: user (or item) rows to draw from, each once, ascending.
        count: how many rows there are in all; those not in `rows` get the stage NOBODY.
        fractions: shares of the three stages, see `checked_fractions`.
        random: source of the draw.

    Returns:
        The stage of each row, shape (count,).
    """
    mixed, cuts = random.permutation(rows), np.cumsum(fractions)[:2]
    first, second = (round(len(rows) * share) for share in cuts)
    stage = everyone(count, NOBODY)
    for number, part in enumerate((mixed[:first], mixed[first:second], mixed[second:])):
        stage[part] = number
    return stage


def drawn_users(ratings: Ratings, fractions: Sequence[float], random: np.random.Generator) -> Stage:
    """`drawn` of the users with ratings; the windows of a person's history, see `windows`, go to one stage."""
    person = people(ratings)
    stages = drawn(np.unique(person[ratings.user]), len(person), fractions, random)
    return stages[person]


def drawn_items(ratings: Ratings, fractions: Sequence[float], random: np.random.Generator) -> Stage:
    """`drawn` of the items with ratings."""
    return drawn(np.unique(ratings.item), len(ratings.item_ids), fractions, random)


def share(rows: IntArray, fraction: float, random: np.random.Generator) -> IntArray:
    """A random share of the rows."""
    mixed: IntArray = random.permutation(rows)
    return mixed[: round(len(rows) * fraction)]


def by_time(ratings: Ratings, fractions: Sequence[float], users: bool = False, items: bool = False) -> Stages:
    """Stages by the time of the first rating, of users, of items, or of both; where not, all are known.

    Args:
        ratings: the data set.
        fractions: shares of the ratings before, between and after the two moments, see `starts_of`.
        users: whether users are known, or new, by when they came; the windows of a person's history by the person.
        items: whether items are.

    Raises:
        InputError: see `starts_of`.
    """
    starts, person = starts_of(ratings, fractions), people(ratings)
    user, item = everyone(len(person)), everyone(len(ratings.item_ids))
    if users:
        user = arrived(person[ratings.user], ratings.time, len(person), starts)[person]
    if items:
        item = arrived(ratings.item, ratings.time, len(item), starts)
    return Stages(user, item, starts)


def people(ratings: Ratings) -> IntArray:
    """Which person each user row is, shape (users,): itself, unless users are windows of people's histories."""
    return np.arange(len(ratings.user_ids)) if ratings.person is None else ratings.person


def starts_of(ratings: Ratings, fractions: Sequence[float]) -> tuple[int, int]:
    """When validation and test begin, so that the shares of ratings before, between and after are as asked.

    Ratings of one time stay together, on the later side, so shares are met up to ties.

    Raises:
        InputError: the data set has no times, or so few that a stage has none.
    """
    if not ratings.timed:
        raise InputError(f"scenario by 'time': {ratings.name} has no times to cut at; give by: random")
    ordered = np.sort(ratings.time)
    first, second = (
        int(ordered[min(round(len(ordered) * share), len(ordered) - 1)]) for share in np.cumsum(fractions)[:2]
    )
    if not ordered[0] < first < second:
        raise InputError(
            f"scenario by 'time': the times of {ratings.name} cannot be cut at {list(fractions)}, too many ratings "
            "have the same; give other fractions, or by: random"
        )
    return first, second


def arrived(rows: IntArray, time: IntArray, count: int, starts: tuple[int, int]) -> Stage:
    """The stage in which each row's first rating lies.

    Args:
        rows: user (or item, or person) row of each rating, shape (N,).
        time: of each rating, shape (N,).
        count: how many rows there are; those without a rating get the stage NOBODY.
        starts: when validation and test begin.

    Returns:
        The stage of each row, shape (count,).
    """
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, rows, time)
    stage = np.searchsorted(np.array(starts), first, side="right").astype(np.int8)
    stage[first == np.iinfo(np.int64).max] = NOBODY
    return stage


def checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """The shares of the three stages.

    Raises:
        InputError: they are not three, not positive, or do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"fractions {list(fractions)}: give three positive shares that sum to 1, such as [0.8, 0.1, 0.1]"
        )
    return tuple(fractions)


def checked_share(share: float) -> float:
    """A share of those who are known, which validates.

    Raises:
        InputError: it is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"val_fraction {share}: give a share between 0 and 1")
    return share


def busy(rows: IntArray, bounds: tuple[int, float]) -> IntArray:
    """Which users (or items) occur in `rows` as often as the bounds admit, ascending."""
    found, count = np.unique(rows, return_counts=True)
    return found[(count >= bounds[0]) & (count <= bounds[1])]


def rated(rows: IntArray, count: int) -> BoolArray:
    """Which of `count` users (or items) occur in `rows`, shape (count,)."""
    found = np.zeros(count, dtype=np.bool_)
    found[rows] = True
    return found


def unlisted(ratings: Ratings, users: str | None, items: str | None) -> BoolArray:
    """Which ratings are neither of a listed user nor of a listed item, (N,).

    Args:
        ratings: N ratings.
        users: text file with one original user id a line; null: no user is listed.
        items: the same of items.

    Raises:
        InputError: see `listed`.
    """
    kept = np.ones(len(ratings), dtype=np.bool_)
    for path, ids, column in ((users, ratings.user_ids, ratings.user), (items, ratings.item_ids, ratings.item)):
        if path is not None:
            kept &= ~np.isin(column, listed(path, ids))
    return kept


def listed(path: str, ids: Sequence[str]) -> IntArray:
    """Rows of the ids that a text file lists, one a line.

    Args:
        path: the file.
        ids: the id of each row.

    Raises:
        InputError: the file cannot be read, is empty, or lists an id that is not in the data set.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a text file with one id a line") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8; convert it") from error
    row = {original: number for number, original in enumerate(ids)}
    unknown = [line for line in lines if line not in row]
    if unknown or not lines:
        raise InputError(
            f"{path}: {len(unknown)} of {len(lines)} ids are not in the data set: {unknown[:3]}; give ids as the data "
            "set's own files have them, one a line"
        )
    return np.array([row[line] for line in lines], dtype=np.int64)
