"""Predictors of clicks against plain numpy and the library's own fold-in."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from metarec.algorithms.base import Algorithm
from metarec.baselines.clicks import OnClicks
from metarec.baselines.ease import ClickEASE
from metarec.baselines.implicit_als import ImplicitALS
from metarec.baselines.means import RandomRating
from metarec.baselines.popularity import Popularity
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.metrics.functional import auc
from metarec.nets.base import NoNet
from tests.conftest import clicked


@pytest.fixture(scope="module")
def chosen(ratings: Ratings) -> Ratings:
    return clicks(ratings)


@pytest.fixture(scope="module")
def table(chosen: Ratings) -> np.ndarray:
    """1 where a user clicked on an item, a row each user with a click."""
    dense = np.zeros((len(chosen.user_ids), len(chosen.item_ids)))
    dense[chosen.user, chosen.item] = 1
    return dense[dense.any(1)]


@pytest.fixture
def batch(batch: TaskBatch) -> TaskBatch:
    return clicked(batch)


def prepared(algorithm: Algorithm, chosen: Ratings) -> Algorithm:
    algorithm.prepare(chosen, pack(chosen, np.arange(len(chosen))))
    return algorithm


def predicted(algorithm: Algorithm, batch: TaskBatch) -> np.ndarray:
    return algorithm.adapted(batch.task, batch.support, batch.query.item).numpy()


def support_clicks(batch: TaskBatch, task: int) -> np.ndarray:
    own = batch.support.mask[task] & (batch.support.rating[task] == 1)
    return batch.support.item[task][own].numpy()


def test_ease_solves_the_papers_least_squares(chosen: Ratings, table: np.ndarray, batch: TaskBatch) -> None:
    """By a ridge regression of each item on all others; then the clicked items' rows are summed."""
    algorithm = prepared(ClickEASE(NoNet(chosen.schema), penalty=3.0), chosen)
    items = table.shape[1]
    weight = np.zeros((items, items))
    for item in range(items):
        others = np.delete(np.arange(items), item)
        x = table[:, others]
        weight[others, item] = np.linalg.solve(x.T @ x + 3.0 * np.eye(items - 1), x.T @ table[:, item])
    np.testing.assert_allclose(algorithm.weight.numpy(), weight, atol=1e-5)
    assert np.abs(weight).max() > 0.05
    found = predicted(algorithm, batch)
    for task in range(len(batch.task)):
        expected = weight[support_clicks(batch, task)].sum(0)[batch.query.item[task].numpy()]
        np.testing.assert_allclose(found[task], expected, atol=1e-5)


def test_folding_in_is_equation_4_and_the_librarys_own(chosen: Ratings, table: np.ndarray, batch: TaskBatch) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    algorithm = prepared(ImplicitALS(NoNet(chosen.schema), 4, regularisation=2.0, alpha=3.0), chosen)
    y = algorithm.item.double().numpy()
    library = AlternatingLeastSquares(factors=4, regularization=2.0, num_threads=1)
    library.item_factors = algorithm.item.numpy()
    found = predicted(algorithm, batch)
    for task in range(len(batch.task)):
        own = np.zeros(len(y))
        own[support_clicks(batch, task)] = 1
        confidence = np.diag(1 + 3.0 * own)
        user = np.linalg.solve(y.T @ confidence @ y + 2.0 * np.eye(4), y.T @ confidence @ own)
        np.testing.assert_allclose(found[task], (y @ user)[batch.query.item[task].numpy()], atol=1e-4)
        theirs = library.recalculate_user(0, csr_matrix(4.0 * own[None], dtype=np.float32))
        np.testing.assert_allclose(theirs, user, atol=1e-4)


def test_the_library_reaches_where_neither_side_has_a_better_solution(chosen: Ratings, table: np.ndarray) -> None:
    """Items are the ridge solution on users that are the ridge solution on them."""
    algorithm = prepared(ImplicitALS(NoNet(chosen.schema), 4, regularisation=2.0, alpha=3.0, sweeps=300), chosen)
    y = algorithm.item.double().numpy()

    def solved(other: np.ndarray, clicks: np.ndarray) -> np.ndarray:
        grams = other.T @ other + 3.0 * np.einsum("ui,id,ie->ude", clicks, other, other) + 2.0 * np.eye(4)
        return np.linalg.solve(grams, 4.0 * (clicks @ other)[..., None])[..., 0]

    again = solved(solved(y, table), table.T)
    assert np.abs(y).max() > 0.1
    np.testing.assert_allclose(again, y, atol=2e-3)


@pytest.mark.parametrize("make", [ClickEASE, ImplicitALS])
def test_rows_without_a_click_say_nothing(make: type[OnClicks], chosen: Ratings, batch: TaskBatch) -> None:
    algorithm = prepared(make(NoNet(chosen.schema)), chosen)
    kept = batch.support._replace(mask=batch.support.mask & (batch.support.rating == 1))
    assert kept.mask.sum() < batch.support.mask.sum()
    np.testing.assert_array_equal(predicted(algorithm, batch._replace(support=kept)), predicted(algorithm, batch))
    assert not algorithm.predict({}, batch.task, batch.query.item).any()
    nothing = batch.support._replace(mask=torch.zeros_like(batch.support.mask))
    assert not predicted(algorithm, batch._replace(support=nothing)).any()


def test_popularity_of_clicks_ranks_by_their_number(chosen: Ratings) -> None:
    """Also where counts differ by one among thousands of others."""
    score = prepared(Popularity(NoNet(chosen.schema)), chosen).score.numpy()
    count = np.bincount(chosen.item, minlength=len(score))
    np.testing.assert_array_equal(np.sign(np.subtract.outer(score, score)), np.sign(np.subtract.outer(count, count)))
    many = np.repeat(np.arange(3000), np.arange(3000) % 1500 + 1)
    tasks = pack(chosen, np.arange(len(chosen)))._replace(item=torch.from_numpy(many), rating=torch.ones(len(many)))
    algorithm = Popularity(NoNet({**chosen.schema, "items": 3000}))
    algorithm.prepare(chosen, tasks)
    np.testing.assert_array_equal(np.unique(algorithm.score, return_inverse=True)[1], np.arange(3000) % 1500)


def test_random_scores_of_clicks_are_chance(chosen: Ratings) -> None:
    algorithm = prepared(RandomRating(NoNet(chosen.schema)), chosen)
    item = torch.arange(1, 31).expand(40, -1)
    score = algorithm.predict({}, torch.arange(1, 41), item)
    target = (item % 2).double()
    assert abs(auc(score, target, torch.ones_like(item, dtype=torch.bool)).mean() - 0.5) < 0.05


def test_what_they_cannot_work_with_is_refused(ratings: Ratings) -> None:
    net = NoNet(ratings.schema)
    for make in (ClickEASE, ImplicitALS):
        with pytest.raises(InputError, match=rf"{make.__name__}: ratings in \[1.0, 5.0\]; give targets in \[0, 1\]"):
            prepared(make(net), ratings)
    for make, message in (
        (lambda: ClickEASE(net, penalty=0.0), "penalty 0.0: give a number > 0"),
        (lambda: ClickEASE(NoNet({**ratings.schema, "items": 100_000})), "would hold more than 1000000000 entries"),
        (lambda: ImplicitALS(net, factors=0), "factors 0: give a number >= 1"),
        (lambda: ImplicitALS(net, alpha=-1.0), "alpha -1.0: give a number > 0"),
        (lambda: ImplicitALS(net, regularisation=float("nan")), "regularisation nan: give a number > 0"),
    ):
        with pytest.raises(InputError, match=message):
            make()
