"""Reptile against its formula, computed task by task with plain autograd."""

import pytest
import torch
from torch.func import functional_call

from metarec.algorithms.gradient.reptile import Reptile
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, TaskBatch, alone, joined
from metarec.errors import InputError
from metarec.nets.base import Net
from tests.algorithms.engines.cases import NETS, drawn

SETS = [("melu", "all"), ("melu", "decision"), ("melu", "encoder.item.*"), ("neumf", "all"), ("neumf", "user_prior")]


@pytest.fixture
def batch(ratings: Ratings) -> TaskBatch:
    return drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")


def mean_loss(net: Net, fast: dict[str, torch.Tensor], one: TaskBatch) -> torch.Tensor:
    rows = joined(one)
    return (functional_call(net, fast, (one.task, rows.item)) - rows.rating).square().mean()


def adapted_alone(net: Net, names: list[str], one: TaskBatch, lr: float, steps: int) -> dict[str, torch.Tensor]:
    """Whole parameters of the net after plain gradient steps on all rows of one task."""
    fast = {name: net.get_parameter(name).detach().clone().requires_grad_() for name in names}
    for _ in range(steps):
        slopes = torch.autograd.grad(mean_loss(net, fast, one), list(fast.values()))
        fast = {
            name: (old - lr * slope).detach().requires_grad_()
            for (name, old), slope in zip(fast.items(), slopes, strict=True)
        }
    return fast


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(("kind", "adapts"), SETS)
def test_a_step_of_sgd_moves_to_the_mean_of_the_adapted_weights(
    ratings: Ratings, batch: TaskBatch, kind: str, adapts: str, steps: int
) -> None:
    net, eps, lr = NETS[kind](ratings).double(), 0.3, 0.05
    algorithm = Reptile(net, [adapts], lr, steps)
    each = [alone(batch, number) for number in range(len(batch.task))]
    ends = [adapted_alone(net, algorithm.inner_loop.names, one, lr, steps) for one in each]
    expected = {}
    for name in algorithm.inner_loop.names:
        start = net.get_parameter(name).detach().clone()
        expected[name] = start + eps * (torch.stack([end[name].detach() for end in ends]).mean(0) - start)
    optimizer = torch.optim.SGD(algorithm.parameters(), lr=eps * lr)
    algorithm.loss(batch).backward()
    optimizer.step()
    for name, value in expected.items():
        torch.testing.assert_close(net.get_parameter(name).detach(), value, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "adapts"), SETS)
def test_what_does_not_adapt_gets_its_ordinary_gradient_at_the_adapted_weights(
    ratings: Ratings, batch: TaskBatch, kind: str, adapts: str
) -> None:
    net = NETS[kind](ratings).double()
    algorithm = Reptile(net, [adapts], 0.05, 3)
    names = algorithm.inner_loop.names
    loss = algorithm.loss(batch)
    loss.backward()
    each = [alone(batch, number) for number in range(len(batch.task))]
    losses = torch.stack([mean_loss(net, adapted_alone(net, names, one, 0.05, 3), one) for one in each])
    torch.testing.assert_close(loss, losses.mean())
    others = {name: parameter for name, parameter in net.named_parameters() if name not in names}
    if others:
        for name, slope in zip(others, torch.autograd.grad(losses.mean(), list(others.values())), strict=True):
            torch.testing.assert_close(net.get_parameter(name).grad, slope, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", NETS)
def test_one_inner_step_is_joint_training(ratings: Ratings, batch: TaskBatch, kind: str) -> None:
    net = NETS[kind](ratings).double()
    Reptile(net, ["all"], 0.05, 1).loss(batch).backward()
    rows = joined(batch)
    joint = SQUARED_ERROR.of_tasks(net(batch.task, rows.item), rows).mean()
    for parameter, slope in zip(net.parameters(), torch.autograd.grad(joint, list(net.parameters())), strict=True):
        torch.testing.assert_close(parameter.grad, slope, rtol=0, atol=1e-12)


def test_sparse_tables_get_sparse_gradients_of_the_same_values(ratings: Ratings, batch: TaskBatch) -> None:
    dense, sparse = NETS["melu"](ratings).double(), NETS["melu"](ratings).double()
    sparse.encoder.user.sparse = sparse.encoder.item.sparse = True
    for net in (dense, sparse):
        Reptile(net, ["all"], 0.05, 3).loss(batch).backward()
    assert sparse.encoder.item.table["id"].grad.is_sparse
    for own, oracle in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(own.grad.to_dense(), oracle.grad, rtol=0, atol=1e-12)


def test_no_step_at_all_is_refused(net: Net) -> None:
    with pytest.raises(InputError, match="adaptation_steps 0: give a number >= 1"):
        Reptile(net, adaptation_steps=0)
