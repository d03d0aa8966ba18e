"""Attributes of users or items out of users' own files."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow

from metarec.data.assembly import Side, categorical, sets_or_lists
from metarec.data.numeric import Numeric, by_edges
from metarec.data.own.columns import Floats, require
from metarec.data.own.parquet import ParquetFile, Rows, is_parquet
from metarec.data.own.text import TextFile
from metarec.data.ratings import UNKNOWN, FeatureTable
from metarec.errors import InputError

Bins = int | Sequence[float]


@dataclass(frozen=True)
class FeatureFile:
    """A file with a row for each user, or each item, and a column for each attribute.

    Users or items that it does not list have no attributes; those that it lists without a rating have a row too. An
    empty value is unknown.

    Attributes:
        path: the file, text or Parquet (.parquet, .pq); null: there are no attributes.
        id: column of the ids, as they stand in the ratings.
        categorical: columns that hold one word each, such as gender or postcode.
        multi_valued: columns that hold several words each, such as genres: a 0/1 matrix, or lists where that would be
            too large.
        values_separator: what stands between the words of a multi-valued column.
        numeric: columns that hold a number each, with the edges of ranges, each of which becomes one word: with
            {age: [18, 35]}, 17 is "below 18", 18 is "18 to 35", 40 is "from 35". Or how many ranges there are to be:
            as training begins, the edges are laid so that equally many of the users, or items, that are trained on are
            in each. Nobody who is new has a part in that.
        title: column to call items by in print; null: their ids.
        separator: as that of the ratings; null: the same.
        encoding: as that of the ratings; null: the same.
    """

    path: str | None = None
    id: str = "id"
    categorical: Sequence[str] = ()
    multi_valued: Sequence[str] = ()
    values_separator: str = "|"
    numeric: Mapping[str, Bins] | None = None
    title: str | None = None
    separator: str | None = None
    encoding: str | None = None


class TextOptions(NamedTuple):
    """How a text file is written; see `TextFile`."""

    separator: str
    encoding: str
    quote: str | None


def opened(path: Path, text: TextOptions, columns: Sequence[str] | None = None) -> Rows:
    """A text or Parquet file, by the end of its name; `columns` are those of a text file without a header."""
    return ParquetFile(path) if is_parquet(path) else TextFile(path, *text, columns)


@dataclass(frozen=True)
class Listed:
    """What a file of attributes says.

    Attributes:
        features: where it comes from.
        file: the same, opened.
        rows: columns of strings, one row each, as the file has them; `id` is that column.
    """

    features: FeatureFile
    file: Rows
    rows: pd.DataFrame

    @property
    def ids(self) -> list[str]:
        """The ids, in the file's order."""
        return list(self.rows[self.features.id])

    def side(self, ids: Sequence[str]) -> Side:
        """All users or items in the order of `ids`, with their attributes; those not listed have none."""
        wanted = self.features
        rows = self.rows.set_index(wanted.id, drop=False).reindex(pd.Index(ids)).fillna(UNKNOWN)
        words = {name: rows[name] for name in wanted.categorical}
        several = {name: [_split(text, wanted.values_separator) for text in rows[name]] for name in wanted.multi_valued}
        one, many = categorical(pd.DataFrame(words, index=rows.index)), sets_or_lists(several)
        table = dataclasses.replace(many, categorical=one.categorical, values={**one.values, **many.values})
        for name, bins in (wanted.numeric or {}).items():
            table = self._with_numbers(table, name, bins, np.append(np.nan, _numbers(rows[name])))
        named = zip(rows[wanted.title], ids, strict=True) if wanted.title else ()
        return Side(ids, table, [title or own for title, own in named])

    def _with_numbers(self, table: FeatureTable, name: str, bins: Bins, numbers: Floats) -> FeatureTable:
        """The attributes and one more, of numbers, row 0 included: its ranges, where they are given."""
        given = _numbers(self.rows[name])
        good = np.isfinite(given) | (self.rows[name] == UNKNOWN).to_numpy()
        require(self.file, 0, name, pyarrow.array(self.rows[name]), good, "is not a finite number")
        if isinstance(bins, int):
            if bins < 2:
                raise InputError(f"{self.file.name}: {bins} ranges of {name}: give 2 or more, or edges")
            return dataclasses.replace(table, numeric={**table.numeric, name: Numeric(numbers, bins)})
        edges = list(bins)
        if not edges or sorted(set(edges)) != edges:
            raise InputError(f"{self.file.name}: edges {edges} of {name}: give growing numbers, such as [18, 35]")
        codes, words = by_edges(numbers, edges)
        return dataclasses.replace(
            table, categorical={**table.categorical, name: codes}, values={**table.values, name: words}
        )


def read(features: FeatureFile, text: TextOptions) -> Listed | None:
    """Read a file of attributes.

    Args:
        features: the file; without a path, nothing is read.
        text: how the ratings are written.

    Returns:
        What it says; null: there is none.

    Raises:
        InputError: the file has a fault, a column is missing or asked for twice, or an id is listed twice.
    """
    wanted = [*features.categorical, *features.multi_valued, *(features.numeric or {})]
    titles = [] if features.title is None else [features.title]
    if features.path is None:
        if wanted or titles:
            raise InputError(f"attributes {[*wanted, *titles]} are asked for, but no path of their file is given")
        return None
    again = [name for name in {*wanted, features.id} if [*wanted, features.id].count(name) > 1]
    if again:
        raise InputError(f"{features.path}: column {again[0]!r} is asked for twice; name it once")
    path = Path(features.path).expanduser()
    separator = (features.separator or text.separator).replace("\\t", "\t")
    file = opened(path, TextOptions(separator, features.encoding or text.encoding, text.quote))
    columns = list(dict.fromkeys([features.id, *wanted, *titles]))
    file.require_columns(columns)
    rows = pd.concat([_strings(table) for table in file.tables([], columns)], ignore_index=True)
    ids = rows[features.id]
    require(file, 0, features.id, pyarrow.array(ids), (ids != UNKNOWN).to_numpy(dtype=bool), "")
    require(file, 0, features.id, pyarrow.array(ids), ~ids.duplicated().to_numpy(dtype=bool), "is listed twice")
    return Listed(features, file, rows)


def _strings(table: pyarrow.Table) -> pd.DataFrame:
    """The columns as strings; lists of Parquet are not taken."""
    try:
        words = {name: table[name].cast(pyarrow.string()).to_pandas().fillna(UNKNOWN) for name in table.column_names}
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise InputError(f"a column of attributes is no text and no number ({error}); make it text") from error
    return pd.DataFrame(words)


def _split(text: str, separator: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(separator)) if word]


def _numbers(words: "pd.Series[str]") -> Floats:
    numbers: Floats = pd.to_numeric(words, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return numbers
