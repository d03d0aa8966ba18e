"""Lists against the multi-hot attribute that says the same: every net, every engine, all gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metarec.algorithms.gradient.maml import MAML
from metarec.data.ratings import FeatureTable, Ratings, encode_lists
from metarec.data.tasks import EpisodeSizes, TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net
from metarec.nets.features import Embedder
from metarec.nets.lists import overlap, pooled, shares
from metarec.nets.wide_deep import WideDeep
from tests.algorithms.engines.cases import drawn, meta_gradient
from tests.nets.tiny import TINY

NETS = [kind for kind in TINY if kind != "wide_deep"]
LISTS = torch.tensor([[[2, 5, 0], [0, 0, 0], [5, 0, 0]], [[1, 2, 5], [7, 0, 0], [2, 7, 0]]])


def as_lists(table: FeatureTable, name: str = "genre") -> FeatureTable:
    """The table with lists in the place of a multi-hot attribute: column j has the code j + 1."""
    columns = table.values[name]
    lists, values = encode_lists([[columns[c] for c in np.flatnonzero(row)] for row in table.multi_hot[name][1:]])
    return replace(table, multi_hot={}, lists={name: lists}, values={**table.values, name: values})


@pytest.fixture(scope="module")
def listed(ratings: Ratings) -> Ratings:
    return replace(ratings, item_features=as_lists(ratings.item_features))


def like(net: Net, other: Net, ratings: Ratings) -> Net:
    """The net with the other's weights, their rows of genres one further, under a row 0 that must not count."""
    state = {name: value for name, value in other.state_dict().items() if "sets_" not in name}
    for name in [name for name in state if name.endswith("table.genre")]:
        state[name] = torch.cat([torch.full_like(state[name][:1], 9.0), state[name]])
    net.load_state_dict(net.state_dict() | state)
    net.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    return net


