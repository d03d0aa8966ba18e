"""Neighbours and EASE against plain loops in numpy on the residuals, and in their limits."""

import numpy as np
import pytest

from metarec.algorithms.base import Algorithm
from metarec.baselines.ease import EASE
from metarec.baselines.means import ItemUserBias
from metarec.baselines.neighbours import ItemKNN, UserKNN
from metarec.baselines.popularity import Popularity
from metarec.baselines.residuals import OnBiases
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet

TRAIN = np.s_[:400]


def prepared(algorithm: Algorithm, ratings: Ratings) -> Algorithm:
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))[TRAIN]))
    return algorithm


def predicted(algorithm: Algorithm, batch: TaskBatch) -> np.ndarray:
    return algorithm.adapted(batch.task, batch.support, batch.query.item).numpy()


class Plain:
    """Residuals by (user, item) of the training ratings, and new users' after their folded-in bias."""

    def __init__(self, ratings: Ratings) -> None:
        self.biases = prepared(ItemUserBias(NoNet(ratings.schema), 5.0, 5.0), ratings)
        rows = np.arange(len(ratings))[TRAIN]
        left: dict[int, dict[int, float]] = {}
        for row in rows:
            item = int(ratings.item[row])
            above = float(ratings.rating[row] - self.biases.mean - self.biases.item_bias[item])
            left.setdefault(int(ratings.user[row]), {})[item] = above
        self.train = {}
        for user, own in left.items():
            bias = sum(own.values()) / (len(own) + 5.0)
            self.train[user] = {item: above - bias for item, above in own.items()}

    def support(self, batch: TaskBatch, task: int) -> dict[int, float]:
        fast = self.biases.adapt(batch.task, batch.support)
        residual = batch.support.rating - self.biases.predict(fast, batch.task, batch.support.item)
        mask = batch.support.mask[task]
        return dict(zip(batch.support.item[task][mask].tolist(), residual[task][mask].tolist(), strict=True))

    def column(self, item: int) -> dict[int, float]:
        return {user: own[item] for user, own in self.train.items() if item in own}


def cosine(left: dict[int, float], right: dict[int, float], shrinkage: float) -> float:
    both = left.keys() & right.keys()
    norms = [np.sqrt(sum(side[key] ** 2 for key in both)) for side in (left, right)]
    if not both or 0 in norms:
        return 0.0
    return sum(left[key] * right[key] for key in both) / norms[0] / norms[1] * len(both) / (len(both) + shrinkage)


def mean_of_nearest(pairs: list[tuple[float, float]], neighbours: int, regularisation: float) -> float:
    """Of the nearest, and of all that tie with the last of them."""
    last = sorted((abs(s) for s, _ in pairs), reverse=True)[:neighbours][-1:]
    chosen = [(s, e) for s, e in pairs if abs(s) >= last[0] * (1 - 1e-5)]
    return sum(s * e for s, e in chosen) / (sum(abs(s) for s, _ in chosen) + regularisation)


def expected(plain: Plain, batch: TaskBatch, correction: object) -> np.ndarray:
    """Biases plus `correction` (task, support residuals, item) of each query row."""
    fast = plain.biases.adapt(batch.task, batch.support)
    found = plain.biases.predict(fast, batch.task, batch.query.item).numpy().copy()
    for task in range(len(batch.task)):
        own = plain.support(batch, task)
        for place, item in enumerate(batch.query.item[task].tolist()):
            found[task, place] += correction(task, own, item)  # type: ignore[operator]
    return found


def test_item_neighbours_are_a_loop_over_the_support_set(ratings: Ratings, batch: TaskBatch) -> None:
    plain = Plain(ratings)

    def correction(task: int, own: dict[int, float], item: int) -> float:
        column = plain.column(item)
        pairs = [(cosine(column, plain.column(j), 2.0) * (j != item), e) for j, e in own.items()]
        return mean_of_nearest(pairs, 3, 0.1)

    algorithm = prepared(ItemKNN(NoNet(ratings.schema), neighbours=3, shrinkage=2.0, regularisation=0.1), ratings)
    mask = batch.query.mask.numpy()
    np.testing.assert_allclose(predicted(algorithm, batch)[mask], expected(plain, batch, correction)[mask], atol=1e-4)


