import numpy as np
import pytest
import torch

from metarec.algorithms.similarity import shrunk_mean
from metarec.baselines.means import GlobalMean, ItemMean, ItemUserBias, RandomRating
from metarec.data.ratings import Ratings
from metarec.data.tasks import Rows, TaskBatch, pack
from metarec.nets.base import NoNet


@pytest.fixture
def prepared(ratings: Ratings, request: pytest.FixtureRequest):
    def make(kind: type, **options: float):
        made = kind(NoNet(ratings.schema), **options)
        made.prepare(ratings, pack(ratings, np.arange(len(ratings))))
        return made

    return make


def test_global_and_item_mean(prepared, ratings: Ratings, batch: TaskBatch) -> None:
    item = batch.query.item
    mean = prepared(GlobalMean).predict({}, batch.task, item)
    torch.testing.assert_close(mean, torch.full(item.shape, float(ratings.rating.mean())))
    means = prepared(ItemMean).predict({}, batch.task, item)
    for task, row in ((0, 0), (3, 1)):
        expected = ratings.rating[ratings.item == int(item[task, row])].mean()
        assert means[task, row].item() == pytest.approx(float(expected), abs=1e-5)


def test_biases_solve_their_equations(prepared, ratings: Ratings) -> None:
    """At the fixed point each item's bias is the shrunk mean of what the users' biases leave, and the reverse."""
    model = prepared(ItemUserBias, sweeps=200)
    tasks = pack(ratings, np.arange(len(ratings)))
    user = torch.repeat_interleave(torch.arange(len(tasks.task)), tasks.lengths)
    deviation = tasks.rating - model.mean
    user_bias = shrunk_mean(user, deviation - model.item_bias[tasks.item], len(tasks.task), 5.0)
    item_bias = shrunk_mean(tasks.item, deviation - user_bias[user], len(model.item_bias), 5.0)
    torch.testing.assert_close(model.item_bias, item_bias, rtol=0, atol=1e-5)


def test_new_user_bias_by_hand(prepared, ratings: Ratings) -> None:
    model = prepared(ItemUserBias)
    support = Rows(torch.tensor([[4, 9, 0]]), torch.tensor([[5.0, 4.0, 0.0]]), torch.tensor([[True, True, False]]))
    residual = (5.0 - model.mean - model.item_bias[4]) + (4.0 - model.mean - model.item_bias[9])
    fast = model.adapt(torch.tensor([1]), support)
    torch.testing.assert_close(fast["user_bias"], (residual / 7).reshape(1))
    torch.testing.assert_close(
        model.predict(fast, torch.tensor([1]), torch.tensor([[2]])),
        (model.mean + model.item_bias[2] + residual / 7).reshape(1, 1),
    )


def test_random_ratings_have_the_training_distribution(prepared, ratings: Ratings) -> None:
    model = prepared(RandomRating)
    item = torch.arange(1, 31).expand(2000, 30)
    prediction = model.predict({}, torch.arange(2000), item)
    for value in range(1, 6):
        share = (prediction.round() == value).float().mean().item()
        assert share == pytest.approx(float((ratings.rating == value).mean()), abs=0.01)
    other = prepared(RandomRating, seed=1).predict({}, torch.arange(2000), item)
    assert np.corrcoef(prediction.flatten(), other.flatten())[0, 1] == pytest.approx(0, abs=0.02)
    assert np.corrcoef(prediction[:-1].flatten(), prediction[1:].flatten())[0, 1] == pytest.approx(0, abs=0.02)


def test_empty_groups_have_mean_zero() -> None:
    mean = shrunk_mean(torch.tensor([0, 0, 2]), torch.tensor([1.0, 3.0, 5.0]), 4, 0.0)
    assert mean.tolist() == [2.0, 0.0, 5.0, 0.0]
