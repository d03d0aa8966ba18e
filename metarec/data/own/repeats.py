"""Pairs of user and item that come more than once."""

from typing import Literal

import numpy as np

from metarec.data.own.columns import Codes
from metarec.data.ratings import BoolArray, FloatArray, IntArray

Policy = Literal["last", "mean", "error"]


def repeated(user: Codes, item: Codes) -> IntArray:
    """Rows whose pair comes more than once, equal pairs one after the other, each in the order of rows.

    Args:
        user: shape (N,).
        item: shape (N,).
    """
    pairs = user.astype(np.int64) * (int(item.max()) + 1) + item
    ordered = np.sort(pairs)
    again: IntArray = ordered[1:][ordered[1:] == ordered[:-1]]
    again = again[np.diff(again, prepend=-1) > 0]
    del ordered
    if not len(again):
        return again
    place = np.minimum(np.searchsorted(again, pairs), len(again) - 1)
    rows = np.flatnonzero(again[place] == pairs)
    return rows[np.argsort(pairs[rows], kind="stable")]


def settle(
    rows: IntArray, user: Codes, item: Codes, rating: FloatArray, time: IntArray | None, policy: Policy
) -> BoolArray:
    """Leave one row of each pair, and write its rating in place.

    Args:
        rows: what `repeated` gives, at least one.
        user: shape (N,).
        item: shape (N,).
        rating: shape (N,); with `mean`, the rating of the row that stays becomes the mean of its pair's.
        time: shape (N,); null: there are no times.
        policy: `last` keeps the last rating in time, of equal times the last in the file; `mean` keeps the same row.

    Returns:
        Which rows stay, shape (N,).
    """
    if time is not None:
        rows = rows[np.lexsort((rows, time[rows], item[rows], user[rows]))]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = (user[rows[1:]] != user[rows[:-1]]) | (item[rows[1:]] != item[rows[:-1]])
    last = np.roll(first, -1)
    stays = np.ones(len(user), dtype=np.bool_)
    stays[rows[~last]] = False
    if policy == "mean":
        starts = np.flatnonzero(first)
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
        values = rating[rows][np.lexsort((rating[rows], group))].astype(np.float64)
        rating[rows[last]] = np.add.reduceat(values, starts) / np.bincount(group)
    return stays
