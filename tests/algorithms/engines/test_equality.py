"""All engines give the loss and the meta-gradient of learn2learn's loop over tasks."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.losses import loss_named
from metarec.algorithms.update_rules import Kronecker, MetaCurvature, MetaSGD
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes
from tests.algorithms.engines.cases import NETS, drawn, meta_gradient

SETS = [
    ("melu", ["all"]),
    ("melu", ["decision"]),
    ("melu", ["decoder.layers.1.*", "head"]),
    ("melu", ["head"]),
    ("melu", ["encoder.item.*"]),
    ("neumf", ["all"]),
    ("neumf", ["decision"]),
    ("neumf", ["decision", "decoder.user_bias"]),
    ("neumf", ["head"]),
    ("neumf", ["user_prior"]),
    ("mlp", ["decision"]),
    ("wide_deep", ["decision"]),
    ("deep_fm", ["head"]),
    ("deep_fm", ["all"]),
    ("fm", ["all"]),
    ("gmf", ["all"]),
]
LOSSES = ["squared_error", "absolute_error", "binary_cross_entropy", "bpr"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


def assert_equal_to_loop(
    ratings: Ratings,
    net: str,
    adapts: list[str],
    engine: str,
    sizes: EpisodeSizes,
    tasks: int,
    seed: int,
    **options: object,
) -> None:
    dtype, loss = options.pop("dtype", torch.float64), str(options.get("loss", "squared_error"))
    batch = drawn(ratings, sizes, tasks, seed, dtype, loss)
    loop_loss, loop = meta_gradient(NETS[net](ratings).to(dtype), batch, "loop", adapts, **options)
    own_loss, own = meta_gradient(NETS[net](ratings).to(dtype), batch, engine, adapts, **options)
    scale = max(1.0, float(loop_loss), *(float(gradient.abs().max()) for gradient in loop))
    torch.testing.assert_close(own_loss, loop_loss, rtol=0, atol=TOLERANCE[dtype] * scale)
    for mine, oracle in zip(own, loop, strict=True):
        torch.testing.assert_close(mine, oracle, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(
    ("net", "adapts"), SETS, ids=lambda value: "+".join(value) if isinstance(value, list) else value
)
def test_every_engine_equals_the_loop(
    ratings: Ratings,
    net: str,
    adapts: list[str],
    steps: int,
    first_order: bool,
    loss: str,
    dtype: torch.dtype,
    engine: str,
) -> None:
    options = {"adaptation_steps": steps, "first_order": first_order, "loss": loss, "dtype": dtype}
    assert_equal_to_loop(ratings, net, adapts, engine, EpisodeSizes(2, 6, 5), 8, 0, **options)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=st.sampled_from(SETS),
    engine=st.sampled_from(["batched", "fused"]),
    low=st.integers(1, 4),
    more=st.integers(0, 7),
    query=st.integers(1, 6),
    tasks=st.integers(2, 9),
    seed=st.integers(0, 10**6),
    steps=st.integers(0, 4),
    shrinkage=st.sampled_from([0.0, 1.7, 2.5]),
    first_order=st.booleans(),
    loss=st.sampled_from(LOSSES),
)
def test_random_lengths_and_padding(
    ratings: Ratings, case: tuple[str, list[str]], engine: str, low: int, more: int, query: int, tasks: int, seed: int,
    steps: int, shrinkage: float, first_order: bool, loss: str,
) -> None:  # fmt: skip
    options = {"adaptation_steps": steps, "shrinkage": shrinkage, "first_order": first_order, "loss": loss}
    assert_equal_to_loop(ratings, *case, engine, EpisodeSizes(low, low + more, query), tasks, seed, **options)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "bpr"])  # of pairs: no derivative of a row
def test_derivatives_of_losses_are_those_of_autograd_at_kinks_too(name: str) -> None:
    loss, target = loss_named(name), torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64).expand(3, -1)
    score = (target + torch.tensor([[0.0], [0.5], [-1.5]], dtype=torch.float64)).requires_grad_()
    [slope] = torch.autograd.grad(loss.value(score, target).sum(), score, create_graph=True)
    torch.testing.assert_close(loss.slope(score.detach(), target), slope.detach(), rtol=0, atol=1e-12)
    curvature = torch.autograd.grad(slope.sum(), score)[0] if slope.requires_grad else torch.zeros_like(score)
    torch.testing.assert_close(loss.curvature(score.detach(), target), curvature, rtol=0, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("adapts", [["decision"], ["all"]])
@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_a_row_predicted_exactly_pulls_nowhere(
    ratings: Ratings, engine: str, adapts: list[str], steps: int, first_order: bool
) -> None:
    """At the kink of the absolute error, which the net's score of every other row meets, all engines take slope 0."""
    batch, found = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "absolute_error"), []
    for own in ("loop", engine):
        net = NETS["melu"](ratings).double()
        with torch.no_grad():
            net.decoder.head.weight.zero_()
            net.decoder.head.bias.zero_()
        rating = torch.where(torch.arange(batch.support.mask.shape[1]) % 2 == 0, net.decoder.mean, batch.support.rating)
        met = batch._replace(support=batch.support._replace(rating=rating))
        options = {"adaptation_steps": steps, "first_order": first_order, "loss": "absolute_error"}
        found.append(meta_gradient(net, met, own, adapts, **options))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("adapts", [["decision"], ["all"]])
