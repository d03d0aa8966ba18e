"""MetaEmb against a step by hand in numpy, and its meta loss against autograd in a loop over tasks."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.algorithms.amortised.metaemb import MetaEmb
from metarec.data.ratings import Ratings
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net
from tests.algorithms.amortised.plain import double, randomised, under
from tests.conftest import tiny_net
from tests.nets.tiny import TINY, WITH_PRIOR


def made(net: Net, **options: object) -> MetaEmb:
    arguments: dict = {"scale": 0.7, "alpha": 0.3, "inner_lr": 0.05, "shrinkage": 1.5, **options}
    return randomised(MetaEmb(net, **arguments)).double().eval()


@pytest.fixture(params=WITH_PRIOR)
def algorithm(request: pytest.FixtureRequest, ratings: Ratings) -> MetaEmb:
    return made(request.param(ratings))


def one_task(algorithm: MetaEmb, task: Tensor, support: Rows, query: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Generated vector, vector after the step, and meta loss of one task without padding."""
    net, ids = algorithm.net, algorithm.ids
    attributes = net.encode_user(task[None])[0, 0].detach()
    vector = ids.prior(net).detach() + 0.7 * torch.tanh(algorithm.generator.weight @ attributes)
    errors = under(net, ids, vector, task, support.item[0]) - support.rating[0]
    loss = errors.square().sum() / (len(errors) + 1.5)
    [slope] = torch.autograd.grad(loss, vector, create_graph=True)
    after = vector - 0.05 * slope
    warm = (under(net, ids, after, task, query.item[0]) - query.rating[0]).square().mean()
    return vector, after, 0.3 * errors.square().mean() + 0.7 * warm


def tasks_of(batch: TaskBatch) -> list[tuple[Tensor, Rows, Rows]]:
    """The tasks one by one, without padding."""
    return [
        (
            batch.task[number],
            *(Rows(*(c[number, rows.mask[number]][None] for c in rows)) for rows in (batch.support, batch.query)),
        )
        for number in range(len(batch.task))
    ]


def test_the_vector_after_a_step_is_one_gradient_step_by_hand(ratings: Ratings, batch: TaskBatch) -> None:
    """In a GMF net, score = mean + item bias + v_bias + h . ((v + attributes) * item)."""
    batch, algorithm = double(batch), made(TINY["gmf"](ratings))
    of = {name: parameter.detach().numpy() for name, parameter in algorithm.named_parameters()}
    fast = algorithm.adapt(batch.task, batch.support)
    for number, (task, support, _) in enumerate(tasks_of(batch)):
        attributes = of["net.encoder.user.table.group"][ratings.user_features.categorical["group"][int(task)]]
        prior = np.append(of["net.decoder.user_prior"], of["net.decoder.user_bias"])
        vector = prior + 0.7 * np.tanh(of["generator.weight"] @ attributes)
        slope = np.zeros(4)
        for item, rating in zip(support.item[0].tolist(), support.rating[0].tolist(), strict=True):
            genres = ratings.item_features.multi_hot["genre"][item]
            of_item = of["net.encoder.item.table.id"][item] + genres / genres.sum() @ of["net.encoder.item.table.genre"]
            features = np.append(of["net.decoder.head.weight"][0] * of_item, 1.0)
            bias = of["net.encoder.item_bias.table.id"][item, 0] + float(algorithm.net.decoder.mean)
            error = features[:-1] @ attributes + features @ vector + bias - rating
            slope += 2 * error * features / (support.item.shape[1] + 1.5)
        expected = vector - 0.05 * slope
        np.testing.assert_allclose(fast["decoder.user_prior"][number], expected[:-1], atol=1e-6)
        np.testing.assert_allclose(fast["decoder.user_bias"][number], expected[-1:], atol=1e-6)


def test_the_meta_loss_and_its_gradient_are_those_of_a_loop_over_tasks(algorithm: MetaEmb, batch: TaskBatch) -> None:
    batch = double(batch)
    found = algorithm.meta_losses(batch)
    expected = torch.stack([one_task(algorithm, *each)[2] for each in tasks_of(batch)])
    torch.testing.assert_close(found, expected)
    weight = algorithm.generator.weight
    slopes = [torch.autograd.grad(losses.sum(), weight)[0] for losses in (found, expected)]
    torch.testing.assert_close(*slopes)


def test_the_generator_has_the_gradient_of_finite_differences(algorithm: MetaEmb, batch: TaskBatch) -> None:
    """Which goes through the step: without its second-order term it is another one."""
    batch = double(batch)
    algorithm.loss(batch).backward()  # type: ignore[no-untyped-call]
    weight = algorithm.generator.weight
    assert weight.grad is not None
    place = int(weight.grad.abs().flatten().argmax())
    flat, found = weight.data.view(-1), []
    for sign in (1, -1):
        flat[place] += sign * 1e-6
        with torch.no_grad():
            found.append(float(algorithm.loss(batch)))
        flat[place] -= sign * 1e-6
    expected = float(weight.grad.flatten()[place])
    assert (found[0] - found[1]) / 2e-6 == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_predictions_are_those_of_a_loop_over_tasks(algorithm: MetaEmb, batch: TaskBatch) -> None:
    batch = double(batch)
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    adapted = algorithm.adapted(batch.task, batch.support, batch.query.item)
    for number, (task, support, query) in enumerate(tasks_of(batch)):
        vectors = one_task(algorithm, task, support, query)[:2]
        for scores, vector in zip((zero_shot, adapted), vectors, strict=True):
            expected = under(algorithm.net, algorithm.ids, vector, task, query.item[0])
            torch.testing.assert_close(scores[number, batch.query.mask[number]], expected)


def test_without_steps_it_is_zero_shot(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = MetaEmb(tiny_net(ratings), adaptation_steps=0).eval()
    zero_shot = algorithm.predict({}, batch.task, batch.query.item)
    torch.testing.assert_close(algorithm.adapted(batch.task, batch.support, batch.query.item), zero_shot)


def test_two_steps_are_a_step_after_a_step(algorithm: MetaEmb, batch: TaskBatch) -> None:
    batch = double(batch)
    first = torch.cat(list(algorithm.adapt(batch.task, batch.support).values()), dim=1)
    how = algorithm.inner_loop
    expected = algorithm.ids.descend(algorithm.net, how.first(), first, batch.task, batch.support)
    how.adaptation_steps = 2
    found = torch.cat(list(algorithm.adapt(batch.task, batch.support).values()), dim=1)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, first, atol=1e-4)


def test_a_loss_of_its_own(ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = MetaEmb(tiny_net(ratings), alpha=0.0, loss="absolute_error").eval()
    error = (algorithm.adapted(batch.task, batch.support, batch.query.item) - batch.query.rating).abs()
    expected = (error * batch.query.mask).sum(1) / batch.query.mask.sum(1)
    torch.testing.assert_close(algorithm.meta_losses(batch), expected)


def test_a_scale_out_of_range_is_refused(net: Net) -> None:
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"scale .*: give a number > 0"):
            MetaEmb(net, scale)
