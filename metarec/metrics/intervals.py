"""Bootstrap intervals over users and model seeds, from the per-task values of finished runs; numpy and scipy only.

A table generalises over users and over model seeds, so both are resampled: in each draw the users and, within the draw,
the seeds, with replacement. All users of a draw share its seeds, as all users are served by one model: with a seed of
its own for every user, what a seed does to everybody would average out. (Owen, The pigeonhole bootstrap, Annals of
Applied Statistics 1(2), 2007, treats such crossed data; the interval is rather a little too wide than too narrow.) With
one seed only users are drawn, and the interval says nothing of other seeds; with two or three, the spread of seeds is
itself known badly, and S of them show (S - 1) / S of their variance. A user who lacks a value in any seed has none.

The ends are percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). BCa corrects for
bias and skewness, which the mean over hundreds of users hardly has, costs a jackknife quadratic in the users, and is
undefined for constant values. Below some 20 users the percentile interval is a little too narrow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

FloatArray = npt.NDArray[np.float64]

_DRAWS_AT_ONCE = 1_000_000
"""Users times resamples held in memory at a time: some 40 MB."""


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


def described(seeds: int) -> str:
    """What a caption says of the intervals of this many model seeds."""
    return "the 95 % bootstrap interval over users" + (" and model seeds, both drawn anew each time" * (seeds > 1))


def mean_interval(values: npt.ArrayLike, *, level: float = 0.95, resamples: int = 9_999, seed: int = 0) -> Interval:
    """Mean over users and model seeds, and its percentile bootstrap interval.

    Draw b takes users u_1 .. u_U and seeds s_1 .. s_S with replacement, and has the mean

        m_b = 1 / (S U)  sum_i sum_j values[s_i, u_j].

    Args:
        values: one value per user, NaN = none, shape (users,) or (seeds, users).
        level: probability that the interval is to cover the true mean, in (0, 1). For m comparisons at a
            time, ``1 - 0.05 / m`` is Bonferroni's.
        resamples: how often users and seeds are drawn.
        seed: of the draws; equal input and seed give an equal interval.

    Returns:
        The interval; ``low == high == mean`` for one user or equal values, all NaN for no user.

    Raises:
        ValueError: if the shape is another one, a value is infinite, or level or resamples is out of range.

    Example:
        >>> mean_interval([1.0, 2.0, 3.0, 4.0, float("nan")])
        Interval(mean=2.5, low=1.5, high=3.5, tasks=4, missing=1)
    """
    return mean_intervals([values], level=level, resamples=resamples, seed=seed)[0]


def paired_interval(
    values: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Interval:
    """Mean of ``values - reference`` over users and seeds that both have, and its interval.

    Users and seeds are drawn as pairs, that is, their differences are: what makes a user easy for both methods
    cancels, and the interval is narrower than that of two independent means. Row s must be the same model seed, and
    column u the same user, in both.

    Args:
        values: one value per user, NaN = none, shape (users,) or (seeds, users).
        reference: what to compare with, for the same users and seeds in the same order.
        level: probability that the interval is to cover the true mean difference, in (0, 1).
        resamples: how often users and seeds are drawn.
        seed: of the draws.

    Returns:
        The interval of the difference; ``missing`` counts the users that lack one of the two.

    Raises:
        ValueError: if the numbers of users or seeds differ, or as in ``mean_interval``.

    Example:
        >>> paired_interval([2.0, 4.0, 6.0], [1.0, 3.0, 5.0])
        Interval(mean=1.0, low=1.0, high=1.0, tasks=3, missing=0)
    """
    left, right = _table(values), _table(reference)
    if left.shape != right.shape:
        raise ValueError(
            f"got values of {left.shape[1]} users and a reference of {right.shape[1]}, of {len(left)} and {len(right)} "
            "seeds; pairs need the same users and seeds"
        )
    return mean_interval(left - right, level=level, resamples=resamples, seed=seed)


def mean_intervals(
    values: Sequence[npt.ArrayLike], *, level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> list[Interval]:
    """The intervals of `mean_interval` for many cells of a table, in a fraction of the time.

    Cells with the same seeds and users are resampled at once: equal sizes and seed mean equal draws anyway.

    Args:
        values: of each cell, as in ``mean_interval``.
        level: probability that an interval is to cover its true mean, in (0, 1).
        resamples: how often users and seeds are drawn.
        seed: of the draws.

    Raises:
        ValueError: as in ``mean_interval``.

    Example:
        >>> [each.mean for each in mean_intervals([[1.0, 2.0], [[4.0], [6.0]]])]
        [1.5, 5.0]
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r} is not a probability between 0 and 1; the usual one is 0.95")
    if resamples < 1:
        raise ValueError(f"resamples={resamples!r}; give at least 1, and about 10,000 for a printed table")
    tables = [_table(each) for each in values]
    alike: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for place, table in enumerate(tables):
        alike.setdefault((table.shape, np.isnan(table).any(axis=0).tobytes()), []).append(place)
    found: dict[int, Interval] = {}
    for places in alike.values():
        found |= dict(zip(places, _together([tables[p] for p in places], level, resamples, seed), strict=True))
    return [found[place] for place in range(len(tables))]


