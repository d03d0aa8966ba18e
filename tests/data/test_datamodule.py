import pytest
import torch

from metarec.data.datamodule import EpisodeDataModule, EvalEpisodes, TrainEpisodes
from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.data.tasks import EpisodeSizes
from metarec.errors import InputError
from tests.data.test_tasks import TASKS, same

SIZES = EpisodeSizes(2, 6, 5)


def episodes(**options: int) -> TrainEpisodes:
    return TrainEpisodes(TASKS, SIZES, **{"batch_size": 16, "seed": 0, **options}, shuffle=True)


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, second = episodes(), episodes()
    order = [7, 0, 3, 100, 3]
    drawn = {step: first[step] for step in order}
    assert all(same(drawn[step], second[step]) for step in sorted(order))
    assert not same(first[3], first[4])
    assert not same(first[3], episodes(seed=1)[3])


def test_every_pass_sees_every_task_once() -> None:
    seen = torch.cat([episodes()[step].task for step in range(5)])
    assert len(seen) == 80
    for half in seen.split(40):
        assert torch.equal(half.sort().values, TASKS.task)


def test_ranks_share_the_global_batch() -> None:
    whole = episodes()[4]
    shares = [episodes(rank=rank, ranks=2)[4] for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.task, whole.task[rank::2])
        assert torch.equal(share.query.item, whole.query.item[rank::2])
        assert torch.equal(share.support.rating, whole.support.rating[rank::2])


def test_batch_size_must_divide() -> None:
    with pytest.raises(InputError, match="does not divide among 3 processes"):
        episodes(ranks=3)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_task_is_judged_once(ranks: int) -> None:
    parts = [EvalEpisodes(TASKS, SIZES, 7, True, rank, ranks) for rank in range(ranks)]
    seen = torch.cat([part[number].task for part in parts for number in range(len(part))])
    assert torch.equal(seen.sort().values, TASKS.task)


def test_evaluation_does_not_depend_on_the_batch_size(ratings: Ratings) -> None:
    def support(batch_size: int) -> list[list[int]]:
        data = EpisodeDataModule(ratings, UserCold(min_ratings=8), eval_batch_size=batch_size, eval_support=5)
        return [sorted(row.tolist()) for batch in data.test_dataloader() for row in batch.support.item]

    assert support(1) == support(3)


def test_only_training_users_are_trained_on(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, UserCold(min_ratings=12), train_support=(2, 5))
    train = set(data.train_tasks.task.tolist())
    seen = {user for batch in data.train_dataloader() for user in batch.task.tolist()}
    assert seen == train
    assert not train & set(data.val_tasks.task.tolist())
    assert not train & set(data.test_tasks.task.tolist())
    assert set(data.train_tasks.task.tolist()) == set(ratings.user[data.split.train].tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "tim"}, "'random' or 'time'"),
        ({"eval_support": None, "eval_query": None}, "both null"),
        ({"train_support": (5, 3)}, "smallest <= largest"),
        ({"batch_size": 0}, "data.batch_size 0: give a number >= 1"),
        ({"train_query": 0}, "data.train_query 0: give a number >= 1"),
    ],
)
def test_wrong_arguments(ratings: Ratings, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpisodeDataModule(ratings, UserCold(), **options)


def test_time_order_adapts_to_the_earliest_ratings(ratings: Ratings) -> None:
    data = EpisodeDataModule(ratings, UserCold(fractions=(0.6, 0.2, 0.2), min_ratings=11), order="time", eval_support=4)
    [batch] = data.test_dataloader()
    for user, support in zip(batch.task, batch.support.item, strict=True):
        rows = (ratings.user == int(user)).nonzero()[0]
        earliest = sorted(rows, key=lambda row: (ratings.time[row], ratings.item[row]))[:4]
        assert support.tolist() == ratings.item[earliest].tolist()
    shuffled = EpisodeDataModule(ratings, data.scenario, eval_support=4)
    assert data.split.digest == shuffled.split.digest
    assert data.test_digest != shuffled.test_digest
