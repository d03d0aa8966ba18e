"""Nets with a linear part against their papers' formulas, written as loops over single features in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metarec.data.ratings import Ratings
from metarec.nets.base import Net
from metarec.nets.deep_fm import DeepFM
from metarec.nets.fm import FM
from metarec.nets.wide_deep import WideDeep
from tests.nets.tiny import TINY, tiny

USER, ITEM = 5, 7


@pytest.fixture(scope="module")
def rich(ratings: Ratings) -> Ratings:
    """The synthetic data with two attributes on either side, one of them with several values."""
    random, users, items = np.random.default_rng(0), ratings.user_features, ratings.item_features
    tags = (random.random((len(ratings.user_ids), 4)) < 0.6).astype(np.float32)
    year = np.append(0, random.integers(1, 4, len(ratings.item_ids) - 1))
    tags[0] = 0
    return replace(
        ratings,
        user_features=replace(
            users, multi_hot={"tag": tags}, values={**users.values, "tag": tuple(f"t{number}" for number in range(4))}
        ),
        item_features=replace(items, categorical={"year": year}, values={**items.values, "year": ("", "1", "2", "3")}),
    )


class Feature:
    """One entry of x that is not 0: its field, which value of it, x, and its rows in the tables V and w."""

    def __init__(self, net: Net, side: str, field: str, value: int, x: float) -> None:
        self.side, self.field, self.value, self.x = side, field, value, x
        if field == "prior":
            self.vector, self.weight = net.decoder.user_prior.detach().numpy(), float(net.decoder.user_bias)
        else:
            table = net.get_parameter(f"encoder.{side}.table.{field}")
            self.vector = table[value].detach().numpy()
            self.weight = float(net.get_parameter(f"encoder.{side}_linear.table.{field}")[value, 0])


def features(net: Net, ratings: Ratings) -> list[Feature]:
    """What applies to the user and the item, a constant for the user among them; fields in the order of the net."""
    found = [Feature(net, "user", "prior", 0, 1.0)]
    for side, row, table in (("user", USER, ratings.user_features), ("item", ITEM, ratings.item_features)):
        embedder = net.get_submodule(f"encoder.{side}")
        codes = {field: row if field == "id" else table.categorical[field][row] for field in embedder.codes}
        found += [Feature(net, side, field, value, 1.0) for field, value in codes.items()]
        for field in embedder.sets:
            values = np.flatnonzero(table.multi_hot[field][row])
            found += [Feature(net, side, field, value, 1.0 / len(values)) for value in values]
    return found


def machine(net: Net, ratings: Ratings) -> float:
    """Rendle's equation 1."""
    x = features(net, ratings)
    score = float(ratings.rating.mean()) + sum(feature.x * feature.weight for feature in x)
    for j in range(len(x)):
        for k in range(j + 1, len(x)):
            score += x[j].x * x[k].x * float(x[j].vector @ x[k].vector)
    return score


def tower(net: Net, ratings: Ratings) -> float:
    """Dense layers on the vectors of all fields."""
    fields: dict[tuple[str, str], np.ndarray] = {}
    for feature in features(net, ratings):
        own = fields.get((feature.side, feature.field), 0)
        fields[feature.side, feature.field] = own + feature.x * feature.vector
    hidden = np.concatenate(list(fields.values()))
    for layer in net.decoder.layers:
        hidden = np.maximum(layer.weight.detach().numpy() @ hidden + layer.bias.detach().numpy(), 0)
    head = net.decoder.head
    return float(head.weight.detach().numpy()[0] @ hidden + float(head.bias))


def wide(net: Net, ratings: Ratings) -> float:
    """The linear model on single features and on the crosses of user attributes and the item's genres and years."""
    x = features(net, ratings)
    score = float(ratings.rating.mean()) + sum(feature.x * feature.weight for feature in x)
    place = {"genre": 0, "year": len(ratings.item_features.values["genre"])}
    for ours in x:
        for theirs in x:
            if ours.side == "user" and ours.field != "prior" and theirs.field in place:
                weights = net.get_parameter(f"encoder.cross.table.{ours.field}")[ours.value]
                score += ours.x * theirs.x * float(weights[place[theirs.field] + theirs.value])
    return score


OPTIONS: dict = {"user_features": ["group", "tag"], "item_features": ["year", "genre"]}


def scored(net: Net) -> float:
    return float(net(torch.tensor([USER]), torch.tensor([[ITEM]])))


def test_the_factorisation_machine_is_the_sum_over_all_pairs_of_features(rich: Ratings) -> None:
    net = tiny(FM, rich, **OPTIONS)
    assert len(features(net, rich)) >= 7
    np.testing.assert_allclose(scored(net), machine(net, rich), rtol=1e-5)


def test_deep_fm_is_the_machine_plus_a_tower_on_the_same_vectors(rich: Ratings) -> None:
    net = tiny(DeepFM, rich, hidden=[5, 4], **OPTIONS)
    np.testing.assert_allclose(scored(net), machine(net, rich) + tower(net, rich), rtol=1e-5)


def test_wide_and_deep_is_a_linear_model_with_crosses_plus_a_tower(rich: Ratings) -> None:
    net = tiny(WideDeep, rich, hidden=[5, 4], cross=["genre", "year"], **OPTIONS)
    alone = float(rich.rating.mean()) + sum(feature.x * feature.weight for feature in features(net, rich))
    assert abs(wide(net, rich) - alone) > 1e-3
    np.testing.assert_allclose(scored(net), wide(net, rich) + tower(net, rich), rtol=1e-5)


def test_a_machine_whose_deep_part_is_silent_is_the_machine_alone(rich: Ratings) -> None:
    deep, plain = tiny(DeepFM, rich, hidden=[5], **OPTIONS), tiny(FM, rich, **OPTIONS)
    plain.load_state_dict({name: value for name, value in deep.state_dict().items() if name in plain.state_dict()})
    with torch.no_grad():
        deep.decoder.head.weight.zero_()
        deep.decoder.head.bias.zero_()
    task, item = torch.arange(1, 5), torch.arange(1, 9).view(4, 2)
    torch.testing.assert_close(deep(task, item), plain(task, item))


@pytest.mark.parametrize("kind", ["fm", "deep_fm", "wide_deep"])
def test_before_training_unknown_items_and_users_add_nothing(ratings: Ratings, kind: str) -> None:
    torch.manual_seed(0)
    net = TINY[kind].args[0](ratings.schema, ["group"], ["genre"])  # type: ignore[attr-defined]
    encoded = net.encoder(torch.tensor([0]), torch.tensor([[0, 3]]))  # item 3 is not known either yet
    assert not any(part.any() for part in encoded)
