"""Neighbours against a plain loop in numpy, that leaves a training user's own ratings out, and in their limits."""

import numpy as np
import pytest
import torch

from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.algorithms.neighbours import ResidualNeighbours
from metarec.algorithms.similarity import residuals
from metarec.baselines.means import ItemUserBias
from metarec.baselines.neighbours import ItemKNN
from metarec.baselines.with_neighbours import WithNeighbours
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import NoNet
from tests.conftest import tiny_net

SHRINKAGE = 2.0


@pytest.fixture
def neighbours(ratings: Ratings) -> ResidualNeighbours:
    """Prepared on the ratings of the first five users."""
    made = ResidualNeighbours(NoNet(ratings.schema), k=3, shrinkage=SHRINKAGE, regularisation=0.1)
    made.prepare(pack(ratings, known(ratings)))
    return made


def known(ratings: Ratings) -> np.ndarray:
    return np.flatnonzero(ratings.user <= 5)


def plain_similarity(columns: dict[int, dict[int, float]], first: int, second: int, without: int) -> float:
    """Cosine over the users of both items but one."""
    one, other = columns.get(first, {}), columns.get(second, {})
    users = (one.keys() & other.keys()) - {without}
    norms = [np.sqrt(sum(column[user] ** 2 for user in users)) for column in (one, other)]
    if first == second or 0 in norms:
        return 0.0
    return sum(one[u] * other[u] for u in users) / norms[0] / norms[1] * len(users) / (len(users) + SHRINKAGE)


def test_a_training_users_own_ratings_are_left_out(
    neighbours: ResidualNeighbours, ratings: Ratings, batch: TaskBatch
) -> None:
    train = pack(ratings, known(ratings))
    biases = ItemUserBias(NoNet(ratings.schema), 5.0, 5.0)
    biases.prepare(ratings, train)
    left = residuals(train, biases.item_bias, 5.0)
    columns: dict[int, dict[int, float]] = {}
    users = torch.repeat_interleave(train.task, train.lengths).tolist()
    for user, item, value in zip(users, train.item.tolist(), left.rating.tolist(), strict=True):
        columns.setdefault(item, {})[user] = value
    found = neighbours.similarities(batch.task, batch.query.item, batch.support.item).numpy()
    own = 0
    for task, user in enumerate(batch.task.tolist()):
        for q, item in enumerate(batch.query.item[task].tolist()):
            for s, other in enumerate(batch.support.item[task].tolist()):
                assert found[task, q, s] == pytest.approx(plain_similarity(columns, item, other, user), abs=1e-4)
                own += user in columns.get(item, {}) and user in columns.get(other, {})
    assert own > 20
    assert np.isin(batch.task.numpy(), train.task.numpy(), invert=True).any()


def test_leaving_nothing_out_it_is_item_knn_on_what_the_model_leaves(
    neighbours: ResidualNeighbours, ratings: Ratings, batch: TaskBatch
) -> None:
    plain = ItemKNN(NoNet(ratings.schema), neighbours=3, shrinkage=SHRINKAGE, regularisation=0.1)
    plain.prepare(ratings, pack(ratings, known(ratings)))
    neighbours.known = None
    left = torch.randn(batch.support.item.shape, generator=torch.Generator().manual_seed(0))
    left = left.masked_fill(~batch.support.mask, 0.0)
    item = batch.support.item.masked_fill(~batch.support.mask, 0)
    expected = plain.correction({"item": item, "residual": left}, batch.query.item)
    torch.testing.assert_close(neighbours({"rated": item, "left": left}, batch.task, batch.query.item), expected)
    assert float(expected.abs().max()) > 0.01


def test_with_a_weight_of_0_a_ridge_head_is_as_without(ratings: Ratings, batch: TaskBatch) -> None:
    net, train = tiny_net(ratings), pack(ratings, known(ratings))
    alone, around = RidgeHead(net), RidgeHead(net, neighbours=ResidualNeighbours)
    for algorithm in (alone, around):
        algorithm.prepare(ratings, train)
        algorithm.eval()
    expected = alone.adapted(batch.task, batch.support, batch.query.item)
    moved = around.adapted(batch.task, batch.support, batch.query.item)
    assert float((moved - expected).abs().max()) > 0.001
    around.neighbour_weight.data.zero_()
    torch.testing.assert_close(around.adapted(batch.task, batch.support, batch.query.item), expected)


def test_a_predictor_with_neighbours_is_itself_and_what_they_add(ratings: Ratings, batch: TaskBatch) -> None:
    train = pack(ratings, known(ratings))
    plain, around = ItemUserBias(NoNet(ratings.schema)), WithNeighbours(NoNet(ratings.schema), ItemUserBias, weight=0.5)
    for algorithm in (plain, around):
        algorithm.prepare(ratings, train)
    whole = WithNeighbours(NoNet(ratings.schema), ItemUserBias, weight=1.0)
    whole.prepare(ratings, train)
    base, half, full = (way.adapted(batch.task, batch.support, batch.query.item) for way in (plain, around, whole))
    torch.testing.assert_close(half, (base + full) / 2)
    assert float((full - base).abs().max()) > 0.01
    zero_shot = plain.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(whole.predict({}, batch.task, batch.query.item), zero_shot)


def test_a_checkpoint_holds_similarities_and_no_ratings_of_users(neighbours: ResidualNeighbours) -> None:
    assert set(neighbours.state_dict()) == {"similarity"}


def test_what_it_cannot_work_with_is_refused(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="k 0: give a number >= 1"):
        ResidualNeighbours(NoNet(ratings.schema), k=0)
    with pytest.raises(InputError, match=r"bias_shrinkage -1\.0: give a number >= 0"):
        ResidualNeighbours(NoNet(ratings.schema), bias_shrinkage=-1.0)
