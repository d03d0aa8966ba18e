"""The ridge head against a plain loop in numpy, its limits, and finite differences."""

import numpy as np
import pytest
import torch

from metarec.algorithms.closed_form.ridge import RidgeHead, ridge
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net, NoNet
from tests.conftest import tiny_melu, tiny_net


def double(batch: TaskBatch) -> TaskBatch:
    support, query = (rows._replace(rating=rows.rating.double()) for rows in (batch.support, batch.query))
    return batch._replace(support=support, query=query)


@pytest.fixture(params=[tiny_net, tiny_melu])
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> RidgeHead:
    made = RidgeHead(request.param(ratings), penalty=0.7).double().eval()
    with torch.no_grad():
        made.log_penalty += torch.linspace(-1, 1, len(made.log_penalty), dtype=torch.float64)
    return made


@pytest.mark.parametrize("rows", [3, 20])
def test_both_forms_of_the_system_give_what_numpy_gives_task_by_task(rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    input, target = torch.randn(4, rows, 6, generator=generator).double(), torch.randn(4, rows, generator=generator)
    penalty = torch.rand(6, generator=generator).double() + 0.1
    found = ridge(input, target.double(), penalty)
    for x, y, w in zip(input.numpy(), target.double().numpy(), found.numpy(), strict=True):
        stacked = np.vstack([x, np.diag(np.sqrt(penalty.numpy()))])
        expected = np.linalg.lstsq(stacked, np.append(y, np.zeros(6)), rcond=None)[0]
        np.testing.assert_allclose(w, expected, atol=1e-10)


def test_the_head_moves_to_the_minimum_of_its_penalised_support_loss(algorithm: RidgeHead, batch: TaskBatch) -> None:
    """At the minimum, the derivative of |y - score|^2 + penalty . delta^2 in the output layer's own weights is 0."""
    batch = double(batch)
    fast = algorithm.adapt(batch.task, batch.support)
    delta = fast["delta"].requires_grad_()
    error = algorithm.predict({"delta": delta}, batch.task, batch.support.item) - batch.support.rating
    objective = (
        error.masked_fill(~batch.support.mask, 0).square().sum() + (algorithm.log_penalty.exp() * delta.square()).sum()
    )
    [slope] = torch.autograd.grad(objective, delta)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-9)
    assert float(delta.detach().abs().max()) > 0.01


def test_with_a_huge_penalty_it_is_the_net_itself(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = RidgeHead(tiny_net(ratings), penalty=1e12).eval()
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot)
    torch.testing.assert_close(zero_shot, algorithm.net(batch.task, batch.query.item))


def test_with_a_tiny_penalty_it_fits_few_support_ratings_exactly(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = RidgeHead(tiny_net(ratings), penalty=1e-10).double().eval()
    support = double(batch).support
    support = support._replace(mask=support.mask & (torch.arange(support.mask.shape[1]) < 2))
    found = algorithm.adapted(batch.task, support, support.item)
    torch.testing.assert_close(found[support.mask], support.rating[support.mask], rtol=0, atol=1e-4)


def test_the_outer_gradient_is_that_of_finite_differences(algorithm: RidgeHead, batch: TaskBatch) -> None:
    batch = double(batch)
    algorithm.loss(batch).backward()  # type: ignore[no-untyped-call]
    for parameter in algorithm.parameters():
        place = int(parameter.grad.abs().flatten().argmax())  # type: ignore[union-attr]
        flat, step, found = parameter.data.view(-1), 1e-6, []
        for sign in (1, -1):
            flat[place] += sign * step
            with torch.no_grad():
                found.append(float(algorithm.loss(batch)))
            flat[place] -= sign * step
        expected = float(parameter.grad.flatten()[place])  # type: ignore[union-attr]
        assert (found[0] - found[1]) / (2 * step) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_a_loss_of_its_own_for_the_query_set(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = RidgeHead(tiny_net(ratings), loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.loss(batch), expected.mean())


def test_what_it_cannot_work_with_is_refused(ratings: Ratings, net: Net) -> None:
    with pytest.raises(InputError, match="needs a net that is linear"):
        RidgeHead(NoNet(ratings.schema))
    with pytest.raises(InputError, match="loss binary_cross_entropy: least squares fits no logits"):
        RidgeHead(net, loss="binary_cross_entropy")
    for penalty in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="give a number > 0"):
            RidgeHead(net, penalty)
