"""What only the batched engine does: meta-gradients task by task, tables without a copy for each task."""

import pytest
import torch

from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.gradient.maml import MAML
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, alone
from metarec.nets.features import patch_names
from tests.algorithms.engines.cases import NETS, drawn
from tests.conftest import synthetic_ratings


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    ("net", "adapts"), [("melu", ["decision"]), ("melu", ["all"]), ("neumf", ["all"]), ("neumf", ["user_prior"])]
)
def test_meta_gradients_of_each_task_equal_the_loops(
    ratings: Ratings, net: str, adapts: list[str], first_order: bool, steps: int
) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    made = NETS[net](ratings).double()
    algorithm = MAML(made, adapts, 0.1, steps, first_order=first_order, engine="loop")
    found = Batched().task_gradients(made, algorithm.inner_loop, batch)
    names, parameters = zip(*made.named_parameters(), strict=True)
    for number in range(len(batch.task)):
        loss = algorithm.loss(alone(batch, number))
        oracle = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for name, parameter, expected in zip(names, parameters, oracle, strict=True):
            rows, change = patch_names(name)
            if name in found:
                own = found[name][number]
            else:
                own = torch.zeros_like(parameter).index_add(0, found[rows][number], found[change][number])
            torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


def test_task_gradients_touch_no_gradient(ratings: Ratings) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    net = NETS["melu"](ratings).double()
    with torch.no_grad():
        Batched().task_gradients(net, MAML(net, ["all"]).inner_loop, batch)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_fast_weights_do_not_grow_with_the_tables() -> None:
    sizes = []
    for items in (30, 300):
        ratings = synthetic_ratings(items=items)
        batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float32, "squared_error")
        net = NETS["melu"](ratings)
        fast = Batched().adapt(net, MAML(net, ["all"]).inner_loop, batch.task, batch.support)
        assert "encoder.item.change_id" in fast
        sizes.append(fast["encoder.item.change_id"].shape)
    assert sizes[0] == sizes[1]
