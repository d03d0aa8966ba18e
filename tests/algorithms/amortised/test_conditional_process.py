"""The conditional process against a plain loop in numpy, its limits, and its bad input."""

import numpy as np
import pytest
import torch

from metarec.algorithms.amortised.conditional_process import ConditionalProcess
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, layered, rows_of
from tests.conftest import tiny_melu, tiny_net


@pytest.fixture(params=[tiny_net, tiny_melu])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> ConditionalProcess:
    return ConditionalProcess(request.param(ratings), width=3, hidden=6, shrinkage=0.5).double().eval()


def plain(algorithm: ConditionalProcess, batch: TaskBatch, number: int, shrinkage: float) -> list[float]:
    """One user's predictions, in words of the paper."""
    task, support, query = batch.task[number], batch.support, batch.query
    total, count = np.zeros(3), 0
    rated = support.item[number, support.mask[number]]
    given = support.rating[number, support.mask[number]].numpy()
    for (_, item, score), rating in zip(rows_of(algorithm.net, task, rated), given, strict=True):
        total, count = total + layered(algorithm.summary.row, np.append(item, rating - score)), count + 1
    summary = total / max(count + shrinkage, 1)
    return [
        score + float(layered(algorithm.correction, np.concatenate([summary, user, item]))[0])
        for user, item, score in rows_of(algorithm.net, task, query.item[number])
    ]


def test_predictions_are_those_of_a_plain_loop(algorithm: ConditionalProcess, batch: TaskBatch) -> None:
    batch = double(batch)
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number in range(len(batch.task)):
        np.testing.assert_allclose(found[number].numpy(), plain(algorithm, batch, number, 0.5), atol=1e-10)


def test_without_shrinkage_the_summary_is_the_mean(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = ConditionalProcess(tiny_net(ratings), width=3, hidden=6, shrinkage=0).double().eval()
    batch = double(batch)
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    np.testing.assert_allclose(found[3].numpy(), plain(algorithm, batch, 3, 0.0), atol=1e-10)


def test_zero_shot_is_the_prediction_from_an_empty_support_set(algorithm: ConditionalProcess, batch: TaskBatch) -> None:
    batch = double(batch)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.adapted(batch.task, emptied(batch.support), batch.query.item), zero_shot)
    assert not torch.allclose(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot)


def test_the_loss_is_that_of_the_adapted_predictions(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = ConditionalProcess(tiny_net(ratings), loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="NoNet encodes no users and items; give a net that does"):
        ConditionalProcess(NoNet(ratings.schema))
    for options in ({"width": 0}, {"hidden": 0}, {"shrinkage": -1.0}, {"shrinkage": float("nan")}):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >= "):
            ConditionalProcess(net, **options)
