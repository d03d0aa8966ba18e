"""Values that training has not seen, counted, and compared with what nets take for unknown."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.ratings import encode, encode_lists, encode_sets
from metarec.data.unseen import APART, parts, unseen_values
from metarec.nets.base import known_rows
from metarec.nets.features import Embedder
from tests.conftest import synthetic_ratings


@pytest.mark.fault("unseen")
def test_by_hand():
    ratings = synthetic_ratings(6, 30)
    group, groups = encode(["a", "a", "b", "", "c", "a"])
    users = dataclasses.replace(ratings.user_features, categorical={"group": group}, values={"group": groups})
    ratings = dataclasses.replace(ratings, user_features=users)
    train, judged = np.flatnonzero(ratings.user <= 2), np.flatnonzero(ratings.user > 2)
    assert unseen_values(ratings, train, judged)["user group"] == 2
    assert unseen_values(ratings, judged, train) == {}
    assert "user group" not in unseen_values(ratings, train, np.flatnonzero(ratings.user == 4))


WORDS = st.lists(st.lists(st.sampled_from("abcd"), max_size=3), min_size=30, max_size=30)


@pytest.mark.fault("unseen")
@settings(deadline=None, max_examples=30)
@given(
    words=WORDS, one=st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=30, max_size=30), share=st.integers(1, 5)
)
def test_they_are_the_values_that_nets_take_for_unknown(words, one, share):
    ratings = synthetic_ratings(6, 30)
    (codes, values), (sets, columns), (lists, listed) = encode(one), encode_sets(words), encode_lists(words)
    table = dataclasses.replace(
        ratings.item_features,
        categorical={"one": codes},
        multi_hot={"sets": sets} if columns else {},
        lists={"lists": lists},
        values={"one": values, "sets": columns, "lists": listed},
    )
    ratings = dataclasses.replace(ratings, item_features=table)
    rows = np.random.default_rng(0).permutation(len(ratings))
    train, judged = rows[: 3 * share], rows[3 * share :]
    net = Embedder(31, table.schema, ["one", "lists"], 2, ids=False, std=1.0)
    known = known_rows(31, torch.from_numpy(ratings.item[train]))
    net.fill(table, known)
    asked = np.unique(ratings.item[judged])
    lost = {
        "item one": ((net.code[:, 0].numpy() == 0) & (codes > 0))[asked].sum(),
        "item lists": ((net.get_buffer("list_lists").numpy() == 0) & (lists > 0))[asked].any(axis=1).sum(),
    }
    found = unseen_values(ratings, train, judged)
    assert {name: found.get(name, 0) for name in lost} == lost
    assert found.get("item sets", 0) == lost["item lists"]
    group, user = ratings.user_features.categorical["group"], ratings.user
    new = ~np.isin(group[np.unique(user[judged])], group[np.unique(user[train])])
    assert found.get("user group", 0) == new.sum()


@pytest.mark.fault("unseen")
def test_parts_by_hand():
    ratings = synthetic_ratings(6, 30)
    year, years = encode(["old"] * 20 + [""] * 5 + ["new"] * 5)
    items = dataclasses.replace(ratings.item_features, categorical={"year": year}, values={"year": years}, multi_hot={})
    ratings = dataclasses.replace(ratings, item_features=items)
    train = np.flatnonzero((ratings.item <= 15) & (ratings.user < 6))
    found = parts(ratings, train, np.setdiff1d(np.arange(len(ratings)), train))
    assert list(found) == ["unseen", "seen", "unseen_value", "seen_values"]
    known = np.unique(ratings.item[train])
    assert found["unseen"][1:].tolist() == [item not in known for item in range(1, 31)]
    assert found["unseen_value"][1:].tolist() == [item > 25 for item in range(1, 31)]
    for name, others in APART.items():
        assert (found[name] != found[others]).all()
    assert parts(ratings, train, train) == {}
    new = np.flatnonzero(ratings.item > 15)
    assert list(parts(ratings, train, new)) == ["unseen_value", "seen_values"]
    assert parts(ratings, train, np.flatnonzero(ratings.item > 25)) == {}


@settings(deadline=None, max_examples=40)
@given(words=WORDS, seed=st.integers(0, 99), share=st.integers(1, 40))
def test_parts_agree_with_the_counts_and_do_not_depend_on_the_order_of_rows(words, seed, share):
    ratings = synthetic_ratings(6, 30)
    sets, columns = encode_sets(words)
    lists, listed = encode_lists([row[::-1] for row in words])
    multi_hot, values = ({"sets": sets} if columns else {}), {"sets": columns, "lists": listed}
    table = dataclasses.replace(
        ratings.item_features, multi_hot=multi_hot, categorical={}, values=values, lists={"lists": lists}
    )
    ratings = dataclasses.replace(ratings, item_features=table)
    random = np.random.default_rng(seed)
    rows = random.permutation(len(ratings))
    train, judged = rows[:share], rows[share:]
    found = parts(ratings, train, judged)
    asked = np.unique(ratings.item[judged])
    if "unseen_value" in found:
        assert found["unseen_value"][asked].sum() == unseen_values(ratings, train, judged)["item lists"]
        assert not (found["unseen_value"] & ~found.get("unseen", True)).any()
    again = parts(ratings, random.permutation(train), random.permutation(judged))
    assert list(again) == list(found)
    assert all((again[name] == items).all() for name, items in found.items())
