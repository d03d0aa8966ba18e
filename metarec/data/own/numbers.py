"""A file of ratings or events as columns of numbers, one row each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metarec.data.odd_times import TimeUnit
from metarec.data.own import columns
from metarec.data.own.columns import Codes
from metarec.data.own.parquet import Rows
from metarec.data.own.repeats import Policy, repeated, settle
from metarec.data.ratings import FloatArray, FoundScale, IntArray
from metarec.errors import InputError

EVENTS = (0.0, 1.0)
"""The scale of events, of which each is a rating of 1."""


class Options(NamedTuple):
    """Which columns there are and how to take them; see `metarec.data.sets.csv_file.csv_ratings`."""

    user: str
    item: str
    rating: str | None
    time: str | None
    unit: TimeUnit
    scale: tuple[float, float] | None
    repeats: Policy


class Numbers(NamedTuple):
    """Ratings as numbers.

    Attributes:
        user: place of each rating's user among `users`, 1 upwards, shape (N,).
        item: the same for items.
        rating: on `scale`, shape (N,).
        time: seconds, shape (N,); null: there are none.
        users: all ids, sorted.
        items: the same for items.
        scale: lowest and highest rating; a `FoundScale` where it is not given.
    """

    user: Codes
    item: Codes
    rating: FloatArray
    time: IntArray | None
    users: list[str]
    items: list[str]
    scale: tuple[float, float]


def read_numbers(file: Rows, options: Options, users: Sequence[str], items: Sequence[str]) -> Numbers:
    """Read all rows.

    Args:
        file: the file.
        options: which columns.
        users: ids that have a place although they may have no rating.
        items: the same for items.

    Raises:
        InputError: a column is missing, or a value is none; the first rows are named.
    """
    keys = [options.user, options.item]
    plain = [column for column in (options.rating, options.time) if column is not None]
    _require_columns(file, keys, plain)
    found: dict[str, list[Any]] = {column: [] for column in keys + plain}
    first = 0
    for table in file.tables(keys, plain):
        if len(table):
            for column, piece in zip(keys + plain, table.select(keys + plain).columns, strict=True):
                found[column] += _taken(file, first, column, piece, options)
        first += len(table)
    scale = _scale(file, options, found)
    user, user_ids = columns.codes(found.pop(options.user), users)
    item, item_ids = columns.codes(found.pop(options.item), items)
    rating = np.concatenate(found.pop(options.rating)) if options.rating else np.ones(first, dtype=np.float32)
    time = np.concatenate(found.pop(options.time)) if options.time else None
    return Numbers(user, item, rating, time, user_ids, item_ids, scale)


def without_repeats(file: Rows, numbers: Numbers, options: Options) -> tuple[Numbers, list[str]]:
    """One rating of each pair of user and item, and what to say about the others.

    Raises:
        InputError: there are others, and the policy is `error`; the first two rows are named.
    """
    rows = repeated(numbers.user, numbers.item)
    if not len(rows):
        return numbers, []
    if options.repeats == "error":
        user, item = numbers.users[numbers.user[rows[0]] - 1], numbers.items[numbers.item[rows[0]] - 1]
        before = file.place(int(rows[0])).rpartition("/")[2]
        what = f"{file.place(int(rows[1]))}: {options.user} {user!r} and {options.item} {item!r} again, as in {before}"
        raise InputError(f"{what} ({len(rows)} rows are of such pairs); remove repeats, or give repeats last or mean")
    stays = settle(rows, numbers.user, numbers.item, numbers.rating, numbers.time, options.repeats)
    kept = {name: getattr(numbers, name)[stays] for name in ("user", "item", "rating")}
    time = None if numbers.time is None else numbers.time[stays]
    note = f"{int((~stays).sum())} repeated ratings left out, of each pair the {options.repeats} counts"
    return numbers._replace(**kept, time=time), [note]


def _require_columns(file: Rows, keys: list[str], plain: list[str]) -> None:
    if len({*keys, *plain}) < len(keys) + len(plain):
        raise InputError(f"columns {keys + plain}: each of user, item, rating and time needs one of its own")
    if "rating" in plain and "rating" not in file.columns and set(keys) <= set(file.columns):
        there = ", ".join(file.columns[:12])
        raise InputError(
            f"{file.name}: no column 'rating' among {there}; name the right one, or rating null for events"
        )
    file.require_columns(keys + plain)


def _taken(file: Rows, first: int, column: str, piece: Any, options: Options) -> list[Any]:
    """Chunks of numbers, or of ids, of a piece of a column."""
    if column == options.rating:
        return [columns.ratings(file, first, column, piece, options.scale).astype(np.float32)]
    if column == options.time:
        return [columns.seconds(file, first, column, piece, options.unit)]
    return columns.ids(file, first, column, piece)


def _scale(file: Rows, options: Options, found: dict[str, list[Any]]) -> tuple[float, float]:
    """The scale that is given, or the one that is found, for the time being."""
    if options.scale is not None or options.rating is None:
        return options.scale or EVENTS
    pieces = found[options.rating]
    low, high = float(min(piece.min() for piece in pieces)), float(max(piece.max() for piece in pieces))
    if low == high:
        raise InputError(f"{file.name}: every rating is {low:g}, which tells no scale; give scale, such as [1, 5]")
    return FoundScale(low, high)
