import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, PackedTasks, Rows, draw, pack, require
from metarec.errors import InputError
from tests.conftest import synthetic_ratings

RATINGS = synthetic_ratings()
TASKS = pack(RATINGS, np.arange(len(RATINGS)))


def real(rows: Rows, task: int) -> list[tuple[int, float]]:
    """Items and ratings of one task, padding left out."""
    mask = rows.mask[task]
    return list(zip(rows.item[task][mask].tolist(), rows.rating[task][mask].tolist(), strict=True))


def truth(user: int) -> set[tuple[int, float]]:
    rows = RATINGS.user == user
    return set(zip(RATINGS.item[rows].tolist(), RATINGS.rating[rows].tolist(), strict=True))


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return all(same(a, b) for a, b in zip(first, second, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    low=st.integers(1, 5),
    more=st.integers(0, 20),
    query=st.one_of(st.none(), st.integers(1, 12)),
    shuffle=st.booleans(),
)
def test_an_episode_is_made_of_the_task(seed: int, low: int, more: int, query: int | None, shuffle: bool) -> None:
    chosen = torch.tensor([3, 0, 3, 17])
    generator = torch.Generator().manual_seed(seed)
    batch = draw(TASKS, chosen, EpisodeSizes(low, low + more, query), generator, shuffle)
    for number, user in enumerate(batch.task.tolist()):
        support, asked = real(batch.support, number), real(batch.query, number)
        assert set(support) | set(asked) <= truth(user)
        assert not set(support) & set(asked)
        assert low <= len(support) <= low + more
        assert 1 <= len(asked) <= (query or 100)
        if query is None:
            assert len(support) + len(asked) == len(truth(user))


def test_padding_is_zero_and_masked() -> None:
    batch = draw(TASKS, torch.arange(20), EpisodeSizes(1, 20, 5), torch.Generator().manual_seed(0), True)
    for rows in (batch.support, batch.query):
        assert (rows.item[~rows.mask] == 0).all()
        assert (rows.rating[~rows.mask] == 0).all()
        assert (rows.item[rows.mask] > 0).all()
    assert not batch.support.mask.all()


def test_time_order() -> None:
    batch = draw(TASKS, torch.arange(10), EpisodeSizes(4, 4, 3), None, shuffle=False)
    for number, user in enumerate(batch.task.tolist()):
        rows = np.flatnonzero(user == RATINGS.user)
        rows = rows[np.lexsort((RATINGS.item[rows], RATINGS.time[rows]))]
        assert [item for item, _ in real(batch.support, number)] == RATINGS.item[rows[:4]].tolist()
        assert [item for item, _ in real(batch.query, number)] == RATINGS.item[rows[4:7]].tolist()


def test_query_rows_do_not_depend_on_the_support_size() -> None:
    tasks = pack(RATINGS, np.arange(len(RATINGS)), shuffle_seed=0)
    queries = [draw(tasks, torch.arange(10), EpisodeSizes(k, k, 5), None, True).query for k in (1, 3, 6)]
    assert same(queries[0], queries[1])
    assert same(queries[0], queries[2])


def test_support_of_all_the_rest() -> None:
    batch = draw(TASKS, torch.arange(10), EpisodeSizes(None, None, 4), None, True)
    assert batch.query.mask.sum(1).tolist() == [4] * 10
    assert torch.equal(batch.support.mask.sum(1), TASKS.lengths[:10] - 4)


def test_support_sizes_are_drawn_evenly() -> None:
    chosen = torch.zeros(6000, dtype=torch.int64)
    batch = draw(TASKS, chosen, EpisodeSizes(2, 4, 5), torch.Generator().manual_seed(0), True)
    counts = torch.bincount(batch.support.mask.sum(1), minlength=5)[2:]
    assert counts.sum() == 6000
    assert (counts - 2000).abs().max() < 150


def test_every_rating_is_drawn_equally_often() -> None:
    chosen = torch.zeros(8000, dtype=torch.int64)
    batch = draw(TASKS, chosen, EpisodeSizes(3, 3, 1), torch.Generator().manual_seed(0), True)
    counts = torch.bincount(batch.support.item.flatten())
    counts = counts[counts > 0].double()
    expected = 8000 * 3 / int(TASKS.lengths[0])
    assert len(counts) == int(TASKS.lengths[0])
    assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_packing_does_not_depend_on_row_order() -> None:
    order = np.random.default_rng(1).permutation(len(RATINGS))
    columns = {name: getattr(RATINGS, name)[order] for name in ("user", "item", "rating", "time")}
    permuted = dataclasses.replace(RATINGS, **columns)
    for seed in (None, 5):
        assert same(pack(RATINGS, np.arange(len(RATINGS)), seed), pack(permuted, np.arange(len(RATINGS)), seed))


def test_packing_keeps_every_rating(ratings: Ratings) -> None:
    rows = np.arange(0, len(ratings), 2)
    tasks: PackedTasks = pack(ratings, rows, shuffle_seed=1)
    user = torch.repeat_interleave(tasks.task, tasks.lengths).tolist()
    packed = sorted(zip(user, tasks.item.tolist(), tasks.rating.tolist(), strict=True))
    columns = (ratings.user[rows].tolist(), ratings.item[rows].tolist(), ratings.rating[rows].tolist())
    assert packed == sorted(zip(*columns, strict=True))


def test_too_small_tasks_are_refused() -> None:
    require(TASKS, EpisodeSizes(3, 20, 5), "test")
    with pytest.raises(InputError, match="of 40 test tasks have fewer than the 30 ratings"):
        require(TASKS, EpisodeSizes(29, 29, 5), "test")