@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("rule", [MetaSGD, Kronecker, MetaCurvature])
def test_learned_update_rules_equal_the_loop(
    ratings: Ratings, rule: type, engine: str, adapts: list[str], steps: int, first_order: bool
) -> None:
    options = {"adaptation_steps": steps, "first_order": first_order, "rule": rule}
    assert_equal_to_loop(ratings, "melu", adapts, engine, EpisodeSizes(2, 6, 5), 8, 0, **options)


@pytest.mark.parametrize(("net", "adapts"), SETS, ids=lambda v: "+".join(v) if isinstance(v, list) else v)
@pytest.mark.parametrize("steps", [1, 3])
def test_scores_after_adaptation_are_the_same(ratings: Ratings, net: str, adapts: list[str], steps: int) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    found = []
    for engine in ("loop", "batched", "fused"):
        algorithm = MAML(NETS[net](ratings).double(), adapts, 0.1, steps, engine=engine)
        found.append(algorithm.adapted(batch.task, batch.support, batch.query.item))
        assert not found[-1].requires_grad
        fast = algorithm.adapt(batch.task, batch.support)
        torch.testing.assert_close(found[-1], algorithm.predict(fast, batch.task, batch.query.item), rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=1e-12)


def test_buckets_change_nothing(ratings: Ratings) -> None:
    batch = drawn(ratings, EpisodeSizes(1, 7, 4), 8, 3, torch.float64, "squared_error")
    for engine in ("batched", "fused"):
        whole = meta_gradient(NETS["melu"](ratings).double(), batch._replace(buckets=()), engine, ["decision"])
        parts = meta_gradient(NETS["melu"](ratings).double(), batch, engine, ["decision"])
        torch.testing.assert_close(whole, parts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("adapts", [["all"], ["decision"]])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_sparse_gradients_are_the_dense_ones(ratings: Ratings, engine: str, steps: int, adapts: list[str]) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    dense, sparse = NETS["melu"](ratings).double(), NETS["melu"](ratings).double()
    for embedder in (sparse.encoder.user, sparse.encoder.item):
        embedder.sparse = True
    for net in (dense, sparse):
        MAML(net, adapts, 0.1, steps, engine=engine).loss(batch).backward()
    assert sparse.encoder.item.table["id"].grad.is_sparse
    for own, oracle in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(own.grad.to_dense(), oracle.grad, rtol=0, atol=1e-12)
