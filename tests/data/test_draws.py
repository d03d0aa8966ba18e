import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.draws import KEY_BITS, draw, smallest
from metarec.data.tasks import EpisodeSizes, PackedTasks, pack
from tests.data.test_tasks import RATINGS, TASKS, real, same, truth


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


def test_a_short_task_keeps_its_query_set_before_its_support_set_grows() -> None:
    """Of 23 ratings or fewer the support set is the smallest, of 3; each rating more is one more at most."""
    lengths = torch.tensor([4, 22, 23, 24, 40, 200])
    offset = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    tasks = PackedTasks(torch.arange(1, 7), offset, torch.arange(313) + 1, torch.zeros(313))
    chosen = torch.arange(6).repeat(2000)
    for query, largest in ((20, [3, 3, 3, 4, 20, 60]), (None, [3, 21, 22, 23, 39, 60])):
        batch = draw(tasks, chosen, EpisodeSizes(3, 60, query), torch.Generator().manual_seed(0), True)
        support, asked = (rows.mask.sum(1).view(2000, 6) for rows in (batch.support, batch.query))
        assert support.min(dim=0).values.tolist() == [3] * 6
        assert support.max(dim=0).values.tolist() == largest
        assert torch.equal(asked, (lengths - support).clamp(max=query or 200))


def test_every_rating_is_drawn_equally_often() -> None:
    chosen = torch.zeros(8000, dtype=torch.int64)
    batch = draw(TASKS, chosen, EpisodeSizes(3, 3, 1), torch.Generator().manual_seed(0), True)
    counts = torch.bincount(batch.support.item.flatten())
    counts = counts[counts > 0].double()
    expected = 8000 * 3 / int(TASKS.lengths[0])
    assert len(counts) == int(TASKS.lengths[0])
    assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_queries_are_drawn_evenly_from_tasks_of_any_length() -> None:
    lengths = torch.tensor([3, 40, 300])
    offset = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    tasks = PackedTasks(torch.arange(1, 4), offset, torch.arange(343) + 1, torch.zeros(343))
    chosen = torch.arange(3).repeat(10_000)
    batch = draw(tasks, chosen, EpisodeSizes(1, 1, 1), torch.Generator().manual_seed(0), True)
    for rows in (batch.support, batch.query):
        counts = torch.bincount(rows.item[:, 0], minlength=344)[1:].split(lengths.tolist())
        for count, length in zip(counts, lengths.tolist(), strict=True):
            expected = 10_000 / length
            assert count.sum() == 10_000
            assert ((count - expected).abs() < 6 * expected**0.5).all()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), uniform=st.booleans())
def test_the_smallest_keys_of_each_task(data: st.DataObject, seed: int, uniform: bool) -> None:
    """Also where keys are so unlike uniform ones that too few lie below the bound."""
    pairs = data.draw(st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))), "pairs")
    length, wanted = np.array([(5, 2), *pairs]).T
    lowest = 0 if uniform else 2**KEY_BITS - 100
    key = np.random.default_rng(seed).integers(lowest, 2**KEY_BITS, length.sum(), dtype=np.int32)
    ends = length.cumsum()
    expected = [
        end - size + key[end - size : end].argsort(kind="stable")[:count]
        for end, size, count in zip(ends, length, wanted, strict=True)
    ]
    assert smallest(key, length, wanted).tolist() == np.concatenate(expected).tolist()


def test_keys_are_as_large_as_the_bound_supposes() -> None:
    key = torch.empty(10_000, dtype=torch.int32).random_(generator=torch.Generator().manual_seed(0)).double()
    assert key.min() >= 0
    assert abs(key.mean() / 2**KEY_BITS - 0.5) < 0.02
    assert key.max() > 0.99 * 2**KEY_BITS
