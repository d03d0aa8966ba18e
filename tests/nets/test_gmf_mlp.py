"""Both branches of neural collaborative filtering against plain numpy, and against the two joined."""

import numpy as np
import torch

from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.nets.base import Net
from metarec.nets.gmf import GMF
from tests.conftest import tiny_net
from tests.nets.tiny import TINY

USER, ITEM = 5, 7


def numbers(net: Net) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy() for name, parameter in net.named_parameters()}


def vectors(ratings: Ratings, of: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The vector of the user, a prior and one for the group, and that of the item, one for its id and its genres'."""
    genres = ratings.item_features.multi_hot["genre"][ITEM]
    group = ratings.user_features.categorical["group"][USER]
    user = of["decoder.user_prior"] + of["encoder.user.table.group"][group]
    return user, of["encoder.item.table.id"][ITEM] + genres / genres.sum() @ of["encoder.item.table.genre"]


def biases(ratings: Ratings, of: dict[str, np.ndarray]) -> float:
    return ratings.rating.mean() + of["encoder.item_bias.table.id"][ITEM, 0] + of["decoder.user_bias"][0]


def scored(net: Net) -> float:
    return float(net(torch.tensor([USER]), torch.tensor([[ITEM]])))


def test_gmf_is_a_weighted_inner_product_of_both_vectors(ratings: Ratings) -> None:
    net = TINY["gmf"](ratings)
    of = numbers(net)
    user, item = vectors(ratings, of)
    expected = biases(ratings, of)
    for h, p, q in zip(of["decoder.head.weight"][0], user, item, strict=True):
        expected += h * p * q
    np.testing.assert_allclose(scored(net), expected, rtol=1e-5)


def test_an_untrained_gmf_is_a_plain_inner_product(ratings: Ratings, batch: TaskBatch) -> None:
    net = GMF(ratings.schema, [], [], width=4)
    net.encoder.item.code[:, 0] = torch.arange(len(ratings.item_ids))
    items = net.encoder.item.table["id"][batch.query.item]
    torch.testing.assert_close(net(batch.task, batch.query.item), items @ net.decoder.user_prior)


def test_mlp_is_a_tower_on_both_vectors(ratings: Ratings) -> None:
    net = TINY["mlp"](ratings)
    of = numbers(net)
    hidden = np.concatenate(vectors(ratings, of))
    for number in range(2):
        weight, bias = of[f"decoder.layers.{number}.weight"], of[f"decoder.layers.{number}.bias"]
        hidden = np.maximum(weight @ hidden + bias, 0)
    expected = of["decoder.head.weight"][0] @ hidden + of["decoder.head.bias"][0] + biases(ratings, of)
    np.testing.assert_allclose(scored(net), expected, rtol=1e-5)


def test_the_two_branches_add_up_to_neumf(ratings: Ratings, batch: TaskBatch) -> None:
    """Of NeuMF, GMF takes the first 4 entries of all vectors and of the output layer, the MLP the others."""
    whole = tiny_net(ratings, gmf=4, mlp=3, hidden=[5, 4])
    gmf, mlp = TINY["gmf"](ratings, width=4), TINY["mlp"](ratings, width=3)
    with torch.no_grad():
        for branch, part in ((gmf, slice(0, 4)), (mlp, slice(4, None))):
            for name, parameter in branch.named_parameters():
                source = whole.get_parameter(name)
                split = "user_prior" in name or (".table." in name and "item_bias" not in name) or "head.weight" in name
                parameter.copy_(source[..., part] if split else source)
        biases = whole.encoder(batch.task, batch.query.item).bias + whole.decoder.user_bias + whole.decoder.mean
        scores = [net(batch.task, batch.query.item) for net in (gmf, mlp, whole)]
    torch.testing.assert_close(scores[0] + scores[1] - biases, scores[2])
