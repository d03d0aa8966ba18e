"""The hand-derived functions by finite differences, and when they are used."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.algorithms.engines.dense_problem import Steps
from metarec.algorithms.engines.fused import Plan, plan
from metarec.algorithms.engines.many_steps import ManySteps
from metarec.algorithms.engines.one_step import OneStep
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.losses import BINARY_CROSS_ENTROPY, SQUARED_ERROR, Loss
from metarec.algorithms.update_rules import MetaSGD
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, pack
from metarec.nets.melu import MeLUNet
from tests.algorithms.engines.cases import drawn, meta_gradient
from tests.conftest import tiny_melu, tiny_net

SUPPORT, QUERY = ((2, 3), (1, 4)), ((2, 2), (1, 2))
WIDTHS = [5, 4, 3, 1]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def problem(function: type, loss: Loss, embeddings: bool, user: bool, extra: bool, start: int) -> tuple[Steps, list]:
    """Steps and random tensors: two buckets of tasks, three layers or the last ones of them."""
    torch.manual_seed(0)
    rows = [sum(tasks * count for tasks, count in shapes) for shapes in (SUPPORT, QUERY)]
    share = torch.rand(rows[0], dtype=torch.float64) * (torch.arange(rows[0]) != 1)
    overlaps = [[[torch.rand(t, r, s, dtype=torch.float64) for (t, r), (_, s) in zip(shapes, SUPPORT, strict=True)]
                 for _ in range(2)] for shapes in (SUPPORT, QUERY)]  # fmt: skip
    if embeddings:  # what two support rows share is symmetric
        overlaps[0] = [[(k + k.mT) / 2 for k in table] for table in overlaps[0]]
    steps = Steps(
        0.2,
        1 if function is OneStep else 3,
        False,
        loss,
        torch.rand(rows[0], dtype=torch.float64),
        share,
        SUPPORT,
        QUERY,
        constants=2,
        blocks=(3, 2) if embeddings else (),
        overlaps_s=overlaps[0] if embeddings else (),
        overlaps_q=overlaps[1] if embeddings else (),
    )
    widths = WIDTHS[start:]
    tensors = [random(3, 2) if user else None, random(widths[1], 2) if user else None]
    for count in rows:
        tensors += [random(count, widths[0]), random(count, 2) if extra else None, random(count)]
    for number, (below, out) in enumerate(itertools.pairwise(widths)):
        last = number == len(widths) - 2
        tensors += [random(out, below + (2 if extra and last else 0)), random(out)]
    return steps, tensors


CASES = [
    {"embeddings": False, "user": True, "extra": False, "start": 0},
    {"embeddings": False, "user": True, "extra": True, "start": 0},
    {"embeddings": True, "user": True, "extra": False, "start": 0},
    {"embeddings": False, "user": False, "extra": True, "start": 1},
    {"embeddings": False, "user": False, "extra": False, "start": 2},
]


@pytest.mark.parametrize("loss", [SQUARED_ERROR, BINARY_CROSS_ENTROPY], ids=["squared", "cross_entropy"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
@pytest.mark.parametrize("function", [OneStep, ManySteps])
def test_gradients_by_finite_differences(function: type, case: dict, loss: Loss) -> None:
    steps, tensors = problem(function, loss, **case)
    present = [tensor for tensor in tensors if tensor is not None]

    def scores(*given: Tensor) -> Tensor:
        left = iter(given)
        return function.apply(steps, *(None if tensor is None else next(left) for tensor in tensors))

    assert torch.autograd.gradcheck(scores, present, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_one_of_many_steps_is_one_step() -> None:
    for case in CASES:
        steps, tensors = problem(OneStep, SQUARED_ERROR, **case)
        present = [tensor for tensor in tensors if tensor is not None]
        one, many = (function.apply(steps, *tensors) for function in (OneStep, ManySteps))
        torch.testing.assert_close(many, one, rtol=0, atol=1e-12)
        weight = torch.randn_like(one)
        both = [torch.autograd.grad(scores, present, weight) for scores in (many, one)]
        torch.testing.assert_close(*both, rtol=0, atol=1e-12)


@pytest.mark.parametrize("function", [OneStep, ManySteps])
def test_weights_changed_in_place_before_the_way_back_are_refused(function: type) -> None:
    steps, tensors = problem(function, SQUARED_ERROR, **CASES[0])
    scores = function.apply(steps, *tensors)
    with torch.no_grad():
        tensors[-2] += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        scores.sum().backward()


def test_second_derivatives_are_refused() -> None:
    steps, tensors = problem(OneStep, SQUARED_ERROR, **CASES[0])
    outer = OneStep.apply(steps, *tensors).square().sum()
    gradient = torch.autograd.grad(outer, tensors[0], create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ("net", "adapts", "options", "remark"),
    [
        (tiny_melu, ["decision"], {}, "fused"),
        (tiny_melu, ["all"], {}, "fused"),
        (tiny_melu, ["head"], {"adaptation_steps": 1}, "fused"),
        (tiny_net, ["decision"], {}, "fused"),
        (tiny_net, ["head"], {}, "fused"),
        (tiny_net, ["all"], {}, "batched instead of fused: decoder.user_prior adapts"),
        (tiny_net, ["user_prior"], {}, "batched instead of fused: no dense layer adapts"),
        (tiny_melu, ["decoder.layers.0.*"], {}, "batched instead of fused: decoder.head.bias does not adapt"),
        (tiny_melu, ["decision", "encoder.item.*"], {}, "batched instead of fused: encoder.item.table.genre adapts"),
        (tiny_melu, ["decision"], {"adaptation_steps": 0}, "batched instead of fused: there is no inner step"),
        (tiny_melu, ["decision"], {"loss": "bpr"}, "batched instead of fused: the loss is one of pairs of rows"),
        (tiny_melu, ["decision"], {"update_rule": MetaSGD}, "batched instead of fused: the update rule is not a plain"),
    ],
)
def test_it_says_where_it_applies(net, adapts: list[str], options: dict, remark: str, ratings: Ratings) -> None:
    for engine in ("fused", None):  # asked for, and by itself
        assert MAML(net(ratings), adapts, engine=engine, **options).remarks()["engine"].startswith(remark)
    assert MAML(net(ratings), adapts, engine="batched", **options).remarks() == {"engine": "batched"}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("adapts", ["decision", "all"])
@pytest.mark.parametrize("steps", [1, 3])
def test_mixed_precision_lowers_no_adapting_layer(
    ratings: Ratings, steps: int, adapts: str, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float32, "squared_error")
    function = OneStep if steps == 1 else ManySteps
    seen: set[torch.dtype] = set()

    def forward(ctx: object, given: Steps, *tensors: Tensor | None) -> Tensor:
        scores = plain(ctx, given, *tensors)
        seen.update({scores.dtype, *(tensor.dtype for tensor in tensors if tensor is not None)})
        return scores

    plain = function.forward
    monkeypatch.setattr(function, "forward", staticmethod(forward))
    losses, gradients = [], []
    for mixed in (False, True):
        algorithm = MAML(tiny_melu(ratings), [adapts], 0.1, steps, engine="fused")
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses.append(algorithm.loss(batch))
            if inside:
                gradients.append(torch.autograd.grad(losses[-1], list(algorithm.parameters())))
        if not inside:
            gradients.append(torch.autograd.grad(losses[-1], list(algorithm.parameters())))
    assert seen == {torch.float32}
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0.02)
    for mine, oracle in zip(*reversed(gradients), strict=True):
        torch.testing.assert_close(mine, oracle, rtol=0, atol=0.02 * max(1.0, float(oracle.abs().max())))


def test_dropout_is_a_reason_in_training_alone(ratings: Ratings) -> None:
    net = tiny_net(ratings, dropout=0.2)
    algorithm = MAML(net, ["decision"], engine="fused").eval()
    assert "dropout" in algorithm.remarks()["engine"]
    assert isinstance(plan(net, algorithm.inner_loop, net.training), Plan)


def test_several_values_of_a_user_attribute_are_a_reason(ratings: Ratings) -> None:
    users = ratings.user_features
    tags = torch.randint(0, 2, (len(ratings.user_ids), 3)).float().numpy()
    table = replace(users, multi_hot={"tag": tags}, values={**users.values, "tag": ("a", "b", "c")})
    tagged = replace(ratings, user_features=table)
    net = MeLUNet(tagged.schema, ["group", "tag"], ["genre"], width=3, hidden=[5])
    net.prepare(tagged, pack(tagged, np.arange(len(tagged))))
    assert "several values" in MAML(net, ["all"], engine="fused").remarks()["engine"]
    batch = drawn(tagged, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    for adapts in ("all", "decision"):
        results = [meta_gradient(net.double(), batch, engine, [adapts]) for engine in ("loop", "batched", "fused")]
        torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(results[2], results[0], rtol=0, atol=1e-12)


def test_an_adaptation_of_ones_own_is_judged_with_it(ratings: Ratings) -> None:
    class Doubled(MAML):
        def predict(self, fast, task, item):
            return 2 * super().predict(fast, task, item)

    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float32, "squared_error")
    plain, own = (kind(tiny_melu(ratings), ["decision"], engine="fused") for kind in (MAML, Doubled))
    scores = [algorithm.adapted(batch.task, batch.support, batch.query.item) for algorithm in (plain, own)]
    torch.testing.assert_close(scores[1], 2 * scores[0])


def test_the_other_engines_say_their_name(ratings: Ratings) -> None:
    for name in ("loop", "batched"):
        assert MAML(tiny_melu(ratings), ["all"], engine=name).remarks() == {"engine": name}
