"""learn2learn's own loop over tasks, hand-derived gradients and finite differences as oracles."""

import json
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.func import functional_call

from metarec.algorithms.engines.base import adapt_detached
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.inner_loop import FastWeights, InnerLoop, adapting
from metarec.algorithms.learn2learn import learn2learn
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.data.ratings import Ratings
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import InputError
from metarec.nets.base import Encoded, Net, Schema
from tests.conftest import tiny_net


def double(batch: TaskBatch) -> TaskBatch:
    support, query = (rows._replace(rating=rows.rating.double()) for rows in (batch.support, batch.query))
    return TaskBatch(batch.task, support, query)


def looped_loss(net: Net, names: list[str], batch: TaskBatch, lr: float, steps: int, first_order: bool) -> torch.Tensor:
    """The outer loss as learn2learn computes it: one clone per task, no padding, no task dimension."""
    learner = learn2learn("algorithms.maml").MAML(
        FastWeights({n: p for n, p in net.named_parameters() if n in names}),
        lr=lr,
        first_order=first_order,
        allow_unused=True,
    )
    losses = []
    for number in range(len(batch.task)):
        clone = learner.clone()

        def loss(rows: Rows, number: int = number, clone: nn.Module = clone) -> torch.Tensor:
            real = rows.mask[number]
            item, rating = rows.item[number : number + 1, real], rows.rating[number, real]
            score = functional_call(net, clone.module.fast(), (batch.task[number : number + 1], item))
            return nn.functional.mse_loss(score[0], rating)

        for _ in range(steps):
            clone.adapt(loss(batch.support))
        losses.append(loss(batch.query))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("adapts", [["all"], ["decision"], ["head"], ["user_prior"], ["user_prior", "encoder.item.*"]])
def test_batched_call_equals_learn2learns_loop(
    ratings: Ratings, batch: TaskBatch, adapts: list[str], steps: int, first_order: bool
) -> None:
    net, batch = tiny_net(ratings).double(), double(batch)
    algorithm = MAML(net, adapts, inner_lr=0.1, adaptation_steps=steps, first_order=first_order)
    together = algorithm.loss(batch)
    looped = looped_loss(net, algorithm.inner_loop.names, batch, 0.1, steps, first_order)
    torch.testing.assert_close(together, looped, rtol=0, atol=1e-12)
    parameters = list(net.parameters())
    for mine, oracle in zip(
        torch.autograd.grad(together, parameters, allow_unused=True, materialize_grads=True),
        torch.autograd.grad(looped, parameters, allow_unused=True, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, oracle, rtol=0, atol=1e-12)


class Line(Net):
    """score = w * item: small enough to derive the meta-gradient by hand."""

    groups: ClassVar[dict[str, list[str]]] = {"all": ["*"]}

    def __init__(self) -> None:
        super().__init__({})

        class Values(nn.Module):
            def forward(self, task: torch.Tensor, item: torch.Tensor) -> Encoded:
                return Encoded(task[:, None, None].double(), item[..., None].double(), item.double() * 0)

        class Slope(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))

            def forward(self, encoded: Encoded) -> torch.Tensor:
                return self.w.reshape(-1, 1) * encoded.item[..., 0]

        self.encoder, self.decoder = Values(), Slope()

    def table_rows(self, task: torch.Tensor, item: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}


@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_by_hand(first_order: bool) -> None:
    # One support row (x, y) = (2, 3), one query row (1, 4), rate a = 0.1, w = 0.5.
    # L_s = (w x - y)^2, so w' = w - a 2 x (w x - y) = 0.5 - 0.1 * 4 * (1 - 3) = 1.3.
    # dL_q/dw = 2 (w' - 4) * dw'/dw, with dw'/dw = 1 - 2 a x^2 = 0.2 in second order, and 1 in first.
    yes = torch.ones(1, 1, dtype=torch.bool)
    support = Rows(torch.tensor([[2]]), torch.tensor([[3.0]], dtype=torch.float64), yes)
    query = Rows(torch.tensor([[1]]), torch.tensor([[4.0]], dtype=torch.float64), yes)
    net = Line()
    algorithm = MAML(net, ["all"], inner_lr=0.1, adaptation_steps=1, first_order=first_order)
    loss = algorithm.loss(TaskBatch(torch.tensor([1]), support, query))
    loss.backward()
    assert loss.item() == pytest.approx((1.3 - 4) ** 2)
    assert net.decoder.w.grad.item() == pytest.approx(2 * (1.3 - 4) * (1.0 if first_order else 0.2))


