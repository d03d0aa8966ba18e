from itertools import combinations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.buckets import BUCKET_COST, MOST_BUCKETS, buckets, coarser, cuts
from metarec.data.tasks import Bucket

lengths = st.lists(st.integers(1, 12) | st.integers(1, 400), min_size=1, max_size=16).map(sorted)


def cost(length: list[int], stop: tuple[int, ...]) -> int:
    start = (0, *stop[:-1])
    return sum((b - a) * length[b - 1] + BUCKET_COST for a, b in zip(start, stop, strict=True))


def all_cuts(tasks: int) -> list[tuple[int, ...]]:
    return [(*inner, tasks) for count in range(MOST_BUCKETS) for inner in combinations(range(1, tasks), count)]


@settings(max_examples=300, deadline=None)
@given(length=lengths)
def test_no_cuts_are_better(length: list[int]) -> None:
    chosen = cuts(np.array(length))
    assert tuple(chosen) in all_cuts(len(length))
    assert cost(length, tuple(chosen)) == min(cost(length, stop) for stop in all_cuts(len(length)))


@settings(max_examples=100, deadline=None)
@given(length=lengths, seed=st.integers(0, 100))
def test_buckets_hold_every_row_and_no_empty_column(length: list[int], seed: int) -> None:
    query = np.random.default_rng(seed).integers(1, 30, len(length))
    chosen = buckets(np.array(length), query)
    if not chosen:
        assert cuts(np.array(length)) == [len(length)]
        return
    assert [bucket.stop for bucket in chosen] == cuts(np.array(length))
    assert [bucket.start for bucket in chosen] == [0, *(bucket.stop for bucket in chosen[:-1])]
    for start, stop, support, width in chosen:
        assert support == max(length[start:stop])
        assert width == query[start:stop].max()
    assert all(type(number) is int for bucket in chosen for number in bucket)


def test_few_rows_are_not_cut() -> None:
    assert buckets(np.arange(1, 9), np.full(8, 5)) == ()
    assert buckets(np.full(50, 90), np.full(50, 5)) == ()


def test_a_large_batch_is_cut_where_a_slow_search_would() -> None:
    length = np.sort(torch.randint(5, 91, (3000,), generator=torch.Generator().manual_seed(0)).numpy())
    stop = [int((length <= value).sum()) for value in np.unique(length)]
    least = min(cost(length.tolist(), (*inner, 3000)) for inner in combinations(stop[:-1:4], MOST_BUCKETS - 1))
    chosen = cuts(length)
    assert len(chosen) == MOST_BUCKETS
    assert cost(length.tolist(), tuple(chosen)) <= least < 1.02 * cost(length.tolist(), tuple(chosen))


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30), cost=st.integers(0, 400))
def test_coarser_buckets_cover_the_same_tasks_at_the_least_cost(sizes: list[int], cost: int) -> None:
    length = np.sort(np.array(sizes))
    found = buckets(length, np.full(len(length), 3))
    joined = coarser(found, cost)
    if not found:
        assert joined == ()
        return
    assert [b.start for b in joined] == [0, *(b.stop for b in joined[:-1])]
    assert joined[-1].stop == len(length)
    assert all(b.support == length[b.stop - 1] and b.query == 3 for b in joined)
    assert {b.stop for b in joined} <= {b.stop for b in found}

    def total(chosen: tuple[Bucket, ...]) -> int:
        return sum((b.stop - b.start) * b.support + cost for b in chosen)

    assert total(joined) <= min(total(found), len(length) * int(length[-1]) + cost)
