"""iMAML against exactly solved inner problems, dense Hessians, and its limits."""

import pytest
import torch
from torch.func import functional_call

from metarec.algorithms.gradient.implicit_maml import ImplicitMAML, conjugate_gradients
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, Rows, TaskBatch, alone
from metarec.errors import InputError
from metarec.nets.base import Net
from tests.algorithms.engines.cases import NETS, drawn


@pytest.fixture
def batch(ratings: Ratings) -> TaskBatch:
    return drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")


def output_layer(net: Net, one: TaskBatch, rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of one task: what the group `head` multiplies, its values, and what the score has besides."""
    decoder = net.decoder
    inputs = decoder.inputs(net.encoder(one.task, rows.item))
    hidden = decoder.hidden(inputs, len(decoder.layers))[0]
    ones = torch.ones_like(hidden[:, :1])
    constants = [getattr(decoder, name) for name in decoder.constants]
    features = torch.cat([hidden, ones, *(ones for _ in constants)], dim=1)
    values = torch.cat([decoder.head.weight[0], decoder.head.bias, *constants])
    return features, values, inputs.offset[0] - sum(constants)


def solved_loss(net: Net, batch: TaskBatch, strength: float) -> torch.Tensor:
    """The mean query loss with each task's output layer where its regularised squared error is least."""
    losses = []
    for number in range(len(batch.task)):
        one = alone(batch, number)
        x, theta, offset = output_layer(net, one, one.support)
        system = 2 * x.T @ x / len(x) + strength * torch.eye(x.shape[1], dtype=x.dtype)
        residual = one.support.rating[0] - offset - x @ theta
        phi = theta + torch.linalg.solve(system, 2 * x.T @ residual / len(x))
        x, _, offset = output_layer(net, one, one.query)
        losses.append((x @ phi + offset - one.query.rating[0]).square().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("strength", [0.5, 4.0])
@pytest.mark.parametrize("kind", ["melu", "neumf"])
def test_on_a_quadratic_problem_the_gradient_is_that_of_the_exact_solution(
    ratings: Ratings, batch: TaskBatch, kind: str, strength: float
) -> None:
    net = NETS[kind](ratings).double()
    algorithm = ImplicitMAML(net, ["head"], 0.05, 1200, regularisation=strength, solver_steps=20)
    found, expected = algorithm.loss(batch), solved_loss(net, batch, strength)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    slopes, oracle = (torch.autograd.grad(loss, list(net.parameters())) for loss in (found, expected))
    for own, exact in zip(slopes, oracle, strict=True):
        torch.testing.assert_close(own, exact, rtol=0, atol=1e-9)


def test_the_gradient_is_that_of_finite_differences_of_the_exact_solution(ratings: Ratings, batch: TaskBatch) -> None:
    net = NETS["neumf"](ratings).double()
    algorithm = ImplicitMAML(net, ["head"], 0.05, 1200, regularisation=1.0, solver_steps=20)
    algorithm.loss(batch).backward()
    for parameter in (net.decoder.head.weight, net.decoder.user_prior, net.encoder.item.table["id"]):
        place = int(parameter.grad.abs().flatten().argmax())
        losses = []
        for sign in (1, -1):
            parameter.data.view(-1)[place] += sign * 1e-6
            losses.append(float(solved_loss(net, batch, 1.0).detach()))
            parameter.data.view(-1)[place] -= sign * 1e-6
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(float(parameter.grad.flatten()[place]), rel=1e-5)


def flat_loss(net: Net, names: list[str], values: torch.Tensor, one: TaskBatch, rows: Rows) -> torch.Tensor:
    shapes = [net.get_parameter(name).shape for name in names]
    parts = torch.split(values, [shape.numel() for shape in shapes])
    fast = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
    return (functional_call(net, fast, (one.task, rows.item)) - rows.rating).square().mean()


@pytest.mark.parametrize("shared_item", [True, False])
@pytest.mark.parametrize(
    ("kind", "adapts"), [("melu", "decision"), ("melu", "all"), ("neumf", "decision"), ("neumf", "all")]
)
def test_adapting_parameters_get_what_a_dense_hessian_gives_task_by_task(
    ratings: Ratings, batch: TaskBatch, kind: str, adapts: str, shared_item: bool
) -> None:
    net, strength, lr = NETS[kind](ratings).double(), 40.0, 0.01
    if shared_item:  # so that rows of a table are in support and query set alike
        item = batch.query.item.clone()
        item[:, 0] = batch.support.item[:, 0]
        batch = batch._replace(query=batch.query._replace(item=item))
    algorithm = ImplicitMAML(net, [adapts], lr, 3, regularisation=strength, solver_steps=15)
    algorithm.loss(batch).backward()
    names = algorithm.inner_loop.names
    theta = torch.cat([net.get_parameter(name).detach().flatten() for name in names])
    expected = torch.zeros_like(theta)
    for number in range(len(batch.task)):
        one, phi = alone(batch, number), theta.clone()

        def of(values: torch.Tensor, rows: Rows, one: TaskBatch = one) -> torch.Tensor:
            return flat_loss(net, names, values, one, rows)

        for _ in range(3):
            phi = phi - lr * (torch.func.grad(of)(phi, one.support) + strength * (phi - theta))
        hessian = torch.func.jacrev(torch.func.grad(of))(phi, one.support)
        system = torch.eye(len(phi), dtype=phi.dtype) + hessian / strength
        expected += torch.linalg.solve(system, torch.func.grad(of)(phi, one.query)) / len(batch.task)
    found = torch.cat([net.get_parameter(name).grad.flatten() for name in names])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("adapts", ["decision", "all"])
def test_without_a_solver_the_adapting_parameters_get_the_first_order_gradient(
    ratings: Ratings, batch: TaskBatch, adapts: str
) -> None:
    """One step: the regularisation plays no part where the steps begin."""
    net = NETS["neumf"](ratings).double()
    own = ImplicitMAML(net, [adapts], 0.05, 1, solver_steps=0)
    slopes = []
    for algorithm in (own, MAML(net, [adapts], 0.05, 1, first_order=True)):
        parameters = [net.get_parameter(name) for name in own.inner_loop.names]
        slopes.append(torch.autograd.grad(algorithm.loss(batch), parameters))
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("adapts", ["decision", "all"])
def test_held_very_strongly_it_is_training_on_the_query_set(ratings: Ratings, batch: TaskBatch, adapts: str) -> None:
    net = NETS["melu"](ratings).double()
    ImplicitMAML(net, [adapts], 1e-12, 5, regularisation=1e10).loss(batch).backward()
    joint = SQUARED_ERROR.of_tasks(net(batch.task, batch.query.item), batch.query).mean()
    for parameter, slope in zip(net.parameters(), torch.autograd.grad(joint, list(net.parameters())), strict=True):
        torch.testing.assert_close(parameter.grad, slope, rtol=0, atol=1e-7)


def test_sparse_tables_get_sparse_gradients_of_the_same_values(ratings: Ratings, batch: TaskBatch) -> None:
    dense, sparse = NETS["melu"](ratings).double(), NETS["melu"](ratings).double()
    sparse.encoder.user.sparse = sparse.encoder.item.sparse = True
    for net in (dense, sparse):
        ImplicitMAML(net, ["all"], 0.05, 3).loss(batch).backward()
    assert sparse.encoder.item.table["id"].grad.is_sparse
    for own, oracle in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(own.grad.to_dense(), oracle.grad, rtol=0, atol=1e-12)


def test_conjugate_gradients_solve_each_tasks_own_system() -> None:
    generator = torch.Generator().manual_seed(0)
    root, right = (torch.randn(5, 6, width, generator=generator).double() for width in (6, 1))
    system = root @ root.mT + torch.eye(6)
    right[2] = 0.0  # solved from the start: it must stay finite
    found = conjugate_gradients(lambda v: (system @ v[..., None])[..., 0], right[..., 0], right[..., 0] * 0, 12)
    torch.testing.assert_close(found, torch.linalg.solve(system, right)[..., 0], rtol=1e-8, atol=1e-10)


def test_conjugate_gradients_stop_where_a_matrix_is_not_positive() -> None:
    system = torch.tensor([[1.0, -1.0], [2.0, 3.0]], dtype=torch.float64)  # diagonals of two tasks
    right = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    found = conjugate_gradients(lambda v: system * v, right, torch.zeros_like(right), 4)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64))


def test_numbers_out_of_range_are_refused(net: Net) -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"regularisation .*: give a number > 0"):
            ImplicitMAML(net, regularisation=value)
    with pytest.raises(InputError, match="solver_steps -1: give a number >= 0"):
        ImplicitMAML(net, solver_steps=-1)