def test_meta_gradient_by_finite_differences(ratings: Ratings, batch: TaskBatch) -> None:
    net, batch = tiny_net(ratings).double(), double(batch)
    algorithm = MAML(net, ["user_prior", "decision"], inner_lr=0.05, adaptation_steps=2)
    algorithm.loss(batch).backward()
    for parameter in (net.decoder.user_prior, net.encoder.item_bias.table["id"], net.decoder.head.weight):
        place = tuple(torch.nonzero(parameter.grad)[0].tolist())
        with torch.no_grad():
            losses = []
            for change in (1e-6, -2e-6):
                parameter[place] += change
                with torch.enable_grad():
                    losses.append(algorithm.loss(batch).item())
            parameter[place] += 1e-6
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(parameter.grad[place].item(), rel=1e-5, abs=1e-8)


def test_zero_steps_are_zero_shot(net: Net, batch: TaskBatch) -> None:
    algorithm = MAML(net, ["all"], adaptation_steps=0)
    expected = SQUARED_ERROR.of_tasks(net(batch.task, batch.query.item), batch.query).mean()
    torch.testing.assert_close(algorithm.loss(batch), expected)


def test_detached_adaptation_is_the_same_under_no_grad(net: Net, batch: TaskBatch) -> None:
    how = InnerLoop(adapting(net, ["all"]), inner_lr=0.1, adaptation_steps=3)
    with torch.no_grad():
        quiet = adapt_detached(Batched(), net, how, batch.task, batch.support)
    loud = Batched().adapt(net, how, batch.task, batch.support)
    assert quiet.keys() == loud.keys()
    for name in loud:
        torch.testing.assert_close(quiet[name], loud[name])
        assert not quiet[name].requires_grad


def test_one_shrunk_step_on_the_user_bias_is_the_shrunk_mean_residual(net: Net, batch: TaskBatch) -> None:
    algorithm = MAML(net, ["decoder.user_bias"], inner_lr=0.5, adaptation_steps=1, shrinkage=5.0)
    residual = (batch.support.rating - net(batch.task, batch.support.item)).masked_fill(~batch.support.mask, 0)
    shrunk = residual.sum(1) / (batch.support.mask.sum(1) + 5)
    change = algorithm.adapt(batch.task, batch.support)["decoder.user_bias"].squeeze(1) - net.decoder.user_bias
    torch.testing.assert_close(change, shrunk)


def test_inference_mode_is_refused(net: Net, batch: TaskBatch) -> None:
    with torch.inference_mode(), pytest.raises(InputError, match="inference_mode=false"):
        adapt_detached(Batched(), net, InnerLoop(adapting(net, ["all"]), 0.1, 1), batch.task, batch.support)


def test_patterns(net: Net) -> None:
    assert adapting(net, ["head"]) == ["decoder.user_bias", "decoder.head.weight", "decoder.head.bias"]
    assert adapting(net, ["all"]) == [name for name, _ in net.named_parameters()]
    assert adapting(net, ["decoder.layers.0.*", "user_prior"]) == [
        "decoder.user_prior",
        "decoder.user_bias",
        "decoder.layers.0.weight",
        "decoder.layers.0.bias",
    ]
    with pytest.raises(InputError, match=r"'user_pior' matches no parameter.*did you mean user_prior"):
        adapting(net, ["user_pior"])
    with pytest.raises(InputError, match="adapts: nothing; give at least one of"):
        adapting(net, [])


def test_a_missing_learn2learn_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    learn2learn.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="run `make install`"):
        learn2learn("algorithms.maml")
    monkeypatch.undo()
    assert learn2learn("algorithms.maml").MAML.__module__ == "learn2learn.algorithms.maml"


def test_schema_is_plain(ratings: Ratings) -> None:
    schema: Schema = ratings.schema
    assert json.loads(json.dumps(schema)) == schema