def without_padding(net: Net, gradients: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients in all parameters, without row 0 of lists' tables, which must be 0."""
    found = []
    for (name, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        if name.endswith("table.genre"):
            assert not gradient[0].any()
        found.append(gradient[1:] if name.endswith("table.genre") else gradient)
    return found


@pytest.mark.parametrize("kind", NETS)
def test_scores_are_those_of_the_multi_hot_attribute(
    ratings: Ratings, listed: Ratings, batch: TaskBatch, kind: str
) -> None:
    expected = TINY[kind](ratings)
    net = like(TINY[kind](listed), expected, listed)
    torch.testing.assert_close(net(batch.task, batch.query.item), expected(batch.task, batch.query.item))


@pytest.mark.parametrize("adapts", ["all", "decision"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("engine", ["loop", "batched", "fused"])
def test_meta_gradients_are_those_of_the_multi_hot_attribute(
    ratings: Ratings, listed: Ratings, engine: str, steps: int, adapts: str
) -> None:
    batch = drawn(ratings, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    plain = TINY["melu"](ratings).double()
    net = like(TINY["melu"](listed).double(), plain, listed)
    loss, oracle = meta_gradient(plain, batch, "loop", [adapts], adaptation_steps=steps)
    own_loss, own = meta_gradient(net, batch, engine, [adapts], adaptation_steps=steps)
    torch.testing.assert_close(own_loss, loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(without_padding(net, own), oracle, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["neumf", "fm", "deep_fm"])
def test_batched_equals_the_loop_with_other_nets(listed: Ratings, kind: str) -> None:
    batch = drawn(listed, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    net = TINY[kind](listed).double()
    results = [meta_gradient(net, batch, engine, ["all"], adaptation_steps=2) for engine in ("loop", "batched")]
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("adapts", ["all", "decision"])
@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_sparse_gradients_are_the_dense_ones(listed: Ratings, engine: str, adapts: str) -> None:
    batch = drawn(listed, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    dense, sparse = TINY["melu"](listed).double(), TINY["melu"](listed, sparse=True).double()
    for net in (dense, sparse):
        MAML(net, [adapts], 0.1, 2, engine=engine).loss(batch).backward()
    assert sparse.encoder.item.table["genre"].grad.is_sparse
    for own, oracle in zip(sparse.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(own.grad.to_dense(), oracle.grad, rtol=0, atol=1e-12)


def test_tables_of_lists_need_no_copy_a_task(listed: Ratings, batch: TaskBatch) -> None:
    """What a task adapts of a table are the rows of its items' lists: those, and no others, are what it is given."""
    net, item = TINY["melu"](listed), batch.support.item
    rows = net.table_rows(batch.task, item)["encoder.item.table.genre"]
    assert torch.equal(rows, torch.from_numpy(listed.item_features.lists["genre"])[item].flatten(1))
    fast = MAML(net, ["all"], engine="batched").adapt(batch.task, batch.support)
    width = net.encoder.item.table["genre"].shape[1]
    assert fast["encoder.item.change_genre"].shape == (*rows.shape, width)
    assert "encoder.item.table.genre" not in fast


def test_lists_of_users_cannot_be_fused_where_embeddings_adapt(ratings: Ratings) -> None:
    tags, values = encode_lists([[f"t{user % 3}", f"t{user % 4}"] for user in range(len(ratings.user_ids) - 1)])
    users = ratings.user_features
    tagged = replace(ratings, user_features=replace(users, lists={"tag": tags}, values={**users.values, "tag": values}))
    net = TINY["melu"](tagged, user_features=["group", "tag"]).double()
    assert "several values" in MAML(net, ["all"], engine="fused").remarks()["engine"]
    batch = drawn(tagged, EpisodeSizes(2, 6, 5), 8, 0, torch.float64, "squared_error")
    for adapts in ("all", "decision"):
        results = [meta_gradient(net, batch, engine, [adapts]) for engine in ("loop", "batched", "fused")]
        torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(results[2], results[0], rtol=0, atol=1e-12)


def test_values_that_no_known_row_has_are_left_out_of_the_mean(listed: Ratings) -> None:
    embedder = Embedder(len(listed.item_ids), listed.item_features.schema, ["genre"], 3, False, 0.1)
    known = torch.zeros(len(listed.item_ids), dtype=torch.bool)
    known[4] = True  # of one genre, g3 and g0: codes 4 and 1
    embedder.fill(listed.item_features, known)
    assert listed.item_features.lists["genre"][8].tolist() == [2, 4]
    table = embedder.table["genre"]
    torch.testing.assert_close(embedder(torch.tensor([[8]]))[0, 0], table[4])
    assert not embedder(torch.tensor([[3, 0]])).any()  # no known genre, no genre


def test_a_checkpoint_carries_lists_not_all_values(listed: Ratings) -> None:
    embedder = Embedder(len(listed.item_ids), listed.item_features.schema, ["genre"], 3, False, 0.1)
    state = embedder.state_dict()
    assert state["list_genre"].shape == listed.item_features.lists["genre"].shape
    assert state.keys() == {"code", "table.genre", "list_genre"}  # above all, no matrix of 0 and 1, sets_genre


def test_lists_cannot_be_crossed(listed: Ratings) -> None:
    with pytest.raises(InputError, match=r"cross \['genre'\]: lists are of too many possible values"):
        WideDeep(listed.schema, ["group"], ["genre"], ["genre"])


def test_shares_and_pooled_vectors_by_hand() -> None:
    share = shares(LISTS, torch.float64)
    assert share[0].tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    table = torch.randn(8, 4, dtype=torch.float64)
    found = pooled(share, table[LISTS.flatten(1)])
    torch.testing.assert_close(found[0, 0], (table[2] + table[5]) / 2)
    torch.testing.assert_close(found[1, 0], (table[1] + table[2] + table[5]) / 3)
    assert not found[0, 1].any()


def test_overlap_is_the_inner_product_of_multi_hot_rows() -> None:
    hot = torch.zeros(2, 3, 8, dtype=torch.float64).scatter_(2, LISTS, shares(LISTS, torch.float64))
    hot[..., 0] = 0
    found = overlap(LISTS, LISTS[:, :2], torch.float64)
    torch.testing.assert_close(found, torch.bmm(hot, hot[:, :2].mT))
