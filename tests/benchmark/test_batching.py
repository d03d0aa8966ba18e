import pytest
import torch

from metarec.benchmark import batching
from metarec.benchmark.setting import Setting
from metarec.data.tasks import PackedTasks, TaskBatch, parts
from metarec.errors import InputError


def content(batches: list[TaskBatch]) -> list[tuple[float, ...]]:
    """Every task's user, support and query rows, without padding and order."""
    found = []
    for batch in batches:
        for part in parts(batch):
            for user, *rows in zip(part.task, *part.support, *part.query, strict=True):
                item, rating, mask, query_item, query_rating, _ = rows
                found.append(
                    (
                        float(user),
                        *item[mask].tolist(),
                        *rating[mask].tolist(),
                        *query_item.tolist(),
                        *query_rating.tolist(),
                    )
                )
    return sorted(found)


def test_all_kinds_of_batching_hold_the_same_tasks(setting: Setting) -> None:
    for kinds in batching.rounds_of(setting.pool(), setting.size, 4, setting.device):
        assert content(kinds["padded"]) == content(kinds["buckets"]) == content(kinds["length-sorted"])
        assert not any(batch.buckets for batch in kinds["padded"])
        widths = {kind: sum(batch.support.mask.numel() for batch in batches) for kind, batches in kinds.items()}
        assert widths["length-sorted"] < widths["padded"]


def test_support_sizes_are_log_uniform() -> None:
    sizes = batching.log_uniform(20_000, 5, 90, seed=0)
    assert (int(sizes.min()), int(sizes.max())) == (5, 90)
    assert float(sizes.double().mean()) == pytest.approx(85 / torch.tensor(18.0).log().item(), rel=0.02)


def test_a_pool_takes_distinct_ratings_of_its_users(setting: Setting) -> None:
    pool = setting.pool()
    assert pool.support_size.tolist() == batching.log_uniform(len(pool.task), 5, 90, seed=0).tolist()
    for user, size, start in zip(pool.task.tolist(), pool.support_size.tolist(), pool.query_start, strict=True):
        place = setting.tasks.task.tolist().index(user)
        rated = setting.tasks.item[setting.tasks.offset[place] : setting.tasks.offset[place + 1]].tolist()
        taken = pool.item[start : start + size + 10].tolist()
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(rated)


def test_too_small_a_data_set_is_refused() -> None:
    tasks = PackedTasks(torch.tensor([1]), torch.tensor([0, 5]), torch.arange(5), torch.ones(5))
    with pytest.raises(InputError, match="15 ratings"):
        batching.draw_pool(tasks, torch.tensor([5]), 10, seed=0)
