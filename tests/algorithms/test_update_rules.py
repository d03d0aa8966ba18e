"""Learned update rules against their formula, written as a loop over tasks."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from metarec.algorithms.engines.base import score
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.gradient.maml_plus_plus import StepRates
from metarec.algorithms.inner_loop import FastWeights
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.algorithms.update_rules import GradientStep, Kronecker, MetaCurvature, MetaSGD, UpdateRule
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, TaskBatch, alone
from metarec.nets.base import Net
from tests.algorithms.engines.cases import NETS, drawn


@pytest.fixture
def batch(ratings: Ratings) -> TaskBatch:
    return drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", [MetaSGD, Kronecker, MetaCurvature])
def test_every_learned_rule_starts_as_a_plain_gradient_step(
    ratings: Ratings, batch: TaskBatch, rule: type, net: str
) -> None:
    made = NETS[net](ratings).double()
    plain, learned = (MAML(made, ["all"], 0.05, 3, update_rule=kind).double() for kind in (GradientStep, rule))
    scores = [a.adapted(batch.task, batch.support, batch.query.item) for a in (learned, plain)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)


def off_its_start(net: Net, rule: type) -> MAML:
    """A step of 0.3 that adapts everything by a learned rule at random values."""
    algorithm = MAML(net, ["all"], 0.3, 1, update_rule=rule).double()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in algorithm.rule.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return algorithm


def gradients(algorithm: MAML, batch: TaskBatch) -> Iterator[tuple[int, int, str, Tensor]]:
    """Number of each task, number and name of each parameter that adapts, and the support loss's gradient in it."""
    net, names = algorithm.net, algorithm.inner_loop.names
    for task in range(len(batch.task)):
        one = alone(batch, task)
        loss = SQUARED_ERROR.of_tasks(score(net, {}, one.task, one.support.item), one.support).sum()
        found = torch.autograd.grad(loss, [net.get_parameter(name) for name in names])
        yield from ((task, number, name, found[number]) for number, name in enumerate(names))


@pytest.mark.parametrize("net", NETS)
def test_meta_sgd_multiplies_a_gradient_element_by_element(ratings: Ratings, batch: TaskBatch, net: str) -> None:
    algorithm = off_its_start(NETS[net](ratings), MetaSGD)
    fast = algorithm.adapt(batch.task, batch.support)
    for task, number, name, gradient in gradients(algorithm, batch):
        expected = algorithm.net.get_parameter(name) - algorithm.rule.rates[number] * gradient
        torch.testing.assert_close(fast[name][task], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("net", NETS)
def test_kronecker_multiplies_a_gradient_from_both_sides(ratings: Ratings, batch: TaskBatch, net: str) -> None:
    """By L = A'A and R = B'B of learned A and B; a vector is a matrix of one column."""
    algorithm = off_its_start(NETS[net](ratings), Kronecker)
    fast = algorithm.adapt(batch.task, batch.support)
    for task, number, name, gradient in gradients(algorithm, batch):
        learned = algorithm.rule.update.transforms_modules[number].transform
        left, right = learned.left.T @ learned.left, learned.right.T @ learned.right
        turned = (left @ gradient.reshape(len(left), len(right)) @ right).reshape(gradient.shape)
        expected = algorithm.net.get_parameter(name) - 0.3 * turned
        torch.testing.assert_close(fast[name][task], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("net", NETS)
def test_meta_curvature_multiplies_a_gradient_from_both_sides(ratings: Ratings, batch: TaskBatch, net: str) -> None:
    algorithm = off_its_start(NETS[net](ratings), MetaCurvature)
    fast = algorithm.adapt(batch.task, batch.support)
    for task, number, name, gradient in gradients(algorithm, batch):
        learned = algorithm.rule.update.transforms_modules[number]
        turned = learned.mc * gradient if gradient.dim() == 1 else learned.mc_in @ gradient @ learned.mc_out
        expected = algorithm.net.get_parameter(name) - 0.3 * turned
        torch.testing.assert_close(fast[name][task], expected, rtol=0, atol=1e-12)


def moved(algorithm: MAML, batch: TaskBatch, parameters: list[Tensor], step: list[Tensor]) -> float:
    """The outer loss with the parameters moved by a step; they are moved back."""
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        torch._foreach_add_(parameters, step)
    loss = float(algorithm.loss(batch))
    with torch.no_grad():
        torch._foreach_copy_(parameters, before)
    return loss


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("of", ["net", "rule"])
@pytest.mark.parametrize("rule", [MetaSGD, Kronecker, MetaCurvature])
def test_the_outer_gradient_is_that_of_finite_differences(
    ratings: Ratings, batch: TaskBatch, rule: type, of: str, net: str
) -> None:
    """Along a random direction, through the inner step."""
    algorithm = off_its_start(NETS[net](ratings), rule)
    parameters = [parameter for parameter in getattr(algorithm, of).parameters() if parameter.requires_grad]
    found = torch.autograd.grad(algorithm.loss(batch), parameters, allow_unused=True, materialize_grads=True)
    step = [1e-6 * torch.randn_like(parameter) for parameter in parameters]
    ends = [moved(algorithm, batch, parameters, [sign * part for part in step]) for sign in (1, -1)]
    along = sum(float((gradient * part).sum()) for gradient, part in zip(found, step, strict=True))
    assert (ends[0] - ends[1]) / 2 == pytest.approx(along, rel=1e-5)


def moves(rule: UpdateRule, weight: Tensor, element: int) -> Tensor:
    """How far a step of 0.3 moves each element of a weight against a gradient of 1 in one of them, 0 elsewhere."""
    fast = FastWeights({"weight": torch.nn.Parameter(weight.clone())})
    learner = rule.learner(fast, 0.3, True).clone()
    learner.adapt(next(learner.module.parameters()).flatten()[element])
    return weight - next(learner.module.parameters()).detach()


@pytest.mark.parametrize("shape", [(3, 4), (5,), (1,)])
@pytest.mark.parametrize("rule", [MetaSGD, Kronecker, MetaCurvature])
def test_learned_rates_are_how_far_an_element_moves_by_its_own_gradient(rule: type, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64)
    made = rule([weight], 0.3).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    [rates] = made.learned_rates(0.3)
    expected = [moves(made, weight, element).flatten()[element] for element in range(weight.numel())]
    torch.testing.assert_close(rates.detach().flatten(), torch.stack(expected), rtol=0, atol=1e-12)


def test_learned_rates_of_steps_are_those_of_each_step() -> None:
    rule = StepRates(1, 2, 0.3)
    with torch.no_grad():
        rule.update.rates[0].copy_(torch.tensor([0.2, -0.5]))
    fast = FastWeights({"weight": torch.nn.Parameter(torch.zeros(3))})
    learner, path = rule.learner(fast, 0.3, True).clone(), [0.0]
    for _ in range(2):
        weight = next(learner.module.parameters())
        learner.adapt(weight.sum())
        path.append(float(next(learner.module.parameters()).detach()[0]))
    [rates] = rule.learned_rates(0.3)
    assert [path[0] - path[1], path[1] - path[2]] == pytest.approx(rates.tolist())


def test_rates_that_are_not_learned_are_none() -> None:
    assert GradientStep().learned_rates(0.1) == []
