"""Anybody's own ratings or events, from a text file or a Parquet file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarec.data.assembly import Side
from metarec.data.odd_times import TimeUnit, remarks, told
from metarec.data.own import store
from metarec.data.own.attributes import FeatureFile, Listed, TextOptions, opened, read
from metarec.data.own.numbers import Numbers, Options, read_numbers, without_repeats
from metarec.data.own.parquet import Rows
from metarec.data.own.repeats import Policy
from metarec.data.own.store import Content
from metarec.data.ratings import Ratings
from metarec.errors import InputError


def csv_ratings(
    path: str,
    user: str = "user",
    item: str = "item",
    rating: str | None = "rating",
    time: str | None = None,
    time_unit: TimeUnit = "s",
    scale: tuple[float, float] | None = None,
    repeats: Policy = "last",
    separator: str = ",",
    encoding: str = "utf-8",
    quote: str | None = '"',
    columns: Sequence[str] | None = None,
    users: FeatureFile = FeatureFile(),  # noqa: B008  (it is frozen)
    items: FeatureFile = FeatureFile(),  # noqa: B008
    name: str | None = None,
    cache: str | None = None,
) -> Ratings:
    r"""Your own ratings or events: a text file with a row each, or a Parquet file (.parquet, .pq), of any size.

    What has been read is kept in the cache, under the content of the files and the options, and read from there the
    next time; a changed file is read anew. The folder `csv` of the cache may be deleted at any time.

    Args:
        path: the file. Its lines end with LF or CR LF, the last one too; a byte order mark makes it UTF-8.
        user: column of the users' ids, which may be any text.
        item: column of the items' ids.
        rating: column of the ratings; null: rows are events, each a click of rating 1 on the scale (0, 1).
        time: column of the times; null: there are none, or none that matter.
        time_unit: s, ms or us since 1970, or iso for dates as 2024-05-01T12:30:00. Times become whole seconds.
        scale: lowest and highest rating; others are refused. Null: as training begins, the lowest and highest of the
            training ratings, the only ones that may decide it; the source names those of the whole file.
        repeats: what to do where a user rates an item more than once: `last` keeps the last rating in time (or, where
            times are equal or there are none, in the file), `mean` the mean of all, at the time of the last, and
            `error` refuses the file. How many went is counted.
        separator: what stands between values of a text file, such as ',', ';', '\t' or '::'.
        encoding: of a text file, such as utf-8, latin-1 or utf-16.
        quote: what values of a text file may stand in; null: quotes mean nothing.
        columns: names of the columns of a text file without a header; null: its first line names them.
        users: a file of the users' attributes.
        items: a file of the items' attributes.
        name: what to call the data set; null: the name of the file, without its end.
        cache: folder of the cache; null: METAREC_CACHE or the system's.

    Returns:
        The ratings, in the order of the file. Ids are strings, their rows in sorted order. The source says what was
        found and done; the digest is that of all files and of the options that decide what is in them.

    Raises:
        InputError: a file or option has a fault; it names the first rows, and nothing is written.
    """
    where, text = Path(path).expanduser(), TextOptions(separator.replace("\\t", "\t"), encoding, quote)
    options = Options(user, item, rating, time, time_unit, _checked(scale, rating), repeats)
    files = {"ratings": where, "users": _path(users), "items": _path(items)}
    before = _states(files)
    asked = {"columns": columns and list(columns), "users": _plain(users), "items": _plain(items)}
    digest = store.digest_of(files, options._asdict() | text._asdict() | asked)
    kept = store.place(digest, cache)
    content = store.load(kept, digest)
    if content is None:
        lists = read(users, text), read(items, text)
        content = _content(opened(where, text, columns), options, lists, digest)
        if _states(files) != before:
            raise InputError(f"{path} or a file of attributes changed while it was read; try again")
        store.save(kept, content)
    source = "; ".join([f"path {path}", *content.notes, *content.warnings])
    odd = told(path, content.warnings)
    return dataclasses.replace(content.ratings, name=name or where.stem, source=source, odd_times=odd)


def _checked(scale: tuple[float, float] | None, rating: str | None) -> tuple[float, float] | None:
    if scale is None:
        return None
    if rating is None:
        raise InputError(f"scale {list(scale)} beside rating null: events are ratings of 1 on (0, 1); leave one out")
    if not -np.inf < scale[0] < scale[1] < np.inf:
        raise InputError(f"scale {list(scale)}: give the lowest and the highest rating, such as [1, 5]")
    return (float(scale[0]), float(scale[1]))


def _path(side: FeatureFile) -> Path | None:
    return None if side.path is None else Path(side.path).expanduser()


def _plain(side: FeatureFile) -> dict[str, Any]:
    """What decides how a file of attributes is read, as JSON can hold it."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(side).items()}
    bins = {
        name: edges if isinstance(edges, int) else list(map(float, edges))
        for name, edges in (side.numeric or {}).items()
    }
    return {**plain, "path": None, "numeric": bins}


def _states(files: dict[str, Path | None]) -> list[tuple[int, int]]:
    """Size and time of change of each file that is there."""
    states = [path.stat() for path in files.values() if path is not None and path.is_file()]
    return [(state.st_size, state.st_mtime_ns) for state in states]


def _content(file: Rows, options: Options, lists: tuple[Listed | None, Listed | None], digest: str) -> Content:
    """Read everything, and say what was found and done."""
    numbers = read_numbers(file, options, *(listed.ids if listed else [] for listed in lists))
    found = options.rating is not None and options.scale is None
    notes = [f"scale {numbers.scale[0]:g} to {numbers.scale[1]:g} as found in the whole file"] if found else []
    warnings = [] if numbers.time is None else remarks(numbers.time, numbers.user, options.unit)
    numbers, left_out = without_repeats(file, numbers, options)
    notes += left_out
    for role, listed in zip(("users", "items"), lists, strict=True):
        notes += _not_listed(role, listed, numbers)
    sides = [listed.side(ids) if listed else Side(ids) for listed, ids in zip(lists, numbers[4:6], strict=True)]
    return Content(_ratings(numbers, sides[0], sides[1], digest), notes, warnings)


def _ratings(numbers: Numbers, users: Side, items: Side, digest: str) -> Ratings:
    return Ratings(
        name="",
        source="",
        user=numbers.user.astype(np.int64),
        item=numbers.item.astype(np.int64),
        rating=numbers.rating,
        time=np.zeros(len(numbers.user), dtype=np.int64) if numbers.time is None else numbers.time,
        scale=numbers.scale,
        user_ids=("", *numbers.users),
        item_ids=("", *numbers.items),
        item_titles=("", *(items.titles or numbers.items)),
        user_features=users.features,
        item_features=items.features,
        digest=digest,
        user_titles=("", *users.titles) if users.titles else (),
    )


def _not_listed(role: str, listed: Listed | None, numbers: Numbers) -> list[str]:
    """How many users or items with a rating have no attributes because no file lists them."""
    if listed is None:
        return []
    rows, ids = (numbers.user, numbers.users) if role == "users" else (numbers.item, numbers.items)
    rated, there = np.flatnonzero(np.bincount(rows)), set(listed.ids)
    missing = sum(ids[row - 1] not in there for row in rated)
    return [f"{missing} of {len(rated)} rated {role} are not in {listed.file.name}: unknown attributes"] * bool(missing)
