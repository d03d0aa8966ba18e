"""MAML++ against MAML, of which it is a limit case, and finite differences."""

import pytest
import torch

from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.gradient.maml_plus_plus import MAMLPlusPlus
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Net
from tests.algorithms.engines.cases import NETS, drawn

SETS = [("melu", "all"), ("melu", "decision"), ("neumf", "all"), ("neumf", "user_prior")]


@pytest.fixture
def batch(ratings: Ratings) -> TaskBatch:
    return drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")


def gradients(loss: torch.Tensor, net: Net) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(("kind", "adapts"), SETS)
def test_with_equal_rates_and_the_last_loss_alone_it_is_maml(
    ratings: Ratings, batch: TaskBatch, kind: str, adapts: str, first_order: bool
) -> None:
    net = NETS[kind](ratings).double()
    maml = MAML(net, [adapts], 0.1, 3, 2.0, first_order)
    own = MAMLPlusPlus(net, [adapts], 0.1, 3, 2.0, first_order_steps=int(first_order)).double()
    with torch.no_grad():
        for rate in own.rule.parameters():
            rate.fill_(0.1)
    found, expected = own.loss(batch), maml.loss(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(found, net), gradients(expected, net), rtol=0, atol=1e-11)
    scores = [a.adapted(batch.task, batch.support, batch.query.item) for a in (own, maml)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("done", [0, 3])
@pytest.mark.parametrize(("kind", "adapts"), SETS)
def test_the_loss_of_many_steps_is_the_weighted_sum_of_mamls_with_fewer(
    ratings: Ratings, batch: TaskBatch, kind: str, adapts: str, done: int
) -> None:
    net = NETS[kind](ratings)
    own = MAMLPlusPlus(net, [adapts], 0.125, 3, multi_step_steps=4).double()  # a rate that is the same in float32
    own.outer_steps.fill_(done)
    importance = {0: [1 / 3, 1 / 3, 1 / 3], 3: [1 / 12, 1 / 12, 10 / 12]}[done]
    expected = sum(
        weight * MAML(net, [adapts], 0.125, steps).loss(batch) for steps, weight in enumerate(importance, start=1)
    )
    found = own.loss(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(found, net), gradients(expected, net), rtol=0, atol=1e-11)


def test_each_step_takes_its_own_rates(ratings: Ratings, batch: TaskBatch) -> None:
    net = NETS["neumf"](ratings)
    own = MAMLPlusPlus(net, ["all"], 0.125, 2).double()
    with torch.no_grad():
        for rates in own.rule.parameters():
            rates[1] = 0.0
    short = MAML(net, ["all"], 0.125, 1)
    scores = [a.adapted(batch.task, batch.support, batch.query.item) for a in (own, short)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)
    own.inner_loop.adaptation_steps = 5  # steps beyond the learned ones take the last rates, which are 0
    more = own.adapted(batch.task, batch.support, batch.query.item)
    torch.testing.assert_close(more, scores[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", NETS)
def test_the_gradient_of_every_rate_is_that_of_finite_differences(
    ratings: Ratings, batch: TaskBatch, kind: str
) -> None:
    own = MAMLPlusPlus(NETS[kind](ratings), ["all"], 0.05, 3, multi_step_steps=9).double().eval()
    own.loss(batch).backward()
    for rates in own.rule.parameters():
        for step in range(3):
            losses = []
            for sign in (1, -1):
                rates.data[step] += sign * 1e-6
                losses.append(float(own.loss(batch).detach()))
                rates.data[step] -= sign * 1e-6
            assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(float(rates.grad[step]), rel=1e-4, abs=1e-7)


def test_importance_moves_evenly_to_the_last_step(net: Net) -> None:
    own = MAMLPlusPlus(net, adaptation_steps=4, multi_step_steps=10)
    assert own.importance(0) == pytest.approx([0.25] * 4)
    assert own.importance(5) == pytest.approx([0.125] * 3 + [0.625])
    for done in (10, 11, 1000):
        assert own.importance(done) == [0.0, 0.0, 0.0, 1.0]


def test_outer_steps_are_counted_in_training_only_and_survive_a_checkpoint(ratings: Ratings, batch: TaskBatch) -> None:
    options = {"adaptation_steps": 3, "multi_step_steps": 7, "first_order_steps": 2}
    own = MAMLPlusPlus(NETS["neumf"](ratings), **options).double()
    own.eval().loss(batch)
    own.train()
    own.adapted(batch.task, batch.support, batch.query.item)
    assert int(own.outer_steps) == 0
    for _ in range(3):
        own.loss(batch)
    assert int(own.outer_steps) == 3
    resumed = MAMLPlusPlus(NETS["neumf"](ratings), **options).double()
    resumed.load_state_dict(own.state_dict())
    found, expected = resumed.loss(batch), own.loss(batch)
    assert torch.equal(found, expected)
    for mine, oracle in zip(gradients(found, resumed.net), gradients(expected, own.net), strict=True):
        assert torch.equal(mine, oracle)


def test_order_goes_from_first_to_second(ratings: Ratings, batch: TaskBatch) -> None:
    net = NETS["neumf"](ratings)
    own = MAMLPlusPlus(net, inner_lr=0.125, adaptation_steps=3, first_order_steps=2).double()
    orders = [MAML(net, inner_lr=0.125, adaptation_steps=3, first_order=first) for first in (True, True, False, False)]
    for maml in orders:
        torch.testing.assert_close(gradients(own.loss(batch), net), gradients(maml.loss(batch), net))
    assert not torch.allclose(gradients(orders[0].loss(batch), net)[0], gradients(orders[2].loss(batch), net)[0])


def test_numbers_out_of_range_are_refused(net: Net) -> None:
    for name, value, lowest in (("adaptation_steps", 0, 1), ("multi_step_steps", -1, 0), ("first_order_steps", -1, 0)):
        with pytest.raises(InputError, match=f"{name} {value}: give a number >= {lowest}"):
            MAMLPlusPlus(net, **{name: value})
