"""From the tables of a data set's files to `Ratings`."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from metarec.data.fetch import Document
from metarec.data.ratings import FeatureTable, FloatArray, IntArray, Ratings, encode, encode_lists, encode_sets
from metarec.data.tables import Table
from metarec.data.tags import Tags

CELLS = 2**26
"""Most cells of a matrix of words; attributes that would take more are lists."""


@dataclass(frozen=True)
class Side:
    """All users, or all items, of a data set.

    Attributes:
        ids: in the original files, each once, shape (n,); row r of `Ratings` is that of ids[r - 1].
        features: attributes, shape (n + 1, ...) each.
        titles: what to call each in print, in the order of the ids; empty: the ids.
        file: the file that lists them, for messages; empty: none does.
    """

    ids: IntArray | Sequence[str]
    features: FeatureTable = field(default_factory=FeatureTable)
    titles: Sequence[str] = ()
    file: str = ""


def listed(table: Table) -> Side:
    """Those that a file lists in the column `id`; every other column is a categorical attribute."""
    ids, rows = table.by_id()
    return Side(ids, categorical(rows.drop(columns="id")), file=table.name)


def rated(table: Table, column: str) -> Side:
    """Those that a file of ratings names, without attributes, of which no file of their own is there."""
    return Side(np.sort(np.asarray(pd.unique(table.rows[column]))))


def categorical(rows: pd.DataFrame) -> FeatureTable:
    """Every column of strings as a categorical attribute; ``""`` is unknown."""
    coded = {str(column): encode(list(rows[column])) for column in rows.columns}
    return FeatureTable(
        categorical={column: codes for column, (codes, _) in coded.items()},
        values={column: values for column, (_, values) in coded.items()},
    )


def sets_or_lists(words: Mapping[str, Sequence[Sequence[str]]]) -> FeatureTable:
    """Every column of several words a row as an attribute: a 0/1 matrix, or lists where it had over `CELLS` cells."""
    sets: dict[str, FloatArray] = {}
    lists: dict[str, IntArray] = {}
    values: dict[str, tuple[str, ...]] = {}
    for name, rows in words.items():
        if (len(rows) + 1) * len({word for row in rows for word in row}) <= CELLS:
            sets[name], values[name] = encode_sets(rows)
        else:
            lists[name], values[name] = encode_lists(rows)
    return FeatureTable(multi_hot=sets, values=values, lists=lists)


def looked_up(side: Side, tables: Mapping[str, Table]) -> Side:
    """Users or items with an attribute out of each table, columns `id` and `value`; those not listed are unknown."""
    columns = {}
    for name, table in tables.items():
        known, rows = table.by_id()
        columns[name] = pd.Series(rows["value"].to_numpy(), index=known).reindex(np.asarray(side.ids)).fillna("")
    return dataclasses.replace(side, features=categorical(pd.DataFrame(columns)))


def with_tags(ratings: Ratings, table: Table, most: int) -> Ratings:
    """The ratings with what users called the items: an attribute `tag`, once training is known.

    Args:
        ratings: all ratings.
        table: columns `user`, `item` and `tag`, and `time` where there are times, a row for each time that a tag was
            given. Only tags of items that their user has rated can come to count.
        most: how many tags, by how often each was given, equals by name. Upper and lower case are one.
    """
    user, item = (
        pd.Index(ids).get_indexer(pd.Index(table.integers(side).astype(str))).clip(min=0)
        for side, ids in (("user", ratings.user_ids), ("item", ratings.item_ids))
    )
    words = table.rows["tag"].str.strip().str.lower()
    said = (words != "").to_numpy(dtype=bool) & (user > 0) & (item > 0)
    time = table.integers("time") if "time" in table.rows.columns else np.zeros(len(said), dtype=np.int64)
    names, word = np.unique(words.to_numpy(dtype=str)[said], return_inverse=True)
    tags = Tags(user[said], item[said], time[said], word.astype(np.int64), tuple(map(str, names)), most)
    return dataclasses.replace(ratings, tags=tags)


def without_repeats(table: Table) -> tuple[Table, str]:
    """The last row of each pair of user and item, and what to say about the others (``""``: there are none)."""
    again = table.rows.duplicated(["user", "item"], keep="last").to_numpy(dtype=bool)
    left = int(again.sum())
    note = f"; {left} earlier rating{'s' if left > 1 else ''} of the same pair left out" if left else ""
    return (table.at(np.flatnonzero(~again)) if again.any() else table), note


def joint_digest(files: Sequence[Document]) -> str:
    """SHA-256 over the digests of several files, in their order."""
    return hashlib.sha256(" ".join(file.digest for file in files).encode()).hexdigest()


def assemble(
    name: str, source: str, table: Table, digest: str, scale: tuple[float, float], users: Side, items: Side
) -> Ratings:
    """Put ratings and the two sides together.

    Args:
        name: of the data set.
        source: for people to read.
        table: columns `user`, `item`, `rating`; `time`, if there are times; `part`, if there are parts.
        digest: of what the ratings were read from.
        scale: lowest and highest rating.
        users: all users.
        items: all items.

    Returns:
        The ratings, in the order of the table. Without a column `time` all times are 0.

    Raises:
        InputError: a rating is of a user or an item that is not listed, or a pair comes twice.
    """
    user, item = _rows_of(table, "user", users), _rows_of(table, "item", items)
    _refuse_repeats(table, user * (len(items.ids) + 1) + item)
    columns = table.rows.columns
    part, parts = pd.factorize(table.rows["part"]) if "part" in columns else (None, ())
    return Ratings(
        name=name,
        source=source,
        user=user,
        item=item,
        rating=table.rows["rating"].to_numpy(dtype=np.float32),
        time=table.integers("time") if "time" in columns else np.zeros(len(user), dtype=np.int64),
        scale=scale,
        user_ids=("", *map(str, users.ids)),
        item_ids=("", *map(str, items.ids)),
        item_titles=("", *(items.titles if len(items.titles) else map(str, items.ids))),
        user_features=users.features,
        item_features=items.features,
        digest=digest,
        part=part,
        parts=tuple(map(str, parts)),
    )


def _rows_of(table: Table, column: str, side: Side) -> IntArray:
    """The 1-based place in the ids of a side of every id in a column, shape (rows,)."""
    place = pd.Index(side.ids).get_indexer(pd.Index(table.rows[column]))
    fault = f"is not in {side.file or f'the list of {column}s'}"
    table.require(column, place >= 0, fault, "correct or remove the line, or add what it names there")
    return (place + 1).astype(np.int64)


def _refuse_repeats(table: Table, pairs: IntArray) -> None:
    again = pd.Series(pairs).duplicated().to_numpy(dtype=bool)
    if again.any():
        second = int(np.argmax(again))
        line = table.line(int(np.argmax(pairs == pairs[second])))
        item = table.rows["item"].iloc[second]
        table.require("user", ~again, f"rates item {item} again after line {line}")
