"""The atomic files of RecBole: any data set that was prepared for that library."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from metarec.data import archive
from metarec.data.assembly import Side, assemble, categorical, joint_digest, sets_or_lists, without_repeats
from metarec.data.fetch import LARGEST_RATINGS, Document, read_files
from metarec.data.lines import require_text
from metarec.data.numeric import Numeric
from metarec.data.odd_times import remarks, told
from metarec.data.ratings import CLICKS, FeatureTable, FoundScale, Ratings, derived
from metarec.data.tables import Table, read_table
from metarec.data.terms import locate
from metarec.errors import InputError

TYPES = ("token", "float", "token_seq", "float_seq")
BINS = 10
"""Most values of an attribute of numbers; with more, as many ranges take their place, see `Numeric`."""

_TYPES = ", ".join(TYPES)
_SCALE_CURE = "give another scale, or correct or remove the line"


def recbole_atomic(
    path: str | None = None,
    name: str | None = None,
    scale: tuple[float, float] | None = None,
    rating: str | None = "rating",
    time: str | None = "timestamp",
    title: str | None = None,
    user_attributes: Sequence[str] | None = None,
    item_attributes: Sequence[str] | None = None,
) -> Ratings:
    """A data set in RecBole's atomic files: NAME.inter, and NAME.user and NAME.item where they are there.

    The first line names the fields and their types, as `user_id:token`, between tabs. Of a pair of user and item that
    comes again, the last one in time counts, or in the file where there are no times; the source says how many went.
    Zhao and others, RecBole, CIKM 2021, arXiv 2011.01731. The terms of use are those of the data set.

    Args:
        path: folder or archive.
        name: of the files; null: that of the folder or archive, as RecBole has it.
        scale: lowest and highest rating; null: as training begins, those of the training ratings.
        rating: field of the ratings, `float`; null: every pair is a click, a rating of 1 on the scale (0, 1).
        time: field of the times, `float`, parts of a second cut off; null: there are no times.
        title: item field to print items by; null: their ids.
        user_attributes: fields to take, each `token` (one value), `token_seq` (several between blanks: a 0/1
            matrix, or lists where that would be too large) or `float` (of the users that are trained on, their
            values, or, if these are more than ten, ten ranges with equally many of them in each); null: all of them
            but `float_seq`, which cannot be taken.
        item_attributes: the same for items; null: all but the title.

    Returns:
        The ratings. Ids are strings, in sorted order; users and items that only NAME.inter names have no attributes.
        The digest stands for all files, for the fields of ratings and times, for the scale, and for name, title and
        attributes as they are asked for.

    Raises:
        InputError: there is no path, a field is missing, a file has a fault, or the scale is none.
    """
    where, source = locate("recbole-atomic", path)
    name = name or where.name.removesuffix(".zip")
    [file] = read_files(where, ((f"{name}.inter",),), LARGEST_RATINGS)
    table, types = _read(file)
    _require_fields(file, types, ["user_id", "item_id"])
    _require_options(file, types, rating, time, scale)
    _require_ids(table, "user_id", "item_id")
    table, scale = _numbered(table, rating, time, scale)
    table, repeats = without_repeats(table)
    user_file = _held(where, f"{name}.user", user_attributes)
    item_file = _held(where, f"{name}.item", item_attributes or title)
    users = _side(user_file, "user_id", table.rows["user"], user_attributes, None)
    items = _side(item_file, "item_id", table.rows["item"], item_attributes, title)
    asked = [name, title, *(None if some is None else list(some) for some in (user_attributes, item_attributes))]
    digest = derived(joint_digest((file, *user_file, *item_file)), "recbole", rating, time, *scale, asked)
    odd = [] if time is None else remarks(table.integers("time"), pd.factorize(table.rows["user"])[0], "s")
    found = assemble(name, "; ".join([source + repeats, *odd]), table, digest, scale, users, items)
    return dataclasses.replace(found, odd_times=told(f"{where}:{name}.inter", odd))


def _read(file: Document) -> tuple[Table, dict[str, str]]:
    """The rows as strings, and the type of each field."""
    require_text(file.name, file.data, "utf-8")
    header = file.data.partition(b"\n")[0].removeprefix(b"\xef\xbb\xbf").rstrip().decode("utf-8", errors="replace")
    fields = header.split("\t")
    for field in fields:
        if field.rpartition(":")[2] not in TYPES or ":" not in field:
            raise InputError(f"{file.name}:1: {field[:40]!r} is no field, such as user_id:token; types are {_TYPES}")
    types = {field.rpartition(":")[0]: field.rpartition(":")[2] for field in fields}
    return read_table(file, list(types), "\t", encoding="utf-8", header=header), types


def _require_fields(file: Document, types: dict[str, str], wanted: Sequence[str]) -> None:
    missing = [field for field in wanted if field not in types]
    if missing:
        raise InputError(f"{file.name}:1: no field {', '.join(missing)}; there are {', '.join(types)[:300]}")


def _require_options(
    file: Document, types: dict[str, str], rating: str | None, time: str | None, scale: tuple[float, float] | None
) -> None:
    """Refuse fields that are not there, and a scale that is none, or that no ratings are on."""
    for option, field, cure in (("rating", rating, "every pair a click"), ("time", time, "no times")):
        if field is not None and field not in types:
            there = f"no field {field}; there are {', '.join(types)[:300]}"
            raise InputError(f"{file.name}:1: {there}; give one of them as `{option}`, or null for {cure}")
    if scale is None:
        return
    if rating is None:
        raise InputError(f"scale {list(scale)}: without `rating` every pair is a 1 on the scale (0, 1); leave it out")
    if not -np.inf < scale[0] < scale[1] < np.inf:
        raise InputError(f"scale {list(scale)}: is none; give the lowest rating, then the highest")


def _numbered(
    table: Table, rating: str | None, time: str | None, scale: tuple[float, float] | None
) -> tuple[Table, tuple[float, float]]:
    """Columns user, item, rating and time, in order of time, and the scale."""
    rows = pd.DataFrame({"user": table.rows["user_id"], "item": table.rows["item_id"], "rating": 1.0})
    scale = scale and (float(scale[0]), float(scale[1]))
    if rating is not None:
        rows["rating"] = _floats(table, rating)
        scale = scale or FoundScale(float(rows["rating"].min()), float(rows["rating"].max()))
        low, high = scale
        good = rows["rating"].between(low, high).to_numpy(dtype=bool)
        table.require(rating, good, f"is not from {low:g} to {high:g}, the scale", _SCALE_CURE)
        if low == high:
            raise InputError(f"{table.name}: every {rating} is {low:g}; give the `scale`, or rating: null for clicks")
    order = np.arange(len(rows))
    if time is not None:
        rows["time"] = np.floor(_floats(table, time)).astype(np.int64)
        order = np.argsort(rows["time"].to_numpy(), kind="stable")
    return Table(table.name, table.first_line, rows).at(order), scale or CLICKS


def _floats(table: Table, field: str) -> np.typing.NDArray[np.float64]:
    numbers: np.typing.NDArray[np.float64] = pd.to_numeric(table.rows[field], errors="coerce").to_numpy(np.float64)
    table.require(field, np.abs(numbers) < 2**53, "is not a number, or too large")
    return numbers


def _require_ids(table: Table, *fields: str) -> None:
    """Refuse ids that are empty."""
    for field in fields:
        table.require(field, (table.rows[field] != "").to_numpy(dtype=bool), "is empty, so it names nobody")


def _held(where: Path, name: str, asked: object) -> tuple[Document, ...]:
    """The file, or nothing if it is not there and nothing of it is asked for."""
    if _holds(where, name):
        return read_files(where, ((name,),), LARGEST_RATINGS)
    if asked:
        raise InputError(f"{where} holds no {name}, but fields of it are asked for; add it, or ask for none")
    return ()


def _side(
    files: tuple[Document, ...], key: str, rated: "pd.Series[str]", wanted: Sequence[str] | None, title: str | None
) -> Side:
    """Users or items: those of the file, if it is there, and those that the ratings name."""
    if not files:
        return Side(sorted(set(rated)))
    [file] = files
    table, types = _read(file)
    chosen = [field for field in types if field not in (key, title) and types[field] != "float_seq"]
    chosen = chosen if wanted is None else list(wanted)
    _require_fields(file, types, [key, *chosen, *([title] if title else [])])
    _require_ids(table, key)
    table.require(key, ~table.rows[key].duplicated().to_numpy(dtype=bool), "is listed twice")
    ids = sorted({*table.rows[key], *rated})
    rows = table.rows.set_index(key, drop=False).reindex(ids).fillna("")
    features = _features(table, rows, {field: types[field] for field in chosen})
    return Side(ids, features, [text or one for text, one in zip(rows[title], ids, strict=True)] if title else ())


def _holds(where: Path, name: str) -> bool:
    if where.is_dir():
        return (where / name).exists()
    with archive.opened(where) as opened:
        return name in {PurePosixPath(member).name for member in opened.namelist()}


def _features(table: Table, rows: pd.DataFrame, types: dict[str, str]) -> FeatureTable:
    """The attributes of all rows; `table` is where they come from, for the message."""
    one: dict[str, pd.Series[str]] = {}
    several = {}
    for field, kind in types.items():
        if kind == "float_seq":
            raise InputError(f"{table.name}:1: {field} is a float_seq, which no attribute can be; leave it out")
        if kind == "token_seq":
            several[field] = [re.findall(r"[^ ]+", text) for text in rows[field]]
        elif kind == "token":
            one[field] = rows[field]
    numeric = {field: _numeric(table, rows, field) for field, kind in types.items() if kind == "float"}
    codes, words = categorical(pd.DataFrame(one, index=rows.index)), sets_or_lists(several)
    values = {**codes.values, **words.values}
    return dataclasses.replace(words, categorical=codes.categorical, values=values, numeric=numeric)


def _numeric(table: Table, rows: pd.DataFrame, field: str) -> Numeric:
    """The numbers of all rows, row 0 included, which training makes words of."""
    given = table.rows[field]
    numbers = pd.to_numeric(given, errors="coerce")
    table.require(field, (np.isfinite(numbers) | (given == "")).to_numpy(dtype=bool), "is not a number")
    every = pd.to_numeric(rows[field], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return Numeric(np.append(np.nan, every), BINS, BINS)
