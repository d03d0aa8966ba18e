"""Times of users' own files that are odd: nothing is refused for them, but one line says what they are."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec.data.ratings import IntArray

TimeUnit = Literal["s", "ms", "us", "iso"]

LATEST = 10**10
"""Seconds; times behind it, in the year 2286, are in a smaller unit."""

SOON = 10**7
"""Seconds, some 4 months; times that end before it, once they were divided, were seconds."""

TIED = 0.75
"""Share of ratings that may have the time of another of their user. In MovieLens 100K half of them do, as people rate
several films in a second; where clocks count days, or a crawl gave the times, it is nearly all."""


def remarks(time: IntArray, user: npt.NDArray[Any], unit: TimeUnit) -> list[str]:
    """What is odd about times; ratings stand in their order all the same, equal times in the order of items.

    Args:
        time: seconds, shape (N,), N >= 1.
        user: whose each is, whole numbers >= 0, shape (N,).
        unit: that they were given in.
    """
    found = []
    low, high = int(time.min()), int(time.max())
    if high > LATEST:
        found.append(f"times reach {high} seconds, behind the year 2286: are they ms or us? (csv: time_unit)")
    elif unit in ("ms", "us") and 0 < high < SOON:
        found.append(f"the last time is within 4 months of 1970: give time_unit s if times are seconds, not {unit}")
    if low == high and len(time) > 1:
        found.append("all times are the same, so they order nothing: no scenario or order by time")
    if low < 0:
        found.append(f"{int((time < 0).sum())} of {len(time)} times are negative (before 1970)")
    if low < high and time[0] == high and bool((np.diff(time) <= 0).all()):
        found.append("times fall from row to row; what counts is the time, not the row")
    tied = _tied(time - low, user, high - low + 1)
    if low < high and tied > TIED * len(time):
        same = f"{tied} of {len(time)} ratings have the same time as another of their user"
        found.append(f"{same}, and stand in the order of items")
    return found


def told(path: str, found: Sequence[str]) -> str:
    """What is odd in one line, for the log; ``""``: nothing is."""
    return f"{path}: odd times: {'; '.join(found)}" if found else ""


def _tied(time: IntArray, user: npt.NDArray[Any], span: int) -> int:
    """How many rows have the user and time of one before."""
    if span < 2**62 // (int(user.max()) + 1):
        return int((np.diff(np.sort(user * np.int64(span) + time)) == 0).sum())
    return int(pd.DataFrame({"user": user, "time": time}).duplicated().sum())
