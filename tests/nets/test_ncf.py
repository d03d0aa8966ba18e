import numpy as np
import pytest
import torch
from torch.func import functional_call

from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Net, known_rows
from metarec.nets.features import Dense, lookup
from metarec.nets.ncf import NeuMF
from tests.conftest import tiny_melu, tiny_net


def test_leading_task_dimension_equals_a_loop_over_tasks(ratings: Ratings, batch: TaskBatch) -> None:
    net = tiny_net(ratings).double()
    tasks = len(batch.task)
    stacked = {
        name: p.expand(tasks, *p.shape) + 0.1 * torch.randn(tasks, *p.shape) for name, p in net.named_parameters()
    }
    together = functional_call(net, stacked, (batch.task, batch.query.item))
    for number in range(tasks):
        own = {name: weight[number] for name, weight in stacked.items()}
        alone = functional_call(net, own, (batch.task[number : number + 1], batch.query.item[number : number + 1]))
        torch.testing.assert_close(together[number], alone[0], rtol=0, atol=1e-12)


def test_neumf_by_hand(ratings: Ratings) -> None:
    net = tiny_net(ratings)
    with torch.no_grad():
        user, item = 5, 7
        table = net.encoder.item.table
        genres = torch.from_numpy(ratings.item_features.multi_hot["genre"])[item]
        vector = table["id"][item] + genres / genres.sum() @ table["genre"]
        group = ratings.user_features.categorical["group"][user]
        own = net.decoder.user_prior + net.encoder.user.table["group"][group]
        hidden = torch.cat([own[4:], vector[4:]])
        for layer in net.decoder.layers:
            hidden = torch.relu(layer.weight @ hidden + layer.bias)
        joint = torch.cat([own[:4] * vector[:4], hidden])
        expected = (net.decoder.head.weight @ joint + net.decoder.head.bias).squeeze()
        expected = expected + net.encoder.item_bias.table["id"][item, 0] + net.decoder.user_bias[0]
        expected = expected + float(ratings.rating.mean())
        torch.testing.assert_close(net(torch.tensor([user]), torch.tensor([[item]]))[0, 0], expected)


def test_untrained_net_is_an_inner_product(ratings: Ratings, batch: TaskBatch) -> None:
    net = NeuMF(ratings.schema, (), (), gmf=4, mlp=2, hidden=[3])
    net.encoder.item.code[:, 0].copy_(torch.arange(len(ratings.item_ids)))
    with torch.no_grad():
        net.decoder.head.weight[:, 4:] = 0
        net.decoder.head.bias.zero_()
    items = net.encoder.item.table["id"][batch.query.item][..., :4]
    torch.testing.assert_close(net(batch.task, batch.query.item), items @ net.decoder.user_prior[:4])


def test_values_of_no_known_user_become_unknown(ratings: Ratings) -> None:
    net = tiny_net(ratings)
    group = torch.from_numpy(ratings.user_features.categorical["group"])
    known = known_rows(len(group), torch.nonzero(group == 1).squeeze())
    net.encoder.user.fill(ratings.user_features, known)
    assert torch.equal(net.encoder.user.code[:, 0], torch.where(group == 1, group, 0))


def test_unknown_ids_and_values_add_nothing_before_training(ratings: Ratings) -> None:
    net = NeuMF(ratings.schema, ["group"], ["genre"])
    assert not net.encoder.item(torch.tensor([[0]])).any()
    assert not net.encoder.user(torch.tensor([[0]])).any()
    assert not net.encoder.item(torch.tensor([[1]])).any()  # not filled yet: nothing is known
    net.prepare(ratings, pack(ratings, np.flatnonzero(ratings.item != 3)))
    assert net.encoder.item(torch.tensor([[1]])).any()
    with torch.no_grad():
        table = net.encoder.item.table
        genre = net.encoder.item.sets_genre[3] @ table["genre"]
        torch.testing.assert_close(net.encoder.item(torch.tensor([[3]]))[0, 0], genre)  # attributes, no id


def test_multi_hot_rows_are_means(net: Net) -> None:
    total = net.encoder.item.sets_genre.sum(dim=1)
    assert total[0] == 0
    torch.testing.assert_close(total[1:], torch.ones_like(total[1:]))


def test_no_row_per_user(net: Net, ratings: Ratings) -> None:
    assert not any(len(ratings.user_ids) in parameter.shape for parameter in net.parameters())


def test_unknown_feature(ratings: Ratings) -> None:
    with pytest.raises(InputError, match=r"\['height'\] are not in the data; there are \['group'\]"):
        NeuMF(ratings.schema, ["height"], ["genre"])


def test_lookup_and_dense_with_task_dimension() -> None:
    table, index = torch.randn(2, 5, 3), torch.tensor([[0, 4], [1, 1]])
    assert torch.equal(lookup(table, index)[1, 0], table[1, 1])
    assert torch.equal(lookup(table[0], index)[0, 1], table[0, 4])
    layer, rows = Dense(3, 2), torch.randn(2, 4, 3)
    weights = {"weight": torch.randn(2, 2, 3), "bias": torch.randn(2, 2)}
    together = functional_call(layer, weights, (rows,))
    torch.testing.assert_close(together[1], rows[1] @ weights["weight"][1].T + weights["bias"][1])


@pytest.mark.parametrize("make", [tiny_net, tiny_melu])
def test_users_alone_are_encoded_as_with_items(make, ratings: Ratings, batch: TaskBatch) -> None:
    net = make(ratings)
    expected = net.encoder(batch.task, batch.support.item).user
    assert torch.equal(net.encode_user(batch.task), expected)
    assert torch.equal(Net.encode_user(net, batch.task), expected)
