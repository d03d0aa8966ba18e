"""Coat: ratings that users chose to give, and ratings of coats drawn for them at random."""

import numpy as np
import pandas as pd

from metarec.data.assembly import Side, assemble, categorical, joint_digest
from metarec.data.fetch import Document, read_files
from metarec.data.lines import words
from metarec.data.ratings import IntArray, Ratings
from metarec.data.tables import Table, read_table
from metarec.data.terms import locate
from metarec.errors import InputError

LAYOUT = ("train.ascii", "test.ascii")
FEATURES = ("user_features.ascii", "user_features_map.txt", "item_features.ascii", "item_features_map.txt")
FOLDER = "user_item_features"
"""Where the features lie beside the ratings."""

SCALE = (1.0, 5.0)
CHOSEN, RANDOM = "self_selected", "random"
"""The two parts, in `Ratings.parts`."""


def coat(path: str | None = None) -> Ratings:
    """Coat: 11,234 ratings of 300 coats by 290 users, of which 4,640 are of coats drawn at random for each user.

    Every user rated 24 coats of their own choice (part `self_selected`, train.ascii) and 16 drawn at random (part
    `random`, test.ascii), so that the second part is missing at random, and errors on it are free of selection bias:
    `metarec.data.sources.only` takes either part. 366 pairs stand in both files, with the same rating. They count as
    `random`, so that this part is whole and nothing of it is learned from the other one, which keeps 6,594 of its
    6,960. Schnabel, Swaminathan, Singh, Chandak and Joachims, Recommendations as Treatments: Debiasing Learning and
    Evaluation, ICML 2016, arXiv 1602.05352. Terms of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with train.ascii, test.ascii and the folder user_item_features.

    Returns:
        The ratings, without times, so that an order in time is refused. User attributes: gender, age,
        location, fashioninterest. Item attributes: gender, jackettype, color, onfrontpage. Ids count from 1.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    where, source = locate("coat", path)
    chosen, random = read_files(where, (LAYOUT,))
    features = read_files(where / FOLDER if where.is_dir() else where, (FEATURES,))
    users, items = (_side(*features[start : start + 2]) for start in (0, 2))
    shape = len(users.ids), len(items.ids)
    table = _joined(_matrix(chosen, *shape), _matrix(random, *shape), random.name)
    return assemble("coat", source, table, joint_digest((chosen, random)), SCALE, users, items)


def _matrix(file: Document, users: int, items: int) -> IntArray:
    """The ratings of a file, shape (users, items); 0: none."""
    table = read_table(file, [f"item {number}" for number in range(1, items + 1)], " ")
    if len(table.rows) != users:
        raise InputError(f"{file.name} has {len(table.rows)} lines for {users} users; get a whole copy")
    for column in table.rows.columns:
        good = table.rows[column].str.fullmatch("[0-5]").to_numpy(dtype=bool)
        table.require(column, good, "is neither 0, for no rating, nor a whole number from 1 to 5")
    return table.rows.to_numpy().astype(np.int64)


def _joined(chosen: IntArray, random: IntArray, name: str) -> Table:
    """A row for each rating; those in both matrices are of the part `random`.

    No pair comes twice in it and all ids are listed, so that no fault will be looked for on its lines.
    """
    differ = (chosen > 0) & (random > 0) & (chosen != random)
    if differ.any():
        user, item = np.argwhere(differ)[0]
        raise InputError(f"{name}:{user + 1}: rates item {item + 1} otherwise than {LAYOUT[0]}; get a whole copy")
    rows = []
    for part, matrix in ((CHOSEN, np.where(random > 0, 0, chosen)), (RANDOM, random)):
        user, item = np.nonzero(matrix)
        rows.append(pd.DataFrame({"user": user + 1, "item": item + 1, "rating": matrix[user, item], "part": part}))
    joined = pd.concat(rows, ignore_index=True)
    return Table(name, 1, joined, joined["user"].to_numpy())


def _side(flags: Document, names: Document) -> Side:
    """Users or items with the attributes that two files give, a line each; ids count from 1."""
    rows = _words(flags, names)
    return Side(np.arange(1, len(rows) + 1), categorical(rows), file=flags.name)


def _words(flags: Document, names: Document) -> pd.DataFrame:
    """A column an attribute, out of one of 0 and 1 a value; the other file names the values, as ``age:20-30``."""
    columns = words(names)
    again = [column for place, column in enumerate(columns) if column in columns[:place]]
    if again:
        raise InputError(f"{names.name}: {again[0][:40]!r} is listed twice; get a whole copy")
    table = read_table(flags, columns, " ")
    for column in columns:
        table.require(column, table.rows[column].isin(["0", "1"]).to_numpy(dtype=bool), "is not 0 or 1")
    attributes = [column.partition(":")[0] for column in columns]
    values_of = {}
    for attribute in dict.fromkeys(attributes):
        own = [column for column, of in zip(columns, attributes, strict=True) if of == attribute]
        on = table.rows[own].to_numpy() == "1"
        table.require(own[0], on.sum(axis=1) <= 1, f"is one of several values of {attribute}")
        values = np.array([column.partition(":")[2] for column in own])
        values_of[attribute] = np.where(on.any(axis=1), values[on.argmax(axis=1)], "")
    return pd.DataFrame(values_of)
