"""What every algorithm must keep, whatever it does inside."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from metarec.algorithms.amortised.conditional_process import ConditionalProcess
from metarec.algorithms.amortised.hypernetwork import HyperNetwork
from metarec.algorithms.amortised.lwa import LinearWeightAdaptation, NonlinearBiasAdaptation
from metarec.algorithms.amortised.metaemb import MetaEmb
from metarec.algorithms.amortised.mwuf import MWUF
from metarec.algorithms.amortised.prototype import Prototype
from metarec.algorithms.amortised.tanp import TaNP
from metarec.algorithms.base import Algorithm
from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.algorithms.gradient.implicit_maml import ImplicitMAML
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.gradient.maml_plus_plus import MAMLPlusPlus
from metarec.algorithms.gradient.mamo import MAMO
from metarec.algorithms.gradient.reptile import Reptile
from metarec.algorithms.losses import SQUARED_ERROR
from metarec.algorithms.neighbours import ResidualNeighbours
from metarec.algorithms.plain.dropout_net import DropoutNet
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.algorithms.update_rules import Kronecker, MetaCurvature, MetaSGD, UpdateRule
from metarec.baselines.als import AlternatingLeastSquares
from metarec.baselines.ease import EASE, ClickEASE
from metarec.baselines.implicit_als import ImplicitALS
from metarec.baselines.mapped import Mapped
from metarec.baselines.means import GlobalMean, ItemMean, ItemUserBias, RandomRating
from metarec.baselines.neighbours import ItemKNN, UserKNN
from metarec.baselines.popularity import Popularity
from metarec.baselines.with_neighbours import WithNeighbours
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.tasks import Rows, TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net
from metarec.nets.output import MonotoneMap, OrderedLogit
from metarec.optim import decay_groups
from tests.conftest import clicked, tiny_melu, tiny_net

TRAINED: dict[str, Callable[[Net], Algorithm]] = {
    "maml": lambda net: MAML(net, ["user_prior", "decision"], adaptation_steps=2),
    "fomaml": lambda net: MAML(net, ["all"], adaptation_steps=2, first_order=True),
    "anil": lambda net: MAML(net, ["head"], adaptation_steps=2),
    "melu": lambda net: MAML(net, ["decision"], 0.05, adaptation_steps=1, engine="fused"),
    "meta_sgd": lambda net: MAML(net, ["decision"], adaptation_steps=2, update_rule=MetaSGD),
    "meta_curvature": lambda net: MAML(net, ["all"], 0.01, adaptation_steps=2, update_rule=MetaCurvature),
    "kronecker": lambda net: MAML(net, ["all"], 0.01, adaptation_steps=2, update_rule=Kronecker),
    "reptile": lambda net: Reptile(net, ["user_prior", "decision"], adaptation_steps=3),
    "maml_plus_plus": lambda net: MAMLPlusPlus(net, ["all"], 0.05, adaptation_steps=2, multi_step_steps=10**9),
    "implicit_maml": lambda net: ImplicitMAML(net, ["all"], 0.05, adaptation_steps=3),
    "mamo": lambda net: MAMO(net, ["all"], inner_lr=0.05, adaptation_steps=2).eval(),  # in training, its loss writes
    "pretrain": lambda net: Pretrain(net, adaptation_steps=0),
    "finetune_all": lambda net: Pretrain(net, ["all"], adaptation_steps=3),  # and from scratch: its net stays as drawn
    "finetune_head": lambda net: Pretrain(net, ["head"], adaptation_steps=3),
    "finetune_user_prior": lambda net: Pretrain(net, ["user_prior"], adaptation_steps=3, shrinkage=5.0),
    "ridge_head": RidgeHead,
    "ridge_head_mapped": lambda net: RidgeHead(net, loss="absolute_error", output=MonotoneMap()),
    "ridge_head_ordered": lambda net: RidgeHead(net, loss="absolute_error", output=OrderedLogit()),
    "ridge_head_neighbours": lambda net: RidgeHead(net, neighbours=lambda own: ResidualNeighbours(own, k=3)),
    "conditional_process": ConditionalProcess,
    "hypernetwork": HyperNetwork,
    "prototype": Prototype,
    "lwa": LinearWeightAdaptation,
    "nlba": NonlinearBiasAdaptation,
    "tanp": lambda net: TaNP(net, 3, 4, [6, 5]).eval(),  # in training, its loss is drawn
    "meta_emb": lambda net: MetaEmb(net, shrinkage=1.0),
    "mwuf": lambda net: MWUF(net, shrinkage=1.0),
    "dropout_net": lambda net: DropoutNet(net).eval(),  # and so is its
}
CLOSED: dict[str, Callable[[Net], Algorithm]] = {
    "random": RandomRating,
    "global_mean": GlobalMean,
    "item_mean": ItemMean,
    "item_user_bias": ItemUserBias,
    "als": AlternatingLeastSquares,
    "popularity": Popularity,
    "item_knn": lambda net: ItemKNN(net, neighbours=3),
    "user_knn": lambda net: UserKNN(net, neighbours=5),
    "ease": lambda net: EASE(net, penalty=3.0),
    "als_mapped": lambda net: Mapped(net, AlternatingLeastSquares),
    "als_with_neighbours": lambda net: WithNeighbours(net, AlternatingLeastSquares),
    "item_knn_mapped": lambda net: Mapped(net, lambda own: ItemKNN(own, neighbours=3)),
}
CLICKED: dict[str, Callable[[Net], Algorithm]] = {
    "ease_clicks": lambda net: ClickEASE(net, penalty=3.0),
    "implicit_als": lambda net: ImplicitALS(net, factors=4),
}
"""Those that work on clicks alone."""
EVERY = {**TRAINED, **CLOSED, **CLICKED}
NETS: dict[str, Callable[[Ratings], Net]] = {"melu": tiny_melu}
"""Nets of those that are defined on one; all others stand on NeuMF."""
STILL = ("pretrain", "random", "global_mean", "item_mean", "popularity")
"""Those that nothing adapts in; all others must follow the support labels."""


def make(name: str, ratings: Ratings) -> Algorithm:
    return EVERY[name](NETS.get(name, tiny_net)(ratings))


@pytest.fixture(params=EVERY)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def algorithm(name: str, ratings: Ratings) -> Algorithm:
    made = make(name, ratings)
    given = clicks(ratings) if name in CLICKED else ratings
    made.prepare(given, pack(given, np.arange(len(given))))
    return made.eval()


@pytest.fixture
def batch(request: pytest.FixtureRequest, batch: TaskBatch) -> TaskBatch:
    """The common one, with clicks instead of ratings for those that work on clicks alone."""
    name = request.getfixturevalue("name") if "name" in request.fixturenames else None
    return clicked(batch) if name in CLICKED else batch


def predicted(algorithm: Algorithm, batch: TaskBatch) -> torch.Tensor:
    fast = algorithm.adapt(batch.task, batch.support)
    return algorithm.predict(fast, batch.task, batch.query.item)


def padded(rows: Rows, width: int) -> Rows:
    """More padding, filled with what must not matter."""
    item = functional.pad(rows.item, (0, width), value=3)
    return Rows(item, functional.pad(rows.rating, (0, width), value=99.0), functional.pad(rows.mask, (0, width)))


def test_shapes(algorithm: Algorithm, batch: TaskBatch) -> None:
    prediction = predicted(algorithm, batch)
    assert prediction.shape == batch.query.item.shape
    assert prediction.isfinite().all()
    assert algorithm.predict({}, batch.task, batch.query.item).shape == prediction.shape


@pytest.mark.fault("adaptation")
def test_adaptation_changes_nothing_in_the_module(algorithm: Algorithm, batch: TaskBatch) -> None:
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    predicted(algorithm, batch)
    assert all(torch.equal(value, algorithm.state_dict()[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in algorithm.parameters())


@pytest.mark.fault("task-order")
def test_padding_does_not_matter(algorithm: Algorithm, batch: TaskBatch) -> None:
    wider = batch._replace(support=padded(batch.support, 4), query=padded(batch.query, 2))
    torch.testing.assert_close(predicted(algorithm, wider)[:, :-2], predicted(algorithm, batch))


@pytest.mark.fault("task-order")
def test_task_order_does_not_matter(algorithm: Algorithm, batch: TaskBatch) -> None:
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    support, query = (Rows(*(column[order] for column in rows)) for rows in (batch.support, batch.query))
    permuted = TaskBatch(batch.task[order], support, query)
    torch.testing.assert_close(predicted(algorithm, permuted), predicted(algorithm, batch)[order])


@pytest.mark.fault("task-order")
def test_tasks_do_not_see_each_other(algorithm: Algorithm, batch: TaskBatch) -> None:
    support, query = (Rows(*(column[2:3] for column in rows)) for rows in (batch.support, batch.query))
    alone = TaskBatch(batch.task[2:3], support, query)
    torch.testing.assert_close(predicted(algorithm, alone), predicted(algorithm, batch)[2:3])


def test_support_order_does_not_matter(algorithm: Algorithm, batch: TaskBatch) -> None:
    flipped = batch._replace(support=Rows(*(column.flip(1) for column in batch.support)))
    torch.testing.assert_close(predicted(algorithm, flipped), predicted(algorithm, batch))


def test_support_labels_matter_where_something_adapts(name: str, algorithm: Algorithm, batch: TaskBatch) -> None:
    mirror = 1 if name in CLICKED else 6
    other = batch._replace(support=batch.support._replace(rating=mirror - batch.support.rating))
    changed = not torch.allclose(predicted(algorithm, other), predicted(algorithm, batch))
    assert changed == (name not in STILL)


@pytest.mark.parametrize("kind", TRAINED)
def test_loss_is_a_scalar_with_gradients(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = make(kind, ratings)
    loss = algorithm.loss(batch)
    loss.backward()
    assert loss.shape == ()
    assert all(parameter.grad is not None for parameter in algorithm.parameters())


@pytest.mark.fault("task-order")
@pytest.mark.parametrize("kind", TRAINED)
def test_loss_does_not_depend_on_padding_or_order(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    algorithm = make(kind, ratings)
    wider = batch._replace(support=padded(batch.support, 4), query=padded(batch.query, 2))
    torch.testing.assert_close(algorithm.loss(wider), algorithm.loss(batch))
    support, query = (Rows(*(column.flip(0, 1) for column in rows)) for rows in (batch.support, batch.query))
    torch.testing.assert_close(algorithm.loss(TaskBatch(batch.task.flip(0), support, query)), algorithm.loss(batch))


@pytest.mark.fault("adaptation")
@pytest.mark.parametrize(
    "kind",
    [
        "maml",
        "fomaml",
        "anil",
        "melu",
        "meta_sgd",
        "kronecker",
        "meta_curvature",
        "implicit_maml",
        "mamo",
        "dropout_net",
        "ridge_head",
        "ridge_head_neighbours",
        "conditional_process",
        "hypernetwork",
        "prototype",
        "lwa",
        "nlba",
    ],
)
def test_fast_weights_do_not_see_query_labels(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    """The loss is quadratic in the query labels only where fast weights ignore them: its slope in a label is
    2 (rating - prediction) / (tasks x rows), with the prediction of the model adapted to the support set."""
    algorithm = make(kind, ratings).eval()
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    rating = batch.query.rating.clone().requires_grad_()
    algorithm.loss(batch._replace(query=batch.query._replace(rating=rating))).backward()
    sizes = batch.query.mask.sum(1, keepdim=True)
    expected = 2 * (batch.query.rating - predicted(algorithm, batch)) / sizes / len(batch.task) * batch.query.mask
    torch.testing.assert_close(rating.grad, expected, rtol=1e-4, atol=1e-6)


def test_pretraining_is_the_unadapted_loss_on_all_rows(ratings: Ratings, batch: TaskBatch) -> None:
    net = tiny_net(ratings)
    sizes = batch.support.mask.sum(1), batch.query.mask.sum(1)
    parts = [SQUARED_ERROR.of_tasks(net(batch.task, rows.item), rows) for rows in (batch.support, batch.query)]
    expected = (parts[0] * sizes[0] + parts[1] * sizes[1]) / (sizes[0] + sizes[1])
    torch.testing.assert_close(Pretrain(net).loss(batch), expected.mean())


@pytest.mark.parametrize("kind", [*CLOSED, *CLICKED])
def test_closed_forms_are_not_trained(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    with pytest.raises(NotImplementedError, match="use `metarec test`"):
        make(kind, ratings).loss(batch)


@pytest.mark.parametrize("kind", [MAML, ImplicitMAML, Pretrain])
def test_an_inner_loop_that_cannot_run_is_refused(kind: type, net: Net) -> None:
    for options in (
        {"inner_lr": 0.0},
        {"inner_lr": float("nan")},
        {"adaptation_steps": -1},
        {"shrinkage": -1.0},
    ):
        with pytest.raises(InputError, match=f"{next(iter(options))} .*: give a (rate > 0|number >= 0)"):
            kind(net, ["all"], **options)


def test_words_that_stand_for_nothing_are_refused(net: Net) -> None:
    for options, message in (
        ({"engine": "fusd"}, "no engine 'fusd'; did you mean fused"),
        ({"loss": "squared"}, "no loss 'squared'"),
        ({"update_rule": UpdateRule}, "give one of its kinds: GradientStep, MetaSGD, Kronecker or MetaCurvature"),
    ):
        with pytest.raises(InputError, match=message):
            MAML(net, ["all"], **options)


@pytest.mark.parametrize(
    "kind",
    ["meta_sgd", "kronecker", "meta_curvature", "maml_plus_plus", "ridge_head", "ridge_head_neighbours", "lwa"],
)
def test_learned_settings_do_not_decay(kind: str, ratings: Ratings) -> None:
    """Weight decay alone, without gradients, must leave learned rates, transforms and penalties where they are."""
    algorithm = make(kind, ratings)
    own = {name: parameter.detach().clone() for name, parameter in algorithm.named_parameters()}
    optimizer = torch.optim.AdamW(decay_groups(algorithm, algorithm.undecayed), lr=0.1, weight_decay=1.0)
    for parameter in algorithm.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, parameter in algorithm.named_parameters() if not torch.equal(parameter, own[name])}
    assert any(name.startswith("net.") for name in moved)
    assert not {name for name in moved if name.startswith(("rule.", "log_", "weight", "neighbour"))}
