"""What every net must keep, whatever it computes."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.algorithms.gradient.maml import MAML
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.dense import DenseDecoder
from metarec.nets.features import Embedder
from metarec.recommend import ItemIndex, score_all
from tests.nets.tiny import KINDS, TINY


@pytest.fixture(params=TINY)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def double(batch: TaskBatch) -> TaskBatch:
    support, query = (rows._replace(rating=rows.rating.double()) for rows in (batch.support, batch.query))
    return batch._replace(support=support, query=query)


def test_leading_task_dimension_equals_a_loop_over_tasks(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net, tasks = TINY[kind](ratings).double(), len(batch.task)
    stacked = {
        name: p.expand(tasks, *p.shape) + 0.1 * torch.randn(tasks, *p.shape) for name, p in net.named_parameters()
    }
    together = functional_call(net, stacked, (batch.task, batch.query.item))
    for number in range(tasks):
        own = {name: weight[number] for name, weight in stacked.items()}
        alone = functional_call(net, own, (batch.task[number : number + 1], batch.query.item[number : number + 1]))
        torch.testing.assert_close(together[number], alone[0], rtol=0, atol=1e-12)


def test_every_parameter_counts_for_the_score(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net = TINY[kind](ratings)
    net(batch.task, batch.query.item).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_it_works_without_attributes(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    if kind == "melu":
        pytest.skip("needs a user attribute")
    options = {"cross": []} if kind == "wide_deep" else {}
    net = TINY[kind](ratings, user_features=[], item_features=[], **options)
    scores = net(batch.task, batch.query.item)
    assert scores.isfinite().all()
    torch.testing.assert_close(net(batch.task.flip(0), batch.query.item), scores)  # nothing tells users apart
    assert not torch.allclose(net(batch.task, batch.query.item.flip(1)), scores)
    net.zero_grad()
    MAML(net, ["all"], adaptation_steps=2).loss(batch).backward()
    assert net.encoder.item.table["id"].grad.any()


def test_users_alone_are_encoded_as_with_items(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net = TINY[kind](ratings)
    expected = net.encoder(batch.task, batch.support.item).user
    assert torch.equal(net.encode_user(batch.task), expected)


def test_items_are_encoded_whoever_asks(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net = TINY[kind](ratings)
    ours, theirs = net.encoder(batch.task, batch.query.item), net.encoder(batch.task.flip(0), batch.query.item)
    assert torch.equal(ours.item, theirs.item)
    assert torch.equal(ours.bias, theirs.bias)


def test_no_row_per_user(kind: str, ratings: Ratings) -> None:
    net = TINY[kind](ratings)
    assert not any(len(ratings.user_ids) in parameter.shape for parameter in net.parameters())


def test_tables_need_no_copy_a_task(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net = TINY[kind](ratings)
    rows = net.table_rows(batch.task, batch.support.item)
    looked_up = {name for name, _ in net.named_parameters() if "table." in name and not name.endswith("genre")}
    assert set(rows) == looked_up
    for name, used in rows.items():
        assert used.shape == (batch.task[:, None] if "user" in name or "cross" in name else batch.support.item).shape
        assert int(used.max()) < len(net.get_parameter(name))


def test_several_values_of_a_user_attribute(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    users, random = ratings.user_features, np.random.default_rng(0)
    tags = random.integers(0, 2, (len(ratings.user_ids), 4)).astype(np.float32)
    table = replace(users, multi_hot={"tag": tags}, values={**users.values, "tag": ("a", "b", "c", "d")})
    net, loop = (TINY[kind](replace(ratings, user_features=table), user_features=["group", "tag"]) for _ in range(2))
    assert not torch.allclose(net(batch.task.flip(0), batch.query.item), net(batch.task, batch.query.item))
    losses = [MAML(net.double(), ["all"], engine="batched"), MAML(loop.double(), ["all"], engine="loop")]
    torch.testing.assert_close(*(algorithm.loss(double(batch)) for algorithm in losses), rtol=0, atol=1e-12)


def test_values_of_no_training_row_become_unknown(kind: str, ratings: Ratings) -> None:
    net = TINY[kind](ratings)
    group = torch.from_numpy(ratings.user_features.categorical["group"])
    seen = np.flatnonzero((ratings.user_features.categorical["group"][ratings.user] == 1) & (ratings.item != 3))
    net.prepare(ratings, pack(ratings, seen))
    for name, module in net.named_modules():
        codes = dict(zip(module.codes, module.code.unbind(1), strict=True)) if isinstance(module, Embedder) else {}
        if "group" in codes:
            assert torch.equal(codes["group"], torch.where(group == 1, group, 0)), name
        if "id" in codes:
            assert codes["id"][3] == 0, name
    torch.testing.assert_close(net.decoder.mean, torch.tensor(float(ratings.rating[seen].mean())))


def test_a_catalogue_is_scored_as_the_net_does_it(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    for adapts in TINY[kind](ratings).groups:
        algorithm = MAML(TINY[kind](ratings), [adapts], 0.1, 2).eval()
        found = score_all(algorithm, ItemIndex(algorithm.net), batch.task, batch.support)
        fast, every = algorithm.adapt(batch.task, batch.support), torch.arange(len(ratings.item_ids)).expand(8, -1)
        torch.testing.assert_close(found, algorithm.predict(fast, batch.task, every), rtol=0, atol=1e-5)


def test_dense_layers_can_be_fused_and_ridged(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    net = TINY[kind](ratings)
    assert isinstance(net.decoder, DenseDecoder) == (kind not in ("gmf", "fm"))
    if isinstance(net.decoder, DenseDecoder):
        for adapts in ("decision", "head"):
            assert MAML(net, [adapts], engine="fused").remarks() == {"engine": "fused"}
        zero_shot = RidgeHead(net).predict({}, batch.task, batch.query.item)
        torch.testing.assert_close(zero_shot, net(batch.task, batch.query.item))


def test_dropout_acts_in_training_alone(kind: str, ratings: Ratings, batch: TaskBatch) -> None:
    if kind in ("fm", "melu"):
        pytest.skip("has none")
    net, plain = TINY[kind](ratings, dropout=0.5), TINY[kind](ratings)
    assert not torch.allclose(net(batch.task, batch.query.item), plain(batch.task, batch.query.item))
    torch.testing.assert_close(net.eval()(batch.task, batch.query.item), plain(batch.task, batch.query.item))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width 0: give a number >= 1"),
        ({"gmf": 0}, "gmf 0: give a number >= 1"),
        ({"mlp": 0}, "mlp 0: give a number >= 1"),
        ({"std": -1.0}, "std -1.0: give a number >= 0"),
        ({"user_features": ["height"]}, r"\['height'\] are not in the data; there are \['group'\]"),
        ({"user_features": ["group", "group"]}, r"\['group', 'group'\]: one comes twice; give each once"),
        ({"hidden": []}, "hidden 0: give a number >= 1"),
        ({"dropout": 1.0}, "dropout 1.0: give a share >= 0 and < 1"),
        ({"cross": ["year"]}, r"cross \['year'\]: give some of item_features \['genre'\]"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(kind: str, ratings: Ratings, options: dict, message: str) -> None:
    if not options.keys() <= inspect.signature(KINDS[kind]).parameters.keys():
        pytest.skip("has no such option")
    arguments = {"user_features": ["group"], "item_features": ["genre"], **options}
    with pytest.raises(InputError, match=message):
        KINDS[kind](ratings.schema, **arguments)


@pytest.mark.parametrize("name", ["type", "values", "float", "id", "a.b", ""])
def test_attributes_whose_name_no_table_can_have_are_refused(ratings: Ratings, kind: str, name: str) -> None:
    """The fields of RecBole's files are free text; torch would end in a KeyError, and `id` is the table of ids."""
    table = ratings.user_features
    named = replace(table, categorical={name: table.categorical["group"]}, values={name: table.values["group"]})
    with pytest.raises(InputError, match=r"a net's table cannot have that name .*; rename them in the data") as error:
        TINY[kind](replace(ratings, user_features=named), user_features=[name])
    assert repr([name]) in str(error.value)
