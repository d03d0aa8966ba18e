import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch

from metarec.algorithms.gradient.maml import MAML
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch, pack
from metarec.errors import InputError
from metarec.nets.base import Encoded, Net, NoNet
from metarec.nets.dense import DenseInputs
from metarec.recommend import ItemIndex, adapt_and_score, score_all
from tests.conftest import tiny_net


def test_holds_what_the_encoder_and_the_first_layer_make_of_each_item(net: Net, ratings: Ratings) -> None:
    index = ItemIndex(net)
    encoded = net.encoder(torch.tensor([3]), torch.tensor([[7, 0, 7]]))
    assert index.items == 31
    found = index.gather(encoded.user, torch.tensor([[7, 0, 7]]))
    torch.testing.assert_close(found, encoded)
    torch.testing.assert_close(index.block(encoded.user, 7, 8), Encoded(encoded.user, *(v[:, :1] for v in encoded[1:])))
    item = net.decoder.inputs(encoded).item[0, 0]
    torch.testing.assert_close(index.every.projected[7], net.decoder.layers[0].weight[:, 3:] @ item)


def step(net: Net) -> None:
    net(torch.tensor([3]), torch.tensor([[7]])).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()


def averaged(net: Net) -> None:
    """As Lightning's weight averaging writes: past the version counters."""
    for parameter in net.parameters():
        parameter.data.copy_(0.9 * parameter.data)


def unknown_items(net: Net) -> None:
    net.encoder.item.code[5, -1] = 0


@pytest.mark.parametrize("change", [step, averaged, unknown_items, lambda net: net.double()])
def test_a_stale_index_is_refused(net: Net, batch: TaskBatch, change: Callable[[Net], None]) -> None:
    algorithm, index = MAML(net, ["decision"]), ItemIndex(net)
    score_all(algorithm, index, batch.task, batch.support)
    change(net)
    for call in (
        lambda: score_all(algorithm, index, batch.task, batch.support),
        lambda: adapt_and_score(algorithm, batch, index),
    ):
        with pytest.raises(InputError, match=r"the net has changed since its item index was made; make it anew"):
            call()


def test_an_index_of_another_net_is_refused(net: Net, batch: TaskBatch) -> None:
    algorithm, index = MAML(net, ["decision"]), ItemIndex(copy.deepcopy(net))
    with pytest.raises(InputError, match="the item index belongs to another net"):
        score_all(algorithm, index, batch.task, batch.support)


def test_writing_the_same_values_again_does_not_make_it_stale(net: Net, ratings: Ratings) -> None:
    index = ItemIndex(net)
    net.load_state_dict(copy.deepcopy(net.state_dict()))
    net.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    index.require_fresh(net)
    index.require_fresh(net)


def test_parameters_that_took_the_place_of_equal_ones_are_watched_from_then_on(net: Net) -> None:
    index = ItemIndex(net)
    net.load_state_dict(copy.deepcopy(net.state_dict()), assign=True)
    index.require_fresh(net)
    averaged(net)
    with pytest.raises(InputError, match="the net has changed"):
        index.require_fresh(net)


def test_no_projection_where_the_items_input_depends_on_the_user(
    net: Net, batch: TaskBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = net.decoder.inputs

    def mixed(encoded: Encoded) -> DenseInputs:
        inputs = plain(encoded)
        return inputs._replace(item=inputs.item * inputs.user)

    monkeypatch.setattr(net.decoder, "inputs", mixed)
    index, algorithm = ItemIndex(net), MAML(net, ["decision"], 0.1, 1)
    assert index.reason == "what the decoder is fed of an item depends on the user"
    every = torch.arange(31).expand(8, -1)
    expected = algorithm.predict(algorithm.adapt(batch.task, batch.support), batch.task, every).detach()
    torch.testing.assert_close(score_all(algorithm, index, batch.task, batch.support), expected)


def test_no_projection_under_dropout_or_without_a_net(ratings: Ratings) -> None:
    net = tiny_net(ratings, dropout=0.5)
    assert ItemIndex(net).reason == "dropout draws anew for each user; call eval() first"
    assert ItemIndex(net.eval()).every.projected is not None
    index = ItemIndex(NoNet(ratings.schema))
    assert (index.items, index.reason) == (31, "there is no net")


@pytest.mark.parametrize(
    ("catalogue", "message"),
    [
        (torch.tensor([]), r"a catalogue is a list of item rows, int64 \(C,\), not torch.float32 \[0\]"),
        (torch.tensor([[1, 2]]), r"a catalogue is a list of item rows, int64 \(C,\), not torch.int64 \[1, 2\]"),
        (torch.ones(31, dtype=torch.bool), "a catalogue is a list of item rows"),
        (torch.tensor([0, 31]), r"the catalogue has rows 0 .. 31, the net knows 0 .. 30"),
        (torch.tensor([-1, 3]), r"the catalogue has rows -1 .. 3, the net knows 0 .. 30"),
    ],
)
def test_what_is_no_catalogue_is_refused(net: Net, catalogue: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ItemIndex(net, catalogue)
