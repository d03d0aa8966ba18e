"""Values that training has not seen, counted, and compared with what nets take for unknown."""

import dataclasses

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data.ratings import encode, encode_lists, encode_sets
from metarec.data.unseen import unseen_values
from metarec.nets.base import known_rows
from metarec.nets.features import Embedder
from tests.conftest import synthetic_ratings


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
    assert [name for name in found if name.startswith("user")] == [] or known.sum() < 10
