import pytest
import torch

from metarec.data.ratings import Ratings
from metarec.errors import InputError
from metarec.nets.melu import MeLUNet
from tests.conftest import tiny_melu


def test_melu_by_hand(ratings: Ratings) -> None:
    net, user, item = tiny_melu(ratings), 5, 7
    genres = torch.from_numpy(ratings.item_features.multi_hot["genre"])[item]
    group = ratings.user_features.categorical["group"][user]
    tables = net.encoder.item.table
    hidden = torch.cat(
        [net.encoder.user.table["group"][group], tables["id"][item], genres / genres.sum() @ tables["genre"]]
    )
    for layer in net.decoder.layers:
        hidden = torch.relu(layer.weight @ hidden + layer.bias)
    expected = (net.decoder.head.weight @ hidden + net.decoder.head.bias).squeeze() + float(ratings.rating.mean())
    torch.testing.assert_close(net(torch.tensor([user]), torch.tensor([[item]]))[0, 0], expected)


def test_without_item_ids_attributes_alone_tell_items_apart(ratings: Ratings) -> None:
    net = tiny_melu(ratings, item_ids=False)
    assert set(net.encoder.item.table) == {"genre"}
    assert net.decoder.layers[0].in_features == 6
    first, same, other = 1, 13, 2  # genres repeat after twelve items
    found = net(torch.tensor([5]), torch.tensor([[first, same, other]]))[0]
    assert found[0] == found[1] != found[2]


def test_a_net_without_layers_or_user_attributes_is_refused(ratings: Ratings) -> None:
    with pytest.raises(InputError, match="hidden 0: give a number >= 1"):
        MeLUNet(ratings.schema, ["group"], ["genre"], hidden=[])
    with pytest.raises(InputError, match="user_features 0: give a number >= 1"):
        MeLUNet(ratings.schema, [], ["genre"])
    with pytest.raises(InputError, match="nothing tells items apart"):
        MeLUNet(ratings.schema, ["group"], [], item_ids=False)
