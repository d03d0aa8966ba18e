import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from metarec.baselines.als import AlternatingLeastSquares, ridge
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, pack
from metarec.nets.base import NoNet


@pytest.fixture(scope="module")
def tasks(ratings: Ratings) -> PackedTasks:
    return pack(ratings, np.arange(len(ratings)))


def factorised(ratings: Ratings, tasks: PackedTasks, **options: float) -> AlternatingLeastSquares:
    model = AlternatingLeastSquares(NoNet(ratings.schema), **{"factors": 3, "regularisation": 2.0, **options})
    model.prepare(ratings, tasks)
    return model


def test_folding_in_is_ridge_regression(ratings: Ratings, tasks: PackedTasks) -> None:
    """scikit-learn's solution on the support set, items fixed."""
    model = factorised(ratings, tasks)
    items, values = torch.tensor([3, 8, 11, 20]), torch.tensor([5.0, 2.0, 4.0, 4.0])
    support = Rows(items[None], values[None], torch.ones(1, 4, dtype=torch.bool))
    fast = model.adapt(torch.tensor([1]), support)
    vectors = model.item[items].double().numpy()
    inputs = np.column_stack([vectors[:, :-1], np.ones(4)])
    oracle = Ridge(alpha=2.0, fit_intercept=False).fit(inputs, values.numpy() - float(model.mean) - vectors[:, -1])
    np.testing.assert_allclose(fast["user"][0].numpy(), oracle.coef_, atol=1e-5)
    expected = float(model.mean) + model.item[2, -1] + model.item[2, :-1] @ fast["user"][0, :-1] + fast["user"][0, -1]
    torch.testing.assert_close(model.predict(fast, torch.tensor([1]), torch.tensor([[2]]))[0, 0], expected)


def test_sweeps_lower_the_regularised_error(ratings: Ratings, tasks: PackedTasks) -> None:
    """Each half sweep solves its side exactly, so the objective never grows."""
    user = torch.repeat_interleave(torch.arange(len(tasks.task)), tasks.lengths)
    deviation = tasks.rating - tasks.rating.mean()
    objectives = []
    for sweeps in (1, 2, 5, 20):
        model = factorised(ratings, tasks, sweeps=sweeps)
        users = model._solve(user, len(tasks.task), model.item[tasks.item], deviation)
        items = model.item[tasks.item]
        error = deviation - (users[user, :-1] * items[:, :-1]).sum(1) - users[user, -1] - items[:, -1]
        objectives.append(float(error.square().sum() + 2.0 * (users.square().sum() + model.item.square().sum())))
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < 0.95 * objectives[0]


def test_heavy_regularisation_is_the_mean(ratings: Ratings, tasks: PackedTasks) -> None:
    model = factorised(ratings, tasks, regularisation=1e9)
    prediction = model.predict({}, torch.tensor([1]), torch.tensor([[1, 2, 3]]))
    torch.testing.assert_close(prediction, model.mean.expand(1, 3), rtol=0, atol=1e-4)


def test_items_without_ratings_have_zero_vectors(ratings: Ratings, tasks: PackedTasks) -> None:
    assert torch.equal(factorised(ratings, tasks).item[0], torch.zeros(4))


def test_ridge_solves_all_groups() -> None:
    root = torch.randn(5, 4, 4, dtype=torch.float64)
    gram, right = root @ root.transpose(1, 2), torch.randn(5, 4, dtype=torch.float64)
    solution = ridge(gram, right, 0.5)
    torch.testing.assert_close((gram + 0.5 * torch.eye(4)) @ solution[..., None], right[..., None])
