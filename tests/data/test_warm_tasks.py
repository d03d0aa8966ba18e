"""Tasks of known users: what is held out is asked for, what is known is adapted to, and nothing changes sides."""

import numpy as np
import pytest
import torch

from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.data.warm import Warm
from metarec.errors import InputError

SHARES = (0.5, 0.25, 0.25)


def rows(batch: TaskBatch, part: str) -> set[tuple[int, int]]:
    found = getattr(batch, part)
    pairs = zip(
        batch.task[:, None].expand_as(found.item)[found.mask].tolist(), found.item[found.mask].tolist(), strict=True
    )
    return set(pairs)


@pytest.mark.parametrize("order", ["random", "time"])
@pytest.mark.parametrize("sizes", [{"eval_support": None}, {"eval_support": 2, "eval_query": 1}])
def test_query_is_held_out_and_support_known(ratings: Ratings, order: str, sizes: dict[str, int]) -> None:
    data = EpisodeDataModule(ratings, Warm(SHARES, min_ratings=2), order=order, **sizes)
    for stage in ("val", "test"):
        held, known = getattr(data.split, stage), data.split.support[stage]
        [batch] = list(getattr(data, f"{stage}_dataloader")())
        support, query = rows(batch, "support"), rows(batch, "query")
        for found, allowed in ((support, known), (query, held)):
            pairs = set(zip(ratings.user[allowed].tolist(), ratings.item[allowed].tolist(), strict=True))
            assert found == pairs if sizes["eval_support"] is None else found < pairs
        if sizes["eval_support"]:
            assert batch.support.mask.sum(1).unique().tolist() == [2]
            assert batch.query.mask.sum(1).unique().tolist() == [1]


def test_the_earliest_known_ratings_come_first(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, Warm(SHARES, min_ratings=3), order="time", eval_support=3)
    [batch] = list(data.val_dataloader())
    for user, items in zip(batch.task.tolist(), batch.support.item.tolist(), strict=True):
        known = data.split.support["val"]
        own = known[ratings.user[known] == user]
        first = own[np.lexsort((ratings.item[own], ratings.time[own]))][:3]
        assert items == ratings.item[first].tolist()


def test_several_draws_change_the_support_not_who_is_asked(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, Warm(SHARES, min_ratings=2), eval_support=2, test_draws=3)
    [batch] = list(data.test_dataloader())
    assert torch.equal(batch.task[::3], batch.task[2::3])
    drawn = [
        rows(TaskBatch(batch.task[n::3], *(type(r)(*(c[n::3] for c in r)) for r in batch[1:3])), "support")
        for n in range(3)
    ]
    asked = [
        rows(TaskBatch(batch.task[n::3], *(type(r)(*(c[n::3] for c in r)) for r in batch[1:3])), "query")
        for n in range(3)
    ]
    assert asked[0] == asked[1] == asked[2]
    assert drawn[0] != drawn[1]


def test_too_few_known_ratings(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, Warm(SHARES, min_ratings=2), eval_support=12)
    with pytest.raises(
        InputError, match="fewer than the 12 known ratings to adapt on; raise the scenario's min_ratings"
    ):
        data.val_dataloader()
