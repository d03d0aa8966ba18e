"""Values of attributes that only those have who are judged: nets take them for unknown, so they are counted."""

from typing import Any

import numpy as np

from metarec.data.ratings import IntArray, Ratings


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
    counts = {}
    for side, table in (("user", ratings.user_features), ("item", ratings.item_features)):
        rows: IntArray = getattr(ratings, side)
        known, asked = np.unique(rows[train]), np.unique(rows[judged])
        for name, codes in {**table.categorical, **table.lists}.items():
            counts[f"{side} {name}"] = _of_codes(codes.reshape(len(codes), -1), known, asked)
        for name, sets in table.multi_hot.items():
            seen = (sets[known] > 0).any(axis=0)
            counts[f"{side} {name}"] = int(((sets[asked] > 0) & ~seen).any(axis=1).sum())
    return {name: count for name, count in counts.items() if count}


def _of_codes(codes: Any, known: IntArray, asked: IntArray) -> int:
    """How many of the rows `asked` have a code, out of (rows, codes of a row), that no row of `known` has."""
    seen = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.bool_)
    seen[codes[known].ravel()] = True
    seen[0] = True
    return int((~seen[codes[asked]]).any(axis=1).sum())
