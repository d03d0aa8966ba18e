import numpy as np
import torch
from torch.func import functional_call

from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.nets.base import Net
from metarec.nets.features import Dense, lookup
from metarec.nets.ncf import NeuMF
from tests.conftest import tiny_net


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


def test_lookup_and_dense_with_task_dimension() -> None:
    table, index = torch.randn(2, 5, 3), torch.tensor([[0, 4], [1, 1]])
    assert torch.equal(lookup(table, index)[1, 0], table[1, 1])
    assert torch.equal(lookup(table[0], index)[0, 1], table[0, 4])
    layer, rows = Dense(3, 2), torch.randn(2, 4, 3)
    weights = {"weight": torch.randn(2, 2, 3), "bias": torch.randn(2, 2)}
    together = functional_call(layer, weights, (rows,))
    torch.testing.assert_close(together[1], rows[1] @ weights["weight"][1].T + weights["bias"][1])