def _table(values: npt.ArrayLike) -> FloatArray:
    """The values as (seeds, users)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2):
        raise ValueError(f"values have shape {array.shape}; give (users,) or (seeds, users)")
    if np.isinf(array).any():
        raise ValueError("values contain an infinite one; a value must be finite, or NaN where a user has none")
    return np.atleast_2d(array)


def _together(tables: Sequence[FloatArray], level: float, resamples: int, seed: int) -> list[Interval]:
    """The intervals of cells that have the same seeds, and values of the same users."""
    stacked = np.stack(tables)
    counted = ~np.isnan(stacked[0]).any(axis=0)
    kept, missing = stacked[:, :, counted], int((~counted).sum())
    if kept.size == 0:
        return [Interval(np.nan, np.nan, np.nan, 0, stacked.shape[2])] * len(tables)
    low, high = (kept[:, 0, 0].copy() for _ in range(2))
    mean = low.copy()
    if len(spread := np.flatnonzero(np.ptp(kept, axis=(1, 2)))):
        mean[spread] = kept[spread].mean(axis=(1, 2))
        low[spread], high[spread] = _ends(kept[spread], level, resamples, seed)
    ends = zip(mean.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(*cell, int(counted.sum()), missing) for cell in ends]


def _ends(cells: FloatArray, level: float, resamples: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of each cell's interval, from (cells, seeds, users) without a gap."""
    if cells.shape[2] == 1:
        cells = cells.swapaxes(1, 2)  # of one user only seeds vary
    number, seeds, users = cells.shape
    columns = cells.reshape(number * seeds, users).T / (seeds * users)

    def means(*drawn: npt.NDArray[np.int64], axis: int = -1) -> FloatArray:
        """Mean of each cell in each draw, (cells, draws), from the numbers of the users, and seeds, drawn."""
        sums = (_times_drawn(drawn[0], users) @ columns).reshape(-1, number, seeds)
        times = _times_drawn(drawn[1], seeds) if seeds > 1 else np.ones((len(sums), 1))
        found: FloatArray = np.einsum("dcs,ds->cd", sums, times)
        return found

    found = bootstrap(
        (np.arange(users), np.arange(seeds))[: 1 + (seeds > 1)],
        means,
        n_resamples=resamples,
        batch=max(1, _DRAWS_AT_ONCE // users),  # not fewer for many cells: a cell's draws depend on its own size alone
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return found.low, found.high


def _times_drawn(drawn: npt.NDArray[np.int64], size: int) -> FloatArray:
    """How often each of `size` numbers is among those of each draw, (draws, size)."""
    start = size * np.arange(len(drawn))[:, None]
    counts = np.bincount((drawn + start).ravel(), minlength=len(drawn) * size)
    return counts.reshape(len(drawn), size).astype(np.float64)
