"""Which rows fit on one axis: chance lies so far from all methods that it would press them together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

REACH = 3.0
"""Times the distance from the median row to the best one that is always shown."""

INTERVALS = 4.0
"""Half intervals of the usual row that are always shown."""


def near(means: npt.ArrayLike, halves: npt.ArrayLike, higher_is_better: bool) -> list[bool]:
    """Whether each row lies near enough to the others to be drawn at its place.

    Those that are left out are worse than the median row by more than `REACH` times what the best is better by, and by
    more than `INTERVALS` half intervals. The best row and the median row are always near.

    Args:
        means: one a row.
        halves: half the width of its interval.
        higher_is_better: whether larger means are better.

    Example:
        >>> near([0.72, 0.75, 0.78, 1.25], [0.01, 0.01, 0.01, 0.02], higher_is_better=False)
        [True, True, True, False]
    """
    scores = (1 if higher_is_better else -1) * np.asarray(means, dtype=np.float64)
    middle = float(np.median(scores))
    reach = max(
        REACH * (float(scores.max()) - middle), INTERVALS * float(np.median(np.asarray(halves, dtype=np.float64)))
    )
    return [bool(score >= middle - reach - 1e-12) for score in scores]


def ends(low: Sequence[float], high: Sequence[float]) -> tuple[float, float]:
    """An axis from the lowest to the highest end, with a little room.

    Example:
        >>> ends([1.0, 2.0], [3.0, 5.0])
        (0.84, 5.16)
    """
    room = 0.04 * (max(high) - min(low)) or 0.01
    return min(low) - room, max(high) + room
