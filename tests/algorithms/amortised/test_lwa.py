"""Linear weight and non-linear bias adaptation against plain loops in numpy, their limits, and their bad input."""

import numpy as np
import pytest
import torch
from torch import nn

from metarec.algorithms.amortised.lwa import LinearWeightAdaptation, NonlinearBiasAdaptation
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, layered, rows_of
from tests.conftest import tiny_melu, tiny_net

BOTH = [LinearWeightAdaptation, NonlinearBiasAdaptation]


@pytest.fixture(params=[tiny_net, tiny_melu])
def net(request: pytest.FixtureRequest, ratings: Ratings) -> Net:
    return request.param(ratings)


def class_means(algorithm: nn.Module, batch: TaskBatch, number: int, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """R_0 and R_1 of one user, row by row."""
    mask = batch.support.mask[number]
    rows = rows_of(algorithm.net, batch.task[number], batch.support.item[number, mask])
    embedded: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for (_, item, score), rating in zip(rows, batch.support.rating[number, mask].tolist(), strict=True):
        embedded[rating > score].append(layered(algorithm.means.embed, item))
    no, yes = (np.sum([np.zeros(3), *one], axis=0) / max(len(one) + shrinkage, 1) for one in embedded.values())
    return no, yes


@pytest.mark.parametrize("shrinkage", [0.0, 1.5])
def test_lwa_predicts_what_a_plain_loop_does(net: Net, batch: TaskBatch, shrinkage: float) -> None:
    batch = double(batch)
    algorithm = LinearWeightAdaptation(net, width=3, hidden=6, shrinkage=shrinkage).double().eval()
    with torch.no_grad():
        algorithm.weight.copy_(torch.tensor([0.7, -1.3], dtype=torch.float64))
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, task in enumerate(batch.task):
        no, yes = class_means(algorithm, batch, number, shrinkage)
        expected = [
            score + layered(algorithm.means.embed, item) @ (0.7 * no - 1.3 * yes)
            for _, item, score in rows_of(net, task, batch.query.item[number])
        ]
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-9)


def test_nlba_predicts_what_a_plain_loop_does(net: Net, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm = NonlinearBiasAdaptation(net, width=3, hidden=6, layers=[5, 4], shrinkage=0.5).double().eval()
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, task in enumerate(batch.task):
        both = np.concatenate(class_means(algorithm, batch, number, 0.5))
        for place, (_, item, score) in enumerate(rows_of(net, task, batch.query.item[number])):
            hidden = layered(algorithm.means.embed, item)
            for depth, (layer, bias) in enumerate(zip(algorithm.layers, algorithm.biases, strict=True)):
                hidden = layered(nn.Sequential(layer), hidden) + bias.weight.detach().numpy() @ both
                hidden = np.maximum(hidden, 0) if depth < 2 else hidden
            assert float(found[number, place]) == pytest.approx(score + float(hidden[0]), rel=1e-9)


def test_zero_shot_lwa_is_the_net_itself(net: Net, batch: TaskBatch) -> None:
    algorithm = LinearWeightAdaptation(net).eval()
    own = net(batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.predict({}, batch.task, batch.query.item), own)
    torch.testing.assert_close(algorithm.adapted(batch.task, emptied(batch.support), batch.query.item), own)


def test_zero_shot_nlba_is_the_prediction_from_an_empty_support_set(net: Net, batch: TaskBatch) -> None:
    algorithm = NonlinearBiasAdaptation(net).eval()
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.adapted(batch.task, emptied(batch.support), batch.query.item), zero_shot)


@pytest.mark.parametrize("kind", BOTH)
def test_the_loss_is_that_of_the_adapted_predictions(kind: type, net: Net, batch: TaskBatch) -> None:
    algorithm = kind(net, loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


@pytest.mark.parametrize("kind", BOTH)
def test_what_they_cannot_work_with_is_refused(kind: type, net: Net, ratings: Ratings) -> None:
    with pytest.raises(InputError, match="NoNet encodes no users and items"):
        kind(NoNet(ratings.schema))
    for options in ({"width": 0}, {"hidden": 0}, {"shrinkage": -1.0}):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >="):
            kind(net, **options)


def test_nlba_needs_a_hidden_layer(net: Net) -> None:
    for layers in ([], [4, 0]):
        with pytest.raises(InputError, match="layers 0: give a number >= 1"):
            NonlinearBiasAdaptation(net, layers=layers)
