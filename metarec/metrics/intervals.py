"""Bootstrap intervals over users, from the per-task values of finished runs; numpy and scipy only.

The users are what a table generalises over, so users are what is resampled. Seeds are not: a user's values
are first averaged over seeds; one who lacks a value in any seed has none. The intervals say how much the mean
depends on which users were drawn, not how much on the seed.

The method is the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13). BCa corrects for bias and skewness, which the mean over hundreds of users hardly has, costs a
jackknife quadratic in the users, and is undefined for constant values. Below some 20 users the percentile
interval is a little too narrow.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

FloatArray = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 1_000_000
"""Users times resamples held in memory at a time: about 16 MB."""


class Interval(NamedTuple):
    """A mean with its confidence interval.

    Attributes:
        mean: mean over the users that have a value; NaN without any.
        low: lower end.
        high: upper end.
        tasks: number of users in the mean.
        missing: number of users left out, because they had no value. Print it: a method that diverges for the
            users it finds hard would otherwise look better for it.
    """

    mean: float
    low: float
    high: float
    tasks: int
    missing: int


def mean_interval(values: npt.ArrayLike, *, level: float = 0.95, resamples: int = 9_999, seed: int = 0) -> Interval:
    """Mean over users and its percentile bootstrap interval.

    Args:
        values: one value per user, NaN = none, shape (users,) or (seeds, users).
        level: probability that the interval is to cover the true mean, in (0, 1). For m comparisons at a
            time, ``1 - 0.05 / m`` is Bonferroni's.
        resamples: how often users are drawn with replacement.
        seed: of the draws; equal input and seed give an equal interval.

    Returns:
        The interval; ``low == high == mean`` for one user or equal values, all NaN for no user.

    Raises:
        ValueError: if the shape is another one, a value is infinite, or level or resamples is out of range.

    Example:
        >>> mean_interval([1.0, 2.0, 3.0, 4.0, float("nan")])
        Interval(mean=2.5, low=1.5, high=3.5, tasks=4, missing=1)
    """
    return _interval(_over_seeds(values), level, resamples, seed)


def paired_interval(
    values: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Interval:
    """Mean of ``values - reference`` over the users that have both, and its interval.

    Users are drawn as pairs, that is, their differences are: what makes a user easy for both methods
    cancels, and the interval is narrower than that of two independent means. Each side is averaged over its
    own seeds first, so the two may have a different number of seeds, but column u must be the same user in
    both.

    Args:
        values: one value per user, NaN = none, shape (users,) or (seeds, users).
        reference: what to compare with, for the same users in the same order.
        level: probability that the interval is to cover the true mean difference, in (0, 1).
        resamples: how often users are drawn with replacement.
        seed: of the draws.

    Returns:
        The interval of the difference; ``missing`` counts the users that lack one of the two.

    Raises:
        ValueError: if the numbers of users differ, or as in ``mean_interval``.

    Example:
        >>> paired_interval([2.0, 4.0, 6.0], [1.0, 3.0, 5.0])
        Interval(mean=1.0, low=1.0, high=1.0, tasks=3, missing=0)
    """
    left, right = _over_seeds(values), _over_seeds(reference)
    if left.shape != right.shape:
        raise ValueError(f"got values of {left.size} users and a reference of {right.size}; pairs need the same users")
    return _interval(left - right, level, resamples, seed)


def _over_seeds(values: npt.ArrayLike) -> FloatArray:
    """Mean over seeds, NaN where one of them has no value, since a seed that diverged must count; shape (users,)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2):
        raise ValueError(f"values have shape {array.shape}; give (users,) or (seeds, users)")
    if np.isinf(array).any():
        raise ValueError("values contain an infinite one; a value must be finite, or NaN where a user has none")
    array = np.atleast_2d(array)
    mean: FloatArray = array.mean(axis=0) if len(array) else np.full(array.shape[1], np.nan)
    return mean


def _interval(users: FloatArray, level: float, resamples: int, seed: int) -> Interval:
    """The interval of the mean of one value per user, shape (users,)."""
    if not 0 < level < 1:
        raise ValueError(f"level={level!r} is not a probability between 0 and 1; the usual one is 0.95")
    if resamples < 1:
        raise ValueError(f"resamples={resamples!r}; give at least 1, and about 10,000 for a printed table")
    kept = users[~np.isnan(users)]
    missing = users.size - kept.size
    if kept.size == 0:
        return Interval(np.nan, np.nan, np.nan, 0, missing)
    if np.ptp(kept) == 0:
        value = float(kept[0])
        return Interval(value, value, value, kept.size, missing)
    low, high = bootstrap(
        (kept,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _DRAWS_AT_ONCE // kept.size),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(kept.mean()), float(low), float(high), kept.size, missing)
