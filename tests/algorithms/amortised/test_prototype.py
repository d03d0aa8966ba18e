"""Prototypes against a plain loop in numpy, their limits, and their bad input."""

import dataclasses

import numpy as np
import pytest
import torch

from metarec.algorithms.amortised.prototype import Prototype
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.algorithms.amortised.plain import double, emptied, layered, rows_of
from tests.conftest import tiny_melu, tiny_net


def made(net: Net, ratings: Ratings, shrinkage: float = 1.5) -> Prototype:
    """Every parameter at a random value."""
    algorithm = Prototype(net, width=3, hidden=6, shrinkage=shrinkage).double().eval()
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    with torch.no_grad():
        for parameter in (algorithm.log_share, algorithm.log_temperature, algorithm.log_precision, algorithm.prototype):
            parameter += 0.5 * torch.randn_like(parameter)
    return algorithm


@pytest.fixture(params=[tiny_net, tiny_melu])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> Prototype:
    return made(request.param(ratings), ratings)


def plain(algorithm: Prototype, batch: TaskBatch, number: int, empty: bool) -> list[float]:
    """One user's predictions from the definition, class by class."""
    values, k = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), algorithm.shrinkage
    prior = np.exp(algorithm.log_share.detach().numpy())
    prior /= prior.sum()
    mask = batch.support.mask[number] & (not empty)
    rated = rows_of(algorithm.net, batch.task[number], batch.support.item[number, mask])
    given = batch.support.rating[number, mask].numpy()
    prototypes, shares = [], []
    for c, value in enumerate(values):
        own = [layered(algorithm.embed, item) for (_, item, _), r in zip(rated, given, strict=True) if r == value]
        prototypes.append((sum(own) + k * algorithm.prototype[c].detach().numpy()) / (len(own) + k))
        shares.append((len(own) + k * prior[c]) / (len(given) + k))
    temperature, precision = (float(p.exp()) for p in (algorithm.log_temperature, algorithm.log_precision))
    expected = []
    for _, item, score in rows_of(algorithm.net, batch.task[number], batch.query.item[number]):
        distance = np.array([((layered(algorithm.embed, item) - p) ** 2).sum() for p in prototypes])
        weight = np.array(shares) / prior * np.exp(-distance / temperature - precision * (values - score) ** 2)
        expected.append(float(weight @ values / weight.sum()))
    return expected


def test_predictions_are_those_of_a_plain_loop(algorithm: Prototype, batch: TaskBatch) -> None:
    batch = double(batch)
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item).detach()
    for number in range(len(batch.task)):
        np.testing.assert_allclose(adapted[number].numpy(), plain(algorithm, batch, number, False), atol=1e-9)
        np.testing.assert_allclose(zero_shot[number].numpy(), plain(algorithm, batch, number, True), atol=1e-9)


def test_with_huge_shrinkage_or_an_empty_support_set_the_prototypes_are_the_shared_ones(
    ratings: Ratings, batch: TaskBatch
) -> None:
    batch = double(batch)
    for shrinkage, support in ((1e12, batch.support), (1.5, emptied(batch.support))):
        algorithm = made(tiny_net(ratings), ratings, shrinkage)
        shared = algorithm.predict({}, batch.task, batch.query.item)
        torch.testing.assert_close(algorithm.adapted(batch.task, support, batch.query.item), shared)


def test_with_tiny_shrinkage_the_prototypes_are_the_class_means(ratings: Ratings, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm = made(tiny_net(ratings), ratings, 1e-12)
    prototype = algorithm.adapt(batch.task, batch.support)["prototype"]
    embedded = algorithm.embed(algorithm.net.encoder(batch.task, batch.support.item).item)
    member = batch.support.mask[0] & (batch.support.rating[0] == 4)
    assert member.any()
    torch.testing.assert_close(prototype[0, 3], embedded[0, member].mean(dim=0).detach())


def test_classes_span_the_scale_and_take_the_nearest_ratings(ratings: Ratings, batch: TaskBatch) -> None:
    wide = dataclasses.replace(ratings, scale=(0.0, 10.0))
    algorithm = Prototype(tiny_net(ratings), levels=3, shrinkage=1e-9).double().eval()
    algorithm.prepare(wide, pack(wide, np.arange(len(wide))))
    assert algorithm.values.tolist() == [0.0, 5.0, 10.0]
    rating = torch.tensor([[0.0, 2.4, 2.6, 7.4, 9.0]], dtype=torch.float64)
    rows = double(batch).support._replace(
        item=torch.tensor([[1, 2, 3, 4, 5]]), rating=rating, mask=torch.ones(1, 5, dtype=torch.bool)
    )
    gain = algorithm.adapt(batch.task[:1], rows)["gain"]
    torch.testing.assert_close(gain.exp()[0] / 3, torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64))


def test_the_loss_is_that_of_the_adapted_predictions(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = Prototype(tiny_net(ratings), loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="NoNet encodes no users and items"):
        Prototype(NoNet(ratings.schema))
    for options in ({"levels": 1}, {"width": 0}, {"hidden": 0}, {"shrinkage": 0.0}, {"shrinkage": float("nan")}):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a number >"):
            Prototype(net, **options)
    with pytest.raises(InputError, match="predicts ratings, not logits"):
        Prototype(net, loss="binary_cross_entropy")
