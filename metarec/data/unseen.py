"""Items and values of attributes that training has not seen: nets take them for unknown, so they are set apart."""

from typing import Any

import numpy as np

from metarec.data.ratings import BoolArray, FeatureTable, IntArray, Ratings

APART = {"unseen": "seen", "unseen_value": "seen_values"}
"""Which query ratings are judged apart, and what the others are called."""

PARTS = (*APART, *APART.values())
"""All of these names."""


def unseen_values(ratings: Ratings, train: IntArray, judged: IntArray) -> dict[str, int]:
    """How many users and items have a value of an attribute that training has not seen.

    Args:
        ratings: the data set.
        train: rows of `ratings` that training may use.
        judged: rows of the users that are judged.

    Returns:
        By attribute, as in ``user age`` and ``item genre``, how many of the judged rows' users or items have a value,
        or one value of several, that no user or item of the training rows has; attributes without such are left out.
    """
    counts: dict[str, int] = {}
    for side, table in (("user", ratings.user_features), ("item", ratings.item_features)):
        rows: IntArray = getattr(ratings, side)
        known, asked = np.unique(rows[train]), np.unique(rows[judged])
        counts |= {f"{side} {name}": int(new[asked].sum()) for name, new in _with_new_values(table, known).items()}
    return {name: count for name, count in counts.items() if count}


def parts(ratings: Ratings, train: IntArray, judged: IntArray) -> dict[str, BoolArray]:
    """The items whose ratings are judged apart, because training has not seen them or what they are like.

    ``unseen`` are the items without a training rating, ``seen`` the others. ``unseen_value`` are those that have a
    value of an attribute, or one of several, that no item with a training rating has; ``seen_values`` the others.
    Whatever is ``unseen_value`` is therefore ``unseen`` too. Where tasks are items, these are users.

    Args:
        ratings: the data set.
        train: rows of `ratings` that training may use.
        judged: rows that are judged.

    Returns:
        By part, which rows of the item table belong to it, (items,), bool; a pair is left out where one of the two has
        none of the judged rows, as the other one then has all of them.
    """
    known, asked = np.unique(ratings.item[train]), np.unique(ratings.item[judged])
    unseen = np.ones(len(ratings.item_ids), dtype=np.bool_)
    unseen[known] = False
    new_value = np.zeros_like(unseen)
    for new in _with_new_values(ratings.item_features, known).values():
        new_value |= new
    found: dict[str, BoolArray] = {}
    for (name, others), rows in zip(APART.items(), (unseen, new_value), strict=True):
        if rows[asked].any() and not rows[asked].all():
            found |= {name: rows, others: ~rows}
    return found


def _with_new_values(table: FeatureTable, known: IntArray) -> dict[str, BoolArray]:
    """By attribute, which rows have a value, or one of several, that none of the known rows has, (rows,)."""
    lists = {**table.categorical, **table.lists}
    found = {name: _of_codes(codes.reshape(len(codes), -1), known) for name, codes in lists.items()}
    for name, sets in table.multi_hot.items():
        seen = (sets[known] > 0).any(axis=0)
        found[name] = np.asarray(((sets > 0) & ~seen).any(axis=1))
    return found


def _of_codes(codes: Any, known: IntArray) -> BoolArray:
    """Which rows have a code, out of (rows, codes of a row), that no row of `known` has; 0 stands for none."""
    seen = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.bool_)
    seen[codes[known].ravel()] = True
    seen[0] = True
    new: BoolArray = (~seen[codes]).any(axis=1)
    return new
