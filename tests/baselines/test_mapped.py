"""The map of a predictor's predictions: a lower absolute error, the same order, the identity where it is not fitted."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from metarec.baselines.als import AlternatingLeastSquares
from metarec.baselines.mapped import Mapped
from metarec.baselines.means import ItemUserBias
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import NoNet


def prepared(algorithm: Mapped, ratings: Ratings) -> Mapped:
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    return algorithm


def error(algorithm: Mapped, batch: TaskBatch) -> float:
    off = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    return float(off[batch.query.mask].mean())


def test_without_steps_it_is_the_predictor_within_its_ends(ratings: Ratings, batch: TaskBatch) -> None:
    plain = ItemUserBias(NoNet(ratings.schema))
    plain.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    mapped = prepared(Mapped(NoNet(ratings.schema), ItemUserBias, steps=0), ratings)
    for way in (mapped.predictor.adapt(batch.task, batch.support), {}):
        expected = plain.predict(way, batch.task, batch.query.item).clamp(0.5, 5.5)
        torch.testing.assert_close(mapped.predict(way, batch.task, batch.query.item), expected)


@pytest.mark.parametrize("predictor", [ItemUserBias, partial(AlternatingLeastSquares, factors=2)])
def test_on_whole_stars_it_lowers_the_absolute_error_and_keeps_the_order(
    predictor: type, ratings: Ratings, batch: TaskBatch
) -> None:
    """Synthetic: ratings are rounded to stars, so the map nears a staircase."""
    plain, mapped = (prepared(Mapped(NoNet(ratings.schema), predictor, steps=steps), ratings) for steps in (0, 300))
    assert error(mapped, batch) < error(plain, batch) - 0.01
    before, after = (way.adapted(batch.task, batch.support, batch.query.item) for way in (plain, mapped))
    rank = before.argsort(dim=1)
    assert (after.gather(1, rank).diff(dim=1) >= 0).all()


def test_prepared_again_it_is_the_same_and_it_has_no_parameters(ratings: Ratings) -> None:
    algorithm = prepared(Mapped(NoNet(ratings.schema), ItemUserBias), ratings)
    before = algorithm.adapted_value.clone()
    assert torch.equal(prepared(algorithm, ratings).adapted_value, before)
    assert not list(algorithm.parameters())
    assert not torch.equal(before, algorithm.zero_shot_value)


def test_the_pieces_lie_on_the_rating_scale(ratings: Ratings) -> None:
    halves = replace(ratings, rating=ratings.rating / 10, scale=(0.1, 0.5))
    algorithm = prepared(Mapped(NoNet(halves.schema), ItemUserBias, pieces=8), halves)
    torch.testing.assert_close(algorithm.edge[[0, -1]], torch.tensor([0.05, 0.55]))


def test_numbers_out_of_range_are_refused(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="pieces 1: give a number >= 2"):
        Mapped(NoNet(ratings.schema), ItemUserBias, pieces=1)
