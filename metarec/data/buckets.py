"""Cuts a batch of tasks, sorted by support length, into the few buckets that waste the least on padding."""

import itertools

import numpy as np

from metarec.data.ratings import IntArray
from metarec.data.tasks import Bucket

MOST_BUCKETS = 4
"""Most buckets a batch is cut into; more gain little."""

BUCKET_COST = 60
"""What one more bucket costs besides its rows, in support rows.

Every tensor operation has a fixed price of some microseconds, however few rows it works on. Those that one more
bucket adds to a step of the fused engine take about as long as 60 more rows would.
"""


def buckets(support: IntArray, query: IntArray) -> tuple[Bucket, ...]:
    """The best buckets of a batch; empty where one bucket, the whole batch, is best.

    Args:
        support: support size of each task, ascending, shape (T,).
        query: query size of each task, shape (T,).
    """
    stop = cuts(support)
    if len(stop) == 1:
        return ()
    start = [0, *stop[:-1]]
    width = np.maximum.reduceat(query, start).tolist()
    return tuple(map(Bucket, start, stop, support[np.array(stop) - 1].tolist(), width))


def coarser(found: tuple[Bucket, ...], cost: int) -> tuple[Bucket, ...]:
    """Neighbouring buckets joined, as is best where one more bucket costs more than `BUCKET_COST`.

    Args:
        found: buckets of a batch, at most `MOST_BUCKETS`.
        cost: what one more bucket costs besides its rows, in support rows.
    """
    kept = (cut for number in range(len(found)) for cut in itertools.combinations(range(1, len(found)), number))
    choices = [_between(found, cut) for cut in kept]
    return min(choices, key=lambda buckets: sum((b.stop - b.start) * b.support + cost for b in buckets), default=found)


def _between(found: tuple[Bucket, ...], kept: tuple[int, ...]) -> tuple[Bucket, ...]:
    """The buckets, joined but for the cuts before the kept numbers."""
    runs = [found[start:stop] for start, stop in itertools.pairwise((0, *kept, len(found)))]
    return tuple(Bucket(r[0].start, r[-1].stop, max(b.support for b in r), max(b.query for b in r)) for r in runs)


def cuts(length: IntArray) -> list[int]:
    """Where to cut ascending lengths into at most `MOST_BUCKETS` buckets at the least cost.

    The cost of a bucket is its number of tasks times its longest length, plus `BUCKET_COST`. Best cuts lie
    between different lengths, so with w_j the j-th distinct one and n_j the number of tasks up to it, the
    least cost of those n_j tasks in k buckets is

        f_1(j) = w_j n_j + c,    f_k(j) = min over i of f_{k-1}(i) + w_j (n_j - n_i) + c.

    The minimum may run over all i: i = j is an empty bucket and i > j a negative one, and both cost more than
    f_{k-1}(j), which is then the better answer. For U distinct lengths that is U² operations a bucket.

    Args:
        length: lengths, ascending, shape (T,), T >= 1.

    Returns:
        The end of each bucket; the last one is T.
    """
    stop = np.append(np.flatnonzero(length[1:] != length[:-1]) + 1, len(length))
    width = length[stop - 1]
    area = np.multiply.outer(width, stop)
    whole = width * stop + BUCKET_COST
    least, before = [whole], []
    for _ in range(MOST_BUCKETS - 1):
        cost = least[-1] - area
        before.append(cost.argmin(axis=1))
        least.append(whole + cost.min(axis=1))
    number = min(range(MOST_BUCKETS), key=lambda k: least[k][-1])
    place = [len(stop) - 1]
    for previous in reversed(before[:number]):
        place.append(previous[place[-1]])
    chosen: list[int] = stop[place[::-1]].tolist()
    return chosen
