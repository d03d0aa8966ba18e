"""From one value a user, draw and k to a curve with intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from metarec.metrics.intervals import Interval, mean_intervals
from metarec.metrics.shots import area_under_shots, shots_to_share

FloatArray = npt.NDArray[np.float64]

KEYS = ("user", "draw", "k")
"""Columns of ``k_shot.parquet`` that are no metrics."""

SHARE = 0.95
"""Of the last gain, for the shots needed."""


class Curve(NamedTuple):
    """A metric over the number of shots.

    Attributes:
        shots: the numbers k, ascending.
        points: mean over users and its interval at each of them.
        area: mean over users of `area_under_shots`, and its interval.
        needed: `shots_to_share` of the mean curve at 95 %; NaN where there is no gain.
        higher_is_better: whether larger values are better.
    """

    shots: list[int]
    points: list[Interval]
    area: Interval
    needed: float
    higher_is_better: bool


def of_users(table: pd.DataFrame, metric: str) -> tuple[list[int], FloatArray]:
    """The shots of a ``k_shot.parquet``, and a metric at each, (users, K): means over a user's draws.

    A user who lacks a value in one of the draws has none. Users stand in the order of their ids.
    """
    wide = table.groupby(["user", "k"])[metric].mean(skipna=False).unstack("k")
    return [int(k) for k in wide.columns], wide.to_numpy(np.float64)


def curve(shots: Sequence[int], values: npt.ArrayLike, higher_is_better: bool, resamples: int = 9_999) -> Curve:
    """The curve of means over users and seeds, with 95 % bootstrap intervals over users and seeds.

    A mean at k, and the shots needed, are of the users that have a value at every k, so that all points of a curve
    are of the same users.

    Args:
        shots: the numbers k, ascending.
        values: shape (users, K) or (seeds, users, K).
        higher_is_better: whether larger values are better.
        resamples: of each interval's bootstrap.
    """
    array = np.array(values, dtype=np.float64, ndmin=3)
    array[:, np.isnan(array).any(axis=(0, 2))] = np.nan
    heights = [*np.moveaxis(array, -1, 0), area_under_shots(shots, array)]
    *points, area = mean_intervals(heights, resamples=resamples)
    needed = shots_to_share(shots, [point.mean for point in points], higher_is_better, SHARE)
    return Curve(list(shots), list(points), area, needed, higher_is_better)


def as_plain(curve: Curve) -> dict[str, Any]:
    """The curve as JSON holds it: a list for each end of the intervals, null for what is not a number."""
    return {
        "higher_is_better": curve.higher_is_better,
        "mean": [plain(point.mean) for point in curve.points],
        "low": [plain(point.low) for point in curve.points],
        "high": [plain(point.high) for point in curve.points],
        "tasks": curve.area.tasks,
        "missing": curve.area.missing,
        "area": {"mean": plain(curve.area.mean), "low": plain(curve.area.low), "high": plain(curve.area.high)},
        "shots_to_95": plain(curve.needed),
    }


def plain(value: float) -> float | None:
    """A number that JSON can hold; null for one that is not finite."""
    return value if math.isfinite(value) else None
