"""The hypernetwork against a plain loop in numpy, with the net's own output layer moved, and its limits."""

import numpy as np
import pytest
import torch

from metarec.algorithms.amortised.hypernetwork import HyperNetwork
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, layered, rows_of
from tests.conftest import tiny_melu, tiny_net


@pytest.fixture(params=[tiny_net, tiny_melu])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> HyperNetwork:
    return HyperNetwork(request.param(ratings), width=3, hidden=6, shrinkage=2.0).double().eval()


def delta(algorithm: HyperNetwork, batch: TaskBatch, number: int) -> np.ndarray:
    """What one user adds to the output layer, row by row."""
    mask, total = batch.support.mask[number], np.zeros(3)
    rows = rows_of(algorithm.net, batch.task[number], batch.support.item[number, mask])
    for (_, item, score), rating in zip(rows, batch.support.rating[number, mask].numpy(), strict=True):
        total += layered(algorithm.summary.row, np.append(item, rating - score))
    return algorithm.emit.weight.detach().numpy() @ (total / (int(mask.sum()) + 2.0))


@torch.no_grad()
def test_it_predicts_what_the_net_does_with_the_output_layer_that_a_plain_loop_emits(
    algorithm: HyperNetwork, batch: TaskBatch
) -> None:
    batch = double(batch)
    found = algorithm.adapted(batch.task, batch.support, batch.query.item)
    head = algorithm.net.decoder.head
    before = head.weight.clone(), head.bias.clone()
    for number, task in enumerate(batch.task):
        added = torch.from_numpy(delta(algorithm, batch, number))
        head.weight += added[:-1]
        head.bias += added[-1:]
        expected = algorithm.net(task[None], batch.query.item[number][None])[0]
        head.weight.copy_(before[0])
        head.bias.copy_(before[1])
        torch.testing.assert_close(found[number], expected)


def test_zero_shot_and_an_empty_support_set_are_the_net_itself(algorithm: HyperNetwork, batch: TaskBatch) -> None:
    batch = double(batch)
    own = algorithm.net(batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.predict({}, batch.task, batch.query.item), own)
    torch.testing.assert_close(algorithm.adapted(batch.task, emptied(batch.support), batch.query.item), own)


def test_the_loss_is_that_of_the_adapted_predictions(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = HyperNetwork(tiny_net(ratings), loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="HyperNetwork needs a net that is linear"):
        HyperNetwork(NoNet(ratings.schema))
    with pytest.raises(InputError, match="width 0: give a number >= 1"):
        HyperNetwork(net, width=0)
