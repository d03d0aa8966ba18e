"""Errors of a stream in which each event is first scored, then learned from; numpy and scipy only.

The mean over all events so far forgets nothing, so that it hides what a model has come to. Gama, Sebastião and
Rodrigues (Machine Learning 90, 2013, doi 10.1007/s10994-012-5320-9) let it forget, by a sliding window or by a fading
factor; both are here, for any loss of one event. A root mean square is the root of such a mean of squared errors.
"""

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from metarec.metrics.intervals import Interval, mean_interval

FloatArray = npt.NDArray[np.float64]

SEEN = (0, 1, 2, 3, 5, 10, 20)
"""Where each group of events begins, by how many events of the same user came before: 0, 1, 2, 3-4, 5-9, 10-19, 20+."""


def windowed(loss: npt.ArrayLike, size: int) -> FloatArray:
    """Mean loss over the last `size` events, at each event: 1/size sum_{k = i - size + 1 .. i} loss_k.

    Args:
        loss: of each event, in the order of time, (N,).
        size: how many events, >= 1. Before there are so many, the mean is over all there are.

    Returns:
        (N,); the first value is the first event's loss.

    Raises:
        ValueError: size is out of range, or a loss is not finite.

    Example:
        >>> windowed([1.0, 3.0, 5.0, 1.0], 2).tolist()
        [1.0, 2.0, 4.0, 3.0]
    """
    values = _finite(loss)
    if size < 1:
        raise ValueError(f"size={size}; give a number of events >= 1")
    total = np.append(0.0, values.cumsum())
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - size, 0)
    mean: FloatArray = (total[stop] - total[start]) / (stop - start)
    return mean


def fading(loss: npt.ArrayLike, factor: float) -> FloatArray:
    """Mean loss in which an event counts `factor` times as much with every event that follows it, at each event.

    M_i = S_i / B_i with S_i = loss_i + factor S_{i-1} and B_i = 1 + factor B_{i-1}. The weights sum to 1 / (1 - factor)
    in the long run: as many events as count.

    Args:
        loss: of each event, in the order of time, (N,).
        factor: in (0, 1]; 1: the mean over all events so far.

    Returns:
        (N,); the first value is the first event's loss.

    Raises:
        ValueError: the factor is out of range, or a loss is not finite.

    Example:
        >>> fading([1.0, 4.0], 0.5).tolist()  # (4 + 0.5 x 1) / (1 + 0.5)
        [1.0, 3.0]
    """
    values = _finite(loss)
    if not 0 < factor <= 1:
        raise ValueError(f"factor={factor}; give a number > 0 and <= 1")
    if not len(values):
        return values
    summed, count = (lfilter([1.0], [1.0, -factor], column) for column in (values, np.ones_like(values)))
    mean: FloatArray = summed / count
    return mean


def groups_of(seen: npt.ArrayLike, starts: tuple[int, ...] = SEEN) -> npt.NDArray[np.int64]:
    """Number of each event's group, (N,): the last of `starts` that is not above the number of events seen."""
    found: npt.NDArray[np.int64] = np.searchsorted(np.asarray(starts), np.asarray(seen), side="right") - 1
    return found


def group_names(starts: tuple[int, ...] = SEEN) -> list[str]:
    """What the groups are called, such as 0, 3-4 and 20+."""
    ends = [*(start - 1 for start in starts[1:]), None]
    return [
        f"{start}+" if end is None else str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    ]


def user_means(user: npt.ArrayLike, loss: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Users in ascending order, and the mean loss of each one's events, (U,) both."""
    users, place, count = np.unique(np.asarray(user), return_inverse=True, return_counts=True)
    return users, np.bincount(place, weights=_finite(loss), minlength=len(users)) / count


def user_interval(
    user: npt.ArrayLike, loss: npt.ArrayLike, *, level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> Interval:
    """Mean over users of each user's mean loss, and its bootstrap interval over users.

    Args:
        user: whose event it is, (N,).
        loss: of the event, (N,).
        level: of the interval.
        resamples: how often users are drawn.
        seed: of the draws.

    Example:
        >>> user_interval([7, 7, 9], [1.0, 3.0, 4.0]).mean  # of user means 2 and 4
        3.0
    """
    return mean_interval(user_means(user, loss)[1], level=level, resamples=resamples, seed=seed)


def months_of(seconds: npt.ArrayLike) -> npt.NDArray[np.datetime64]:
    """Calendar month (UTC) of each time in seconds since 1970, (N,)."""
    found: npt.NDArray[np.datetime64] = np.asarray(seconds).astype("datetime64[s]").astype("datetime64[M]")
    return found


def _finite(loss: npt.ArrayLike) -> FloatArray:
    """The losses as float64, (N,)."""
    values = np.asarray(loss, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"losses of shape {values.shape}; give (N,) finite numbers, one an event")
    return values
