from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from metarec.benchmark import batching, contenders, peers, training
from metarec.benchmark.bound import bound, multiplications
from metarec.benchmark.setting import Cell, Setting
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError

CELLS = [Cell(adapts, order, steps) for adapts in ("decision", "all", "head") for order, steps in ((2, 2), (1, 2))]


@pytest.fixture(scope="module")
def batch(setting: Setting) -> TaskBatch:
    return batching.rounds_of(setting.pool(), setting.size, 1, setting.device)[0]["buckets"][0]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_our_engines_and_learn2learn_compute_the_same(setting: Setting, batch: TaskBatch, cell: Cell) -> None:
    contenders.check([*contenders.ours(setting, cell), peers.learn2learn_loop(setting, cell)], batch)


@pytest.mark.parametrize("name", list(training.PEERS))
def test_other_libraries_compute_the_same(setting: Setting, batch: TaskBatch, name: str) -> None:
    module, _, make = training.PEERS[name]
    pytest.importorskip(module)
    cell = Cell("decision", 2, 2)
    contenders.check([contenders.engine(setting, cell, "loop", "task by task"), make(setting, cell)], batch)


def changed(setting: Setting, change: Callable[[Tensor], Tensor]) -> contenders.Contender:
    algorithm = setting.algorithm("batched", Cell("decision", 2, 1))
    return contenders.by_autograd("odd", "padded", algorithm.net, lambda batch: change(algorithm.loss(batch)))


@pytest.mark.parametrize(
    "change",
    [
        lambda loss: loss * 1.001,
        lambda loss: loss.detach() + (loss - loss.detach()) * 1.001,
        lambda loss: loss * torch.nan,
    ],
    ids=["loss", "gradient", "nan"],
)
def test_a_contender_that_computes_something_else_is_refused(
    setting: Setting, batch: TaskBatch, change: Callable[[Tensor], Tensor]
) -> None:
    oracle = contenders.engine(setting, Cell("decision", 2, 1), "loop", "task by task")
    contenders.check([oracle, changed(setting, lambda loss: loss)], batch)
    with pytest.raises(InputError, match=r"odd \(padded\) computes something else than loop"):
        contenders.check([oracle, changed(setting, change)], batch)


@pytest.mark.parametrize("name", list(training.RULES))
def test_learned_rules_compute_the_same_in_both_engines(setting: Setting, batch: TaskBatch, name: str) -> None:
    contenders.check(training.with_rule(setting, Cell("decision", 2, 2), name), batch)


@pytest.mark.parametrize("name", list(training.RULES))
@pytest.mark.parametrize("group", ["net.", contenders.RULE])
def test_an_error_in_the_gradient_of_a_rule_or_of_the_net_is_refused(
    setting: Setting, batch: TaskBatch, name: str, group: str
) -> None:
    """Kronecker's gradients are 0.08 of the net's, Meta-Curvature's 0.03: of both, an error of 1e-4 is not 1e-5."""
    loop, batched = training.with_rule(setting, Cell("decision", 2, 1), name)
    right = loop.outcome(batch)
    wrong = {key: value * (1.0001 if key.startswith(group) else 1.0) for key, value in right.gradient.items()}
    assert wrong.keys() == right.gradient.keys()
    assert any(key.startswith(group) and value.any() for key, value in wrong.items())
    odd = batched._replace(outcome=lambda batch: contenders.Outcome(right.loss, wrong))
    with pytest.raises(InputError, match=r"computes something else than loop: .* meta-gradient by 1\.0e-04"):
        contenders.check([loop, odd], batch)


def test_a_missing_gradient_and_nan_are_infinitely_far_and_nan() -> None:
    one, nan = torch.ones(2), torch.tensor([1.0, torch.nan])
    assert contenders.difference({"net.a": one}, {"net.a": one, "rule.b": one}) == float("inf")
    for found in ({"net.a": nan, "rule.b": one}, {"net.a": one, "rule.b": nan}):
        assert np.isnan(contenders.difference(found, {"net.a": one, "rule.b": one}))


def test_first_order_passes_for_second_order_nowhere(setting: Setting, batch: TaskBatch) -> None:
    second, first = (contenders.engine(setting, Cell("decision", order, 1), "loop", "task by task") for order in (2, 1))
    with pytest.raises(InputError, match="something else"):
        contenders.check([second, first], batch)


def test_the_loop_is_as_fast_as_itself(setting: Setting) -> None:
    cell = Cell("decision", 2, 1)
    rounds = batching.rounds_of(setting.pool(), setting.size, 3, setting.device)
    loop, twin = (contenders.engine(setting, cell, "loop", "task by task") for _ in range(2))
    records = training.compared("grid", setting, cell, rounds, [loop, twin._replace(engine="twin")])
    assert records[1].against == "loop"
    assert records[1].ratio == pytest.approx(1.0, rel=0.6)


def test_the_ratio_is_to_the_faster_loop() -> None:
    base = {"loop": [4.0, 4.0], "learn2learn": [2.0, 2.0]}
    record = training.judged(contenders_record(), [1.0, 0.5], base)
    assert (record.against, record.ratio, record.spread) == ("learn2learn", 3.0, (2.5, 3.5))
    assert (record.to_loop, record.to_learn2learn) == (6.0, 3.0)
    assert record.loop_spread is not None
    assert record.loop_spread[0] <= 6.0 <= record.loop_spread[1]


def contenders_record() -> training.Record:
    return training.Record("grid", "fused")


class Multiplications(TorchDispatchMode):
    """Counts the scalar multiplications of all matrix products, those in place too."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if "mm" in name:
            left, right = args[1:3] if "add" in name else args[:2]
            self.count += left.numel() * right.shape[-1]
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("cell", [Cell("decision", order, steps) for order in (1, 2) for steps in (1, 5)], ids=str)
@pytest.mark.parametrize("support", [10, 30, 90, 200])
def test_the_bound_is_a_little_below_what_the_fused_engine_multiplies(
    setting: Setting, cell: Cell, support: int
) -> None:
    pool = batching.draw_pool(setting.tasks, torch.full((4,), support), 10, seed=0)
    batch = batching.batch_of(pool, np.arange(4), False, setting.device)
    fused = contenders.engine(setting, cell, "fused", "padded")
    with Multiplications() as done:
        fused.step(batch)
    needed = 4 * multiplications(setting.net(), cell, support)
    assert 0.7 < needed / done.count <= 1.0


def test_the_bound_of_each_round_is_that_of_its_own_tasks(setting: Setting) -> None:
    """A round of tasks twice as long needs more multiplications, which the time of the same product must show."""
    cell, rounds = Cell("decision", 2, 1), []
    for support in (20, 40):
        pool = batching.draw_pool(setting.tasks, torch.full((setting.size,), support), 10, seed=0)
        rounds.append([batching.batch_of(pool, np.arange(setting.size), False, setting.device)])
    short, long = bound(setting, cell, rounds).shares
    net = setting.net()
    assert long / short == pytest.approx(multiplications(net, cell, 40) / multiplications(net, cell, 20))
    assert long > 1.2 * short
    assert training._costs([2.0, 2.0], [short, long], 4) == [short / 2, long / 2]
