"""Learned update rules against their formula, written as a loop over tasks."""

import pytest
import torch

from metarec.algorithms.engines.base import score
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.algorithms.update_rules import GradientStep, Kronecker, MetaCurvature, MetaSGD
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, TaskBatch, alone
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


@pytest.mark.parametrize("net", NETS)
def test_meta_curvature_multiplies_a_gradient_from_both_sides(ratings: Ratings, batch: TaskBatch, net: str) -> None:
    made = NETS[net](ratings)
    algorithm = MAML(made, ["all"], 0.3, 1, update_rule=MetaCurvature).double()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in algorithm.rule.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    fast = algorithm.adapt(batch.task, batch.support)
    transforms = algorithm.rule.update.transforms_modules
    for number in range(len(batch.task)):
        one = alone(batch, number)
        loss = SQUARED_ERROR.of_tasks(score(made, {}, one.task, one.support.item), one.support).sum()
        for name, learned in zip(algorithm.inner_loop.names, transforms, strict=True):
            weight = made.get_parameter(name)
            [gradient] = torch.autograd.grad(loss, weight, retain_graph=True)
            turned = learned.mc * gradient if weight.dim() == 1 else learned.mc_in @ gradient @ learned.mc_out
            torch.testing.assert_close(fast[name][number], weight - 0.3 * turned, rtol=0, atol=1e-12)
