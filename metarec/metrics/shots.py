"""Two numbers for a curve of a metric over k, the number of ratings that a model adapts on; numpy only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ROUNDING = 1e-6
"""A gain that is smaller comes from rounding: the method adapts nothing."""


def area_under_shots(shots: Sequence[int], values: npt.ArrayLike) -> FloatArray:
    """Mean height of a curve over x = log(1 + k), by the trapezoid rule; in units of the metric.

    With x_j = log(1 + k_j) and v_j the value at k_j,

        area = sum_j (x_{j+1} - x_j) (v_j + v_{j+1}) / 2  /  (x_last - x_first).

    It is between the smallest and the largest value, and small is good for an error, large for an nDCG. The axis is
    logarithmic since the first ratings matter most: over k itself, half of the area of k = 0, 1, 2, 3, 5, 10, 20 would
    lie between 10 and 20, where curves are flat. log(1 + k) has a place for k = 0.

    Args:
        shots: K >= 2 ascending numbers k >= 0.
        values: values of the metric, shape (..., K).

    Returns:
        Shape (...,); NaN where one of the values is.

    Raises:
        ValueError: the last dimension is not K, or there are fewer than two shots.

    Example:
        >>> float(area_under_shots([0, 1, 3], [1.0, 0.8, 0.6]))  # equal steps of log 2
        0.8
    """
    curve = _checked(shots, values)
    place = np.log1p(np.asarray(shots, dtype=np.float64))
    area: FloatArray = np.trapezoid(curve, place, axis=-1) / (place[-1] - place[0])
    return area


def shots_to_share(shots: Sequence[int], values: npt.ArrayLike, higher_is_better: bool, share: float = 0.95) -> float:
    """The smallest k at which a curve has made `share` of its last gain.

    With s = 1 where larger values are better, else -1, the gain at k is g(k) = s (v(k) - v(0)), and

        answer = min {k : g(k) >= share g(K)},    K the largest number of shots.

    Between the shots that were measured, g goes straight in log(1 + k), as in `area_under_shots`; so the answer
    is not a whole number. A curve that falls back after it has reached the share counts as having reached it.

    Args:
        shots: ascending numbers k, the first of them 0.
        values: values of the metric, shape (K,), such as means over users.
        higher_is_better: whether larger values are better.
        share: of the last gain, in (0, 1].

    Returns:
        k, between 0 and K; NaN without a gain over k = 0 that is more than rounding, where a value is NaN, or where
        the first of the shots is not 0.

    Raises:
        ValueError: the shapes differ, or there are fewer than two shots.

    Example:
        >>> shots_to_share([0, 1, 3], [1.0, 0.62, 0.6], higher_is_better=False)
        1.0
    """
    curve = _checked(shots, values)
    gain = (curve - curve[0]) * (1 if higher_is_better else -1)
    if shots[0] != 0 or not np.isfinite(gain).all() or gain[-1] <= ROUNDING:
        return float("nan")
    wanted = share * gain[-1]
    after = int(np.argmax(gain >= wanted))
    place = np.log1p(np.asarray(shots[after - 1 : after + 1], dtype=np.float64))
    return float(np.expm1(np.interp(wanted, gain[after - 1 : after + 1], place)))


def _checked(shots: Sequence[int], values: npt.ArrayLike) -> FloatArray:
    """The values as an array whose last dimension fits the shots."""
    curve = np.asarray(values, dtype=np.float64)
    if len(shots) < 2 or curve.shape[-1:] != (len(shots),):
        raise ValueError(f"got {len(shots)} shots and values of shape {curve.shape}; give two or more, a value each")
    return curve
