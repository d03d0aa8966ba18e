"""Tasks by time: a user's history cut into consecutive windows, each a task of its own."""

import dataclasses

import numpy as np

from metarec.data.ratings import BoolArray, IntArray, Ratings, derived
from metarec.errors import InputError


def windows(ratings: Ratings, count: int | None = None, gap: int | None = None) -> Ratings:
    """Users who change: each user's ratings in time order, cut into consecutive windows, each of which is a user.

    With `order: time`, the support set of a task is its earlier part and the query set its later one. Every scenario
    puts all windows of a person's history on the same side of the split (`Ratings.person`), and results are averaged
    over a person's windows before they are averaged over people.

    Args:
        ratings: the data set; in a configuration, the function that reads it. It must have times.
        count: a window is full with so many ratings; the last one of a person may have fewer. Null: by gap alone.
        gap: a window ends where so much time passes until the next rating, in the data set's units (mostly seconds).
            Null: by count alone.

    Returns:
        The same ratings. Users are windows, with ids such as ``196#2`` for user 196's second one, and have their
        person's attributes. The name ends in ``-windows``, and the digest is another one. Ratings of one time are in
        the order of their items.

    Raises:
        InputError: neither count nor gap is given, or is below 1; the data set has no times, has tags, or is
            cut already.
    """
    if (count is None and gap is None) or min(count or 1, gap or 1) < 1 or 0 in (count, gap):
        raise InputError(f"windows: count {count}, gap {gap}; give a count of ratings, a gap in time, or both, >= 1")
    if not ratings.timed:
        raise InputError(f"windows: {ratings.name} has no times to cut histories by")
    if ratings.person is not None:
        raise InputError(f"windows: {ratings.name} is cut into windows already")
    if ratings.tags is not None:
        raise InputError(f"windows: the tags of {ratings.name} are of whole users; leave tags out (tags: 0)")
    order = np.lexsort((ratings.item, ratings.time, ratings.user))
    begins = _begins(ratings.user[order], ratings.time[order], count, gap)
    window = np.empty(len(ratings), dtype=np.int64)
    window[order] = begins.cumsum()
    person = np.append(0, ratings.user[order][begins])
    return dataclasses.replace(
        ratings,
        name=f"{ratings.name}-windows",
        source=f"{ratings.source}; cut into {len(person) - 1} windows (count {count}, gap {gap})",
        user=window,
        user_ids=_ids(ratings, person),
        user_titles=(),
        user_features=ratings.user_features.at(person),
        person=person,
        people=ratings.user_ids,
        digest=derived(ratings.digest, "windows", count, gap),
    )


def _begins(user: IntArray, time: IntArray, count: int | None, gap: int | None) -> BoolArray:
    """Whether each rating, in the order of users and time, begins a window, (N,)."""
    begins = np.append(True, user[1:] != user[:-1])
    if gap is not None:
        begins[1:] |= np.diff(time) >= gap
    if count is None:
        return begins
    start = np.maximum.accumulate(np.where(begins, np.arange(len(user)), 0))
    begins |= (np.arange(len(user)) - start) % count == 0
    return begins


def _ids(ratings: Ratings, person: IntArray) -> tuple[str, ...]:
    """The id of each window: its person's, and which of the person's windows it is, from 1."""
    first = np.append(True, person[1:] != person[:-1])
    number = np.arange(len(person)) - np.maximum.accumulate(np.where(first, np.arange(len(person)), 0)) + 1
    names = (
        f"{ratings.user_ids[row]}#{which}" for row, which in zip(person[1:].tolist(), number[1:].tolist(), strict=True)
    )
    return ("", *names)
