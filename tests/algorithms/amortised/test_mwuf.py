"""MWUF against a plain loop over tasks, and its limits."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.algorithms.amortised.mwuf import MWUF
from metarec.data.ratings import Ratings
from metarec.data.tasks import Rows, TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net
from tests.algorithms.amortised.plain import double, emptied, layered, randomised, under
from tests.conftest import tiny_net
from tests.nets.tiny import WITH_PRIOR


def made(net: Net, ratings: Ratings, **options: object) -> MWUF:
    arguments: dict = {"hidden": 5, "alpha": 0.3, "inner_lr": 0.05, "adaptation_steps": 2, "shrinkage": 1.5, **options}
    algorithm = randomised(MWUF(net, **arguments))
    algorithm.prepare(ratings, pack(ratings, np.flatnonzero(ratings.user <= 30)))
    return algorithm.double().eval()


@pytest.fixture(params=WITH_PRIOR)
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> MWUF:
    return made(request.param(ratings), ratings)


def scale_of(algorithm: MWUF, task: Tensor) -> Tensor:
    attributes = algorithm.net.encode_user(task[None])[0, 0].detach().numpy()
    return 1 + torch.from_numpy(layered(algorithm.scale, attributes))


def shift_of(algorithm: MWUF, item: Tensor) -> Tensor:
    """From the sum over items one by one, through two matrices."""
    total = sum(algorithm.net.encoder(item[:1], each[None, None]).item[0, 0].detach() for each in item)
    first, last = algorithm.shift[0].weight.detach(), algorithm.shift[2].weight.detach()
    return last @ (first @ (total / (len(item) + 1.5))).clamp(min=0)


def cold_vector(algorithm: MWUF, task: Tensor, item: Tensor, rating: Tensor) -> Tensor:
    """Two steps from the mean of the known tasks' vectors."""
    net, ids = algorithm.net, algorithm.ids
    prior = torch.cat([net.decoder.user_prior, net.decoder.user_bias])
    vector = (prior + ids.offset[1:31].mean(dim=0)).detach()
    for _ in range(2):
        vector.requires_grad_()
        errors = under(net, ids, vector, task, item) - rating
        [slope] = torch.autograd.grad(errors.square().sum() / (len(item) + 1.5), vector)
        vector = (vector - 0.05 * slope).detach()
    return vector


def rows_of(rows: Rows, number: int) -> tuple[Tensor, Tensor]:
    mask = rows.mask[number]
    return rows.item[number, mask], rows.rating[number, mask]


def test_predictions_and_meta_loss_are_those_of_a_loop_over_tasks(algorithm: MWUF, batch: TaskBatch) -> None:
    batch, net, ids = double(batch), algorithm.net, algorithm.ids
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    meta = algorithm.meta_losses(batch)
    start = ids.mean(net).detach()
    for number, task in enumerate(batch.task):
        item, rating = rows_of(batch.query, number)
        scale, support = scale_of(algorithm, task), rows_of(batch.support, number)
        warm = cold_vector(algorithm, task, *support) * scale + shift_of(algorithm, support[0])
        losses = []
        for found, vector in ((zero_shot, start * scale), (adapted, warm)):
            expected = under(net, ids, vector, task, item)
            torch.testing.assert_close(found[number, batch.query.mask[number]], expected)
            losses.append((expected - rating).square().mean())
        torch.testing.assert_close(meta[number], 0.3 * losses[0] + 0.7 * losses[1])


def test_the_meta_networks_have_the_gradient_of_finite_differences(algorithm: MWUF, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm.loss(batch).backward()  # type: ignore[no-untyped-call]
    for name, parameter in algorithm.named_parameters():
        if not name.startswith(("scale.", "shift.")):
            continue
        assert parameter.grad is not None
        place = int(parameter.grad.abs().flatten().argmax())
        flat, found = parameter.data.view(-1), []
        for sign in (1, -1):
            flat[place] += sign * 1e-6
            with torch.no_grad():
                found.append(float(algorithm.loss(batch)))
            flat[place] -= sign * 1e-6
        expected = float(parameter.grad.flatten()[place])
        assert (found[0] - found[1]) / 2e-6 == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def test_before_training_it_is_the_base_with_a_vector_of_its_own(ratings: Ratings, batch: TaskBatch) -> None:
    """Scale 1 and shift 0: zero-shot is the net itself, adapted the net fine-tuned from there."""
    net = tiny_net(ratings).double().eval()
    algorithm, batch = MWUF(net, inner_lr=0.05, adaptation_steps=2, shrinkage=1.5).double(), double(batch)
    own = net(batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.predict({}, batch.task, batch.query.item), own)
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, task in enumerate(batch.task):
        vector = cold_vector(algorithm, task, *rows_of(batch.support, number))
        expected = under(net, algorithm.ids, vector, task, batch.query.item[number])
        torch.testing.assert_close(adapted[number], expected)


def test_without_steps_and_shift_it_is_zero_shot(algorithm: MWUF, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm.inner_loop.adaptation_steps = 0
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    shifted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    assert not torch.allclose(shifted, zero_shot, atol=1e-4)
    torch.nn.init.zeros_(algorithm.shift[2].weight)
    torch.testing.assert_close(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot)


def test_who_interacted_shifts_whatever_the_ratings_and_nobody_shifts_nothing(
    algorithm: MWUF, batch: TaskBatch
) -> None:
    batch = double(batch)
    algorithm.inner_loop.adaptation_steps = 0
    start = algorithm.cold(batch.task)
    shift = algorithm.warm(batch.task, batch.support) - start
    other = batch.support._replace(rating=6 - batch.support.rating)
    torch.testing.assert_close(algorithm.warm(batch.task, other) - start, shift)
    assert float(shift.detach().abs().max()) > 0.01
    torch.testing.assert_close(algorithm.warm(batch.task, emptied(batch.support)), start, rtol=0, atol=0)


def test_a_loss_of_its_own(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = MWUF(tiny_net(ratings), alpha=0.0, loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.meta_losses(batch), expected)


def test_a_width_out_of_range_is_refused(net: Net) -> None:
    with pytest.raises(InputError, match="hidden 0: give a number >= 1"):
        MWUF(net, hidden=0)