def test_user_neighbours_are_a_loop_over_those_who_rated_the_item(ratings: Ratings, batch: TaskBatch) -> None:
    plain = Plain(ratings)

    def correction(task: int, own: dict[int, float], item: int) -> float:
        user = int(batch.task[task])
        pairs = [
            (cosine(own, other, 2.0), other[item])
            for key, other in plain.train.items()
            if key != user and item in other
        ]
        return mean_of_nearest(pairs, 4, 1.0)

    algorithm = prepared(UserKNN(NoNet(ratings.schema), neighbours=4, shrinkage=2.0, regularisation=1.0), ratings)
    mask = batch.query.mask.numpy()
    np.testing.assert_allclose(predicted(algorithm, batch)[mask], expected(plain, batch, correction)[mask], atol=1e-4)


def test_ease_is_the_support_rows_times_weights_that_solve_its_least_squares(
    ratings: Ratings, batch: TaskBatch
) -> None:
    """At the optimum, X'(X - X B) - penalty B vanishes off the diagonal, where B itself is 0."""
    plain, algorithm = Plain(ratings), prepared(EASE(NoNet(ratings.schema), penalty=3.0), ratings)
    weight = algorithm.weight.double().numpy()
    x = np.zeros((len(plain.train), len(weight)))
    for row, own in enumerate(plain.train.values()):
        for item, residual in own.items():
            x[row, item] = residual
    slope = x.T @ (x - x @ weight) - 3.0 * weight
    off = ~np.eye(len(weight), dtype=bool)
    np.testing.assert_allclose(slope[off], 0, atol=1e-4)
    assert not np.diagonal(weight).any()
    assert np.abs(weight).max() > 0.05

    def correction(task: int, own: dict[int, float], item: int) -> float:
        return sum(residual * weight[j, item] for j, residual in own.items())

    mask = batch.query.mask.numpy()
    np.testing.assert_allclose(predicted(algorithm, batch)[mask], expected(plain, batch, correction)[mask], atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda net: ItemKNN(net, shrinkage=1e12),
        lambda net: UserKNN(net, shrinkage=1e12),
        lambda net: EASE(net, penalty=1e12),
    ],
)
def test_shrunk_without_end_they_are_the_biases(make: type[OnBiases], ratings: Ratings, batch: TaskBatch) -> None:
    biases = prepared(ItemUserBias(NoNet(ratings.schema), 5.0, 5.0), ratings)
    np.testing.assert_allclose(
        predicted(prepared(make(NoNet(ratings.schema)), ratings), batch), predicted(biases, batch), atol=1e-5
    )


def test_popularity_ranks_by_the_number_of_training_ratings(ratings: Ratings) -> None:
    algorithm = prepared(Popularity(NoNet(ratings.schema)), ratings)
    count = np.bincount(ratings.item[TRAIN], minlength=len(algorithm.score))
    score = algorithm.score.double().numpy()
    above = np.sign(np.subtract.outer(count, count))
    np.testing.assert_array_equal(np.sign(np.subtract.outer(score, score)), above)
    assert 1 <= score.min() < score.max() < 5.001


def test_what_they_cannot_work_with_is_refused(net: Net, ratings: Ratings) -> None:
    for make, message in (
        (lambda: ItemKNN(net, neighbours=0), "neighbours 0: give a number >= 1"),
        (lambda: UserKNN(net, shrinkage=-1.0), "shrinkage -1.0: give a number >= 0"),
        (lambda: EASE(net, penalty=0.0), "penalty 0.0: give a number > 0"),
        (lambda: EASE(NoNet({**ratings.schema, "items": 100_000})), "would hold more than 1000000000 entries"),
    ):
        with pytest.raises(InputError, match=message):
            make()
