"""Text files of data sets as tables, read strictly: a line that does not fit is named in an error."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import csv as arrow_csv

from metarec.data.fetch import Document
from metarec.data.lines import content, decoded, in_pieces
from metarec.data.ratings import BoolArray, IntArray
from metarec.errors import InputError

_NAMES = {"\t": "tabs", " ": "blanks", ",": "commas"}


@dataclass(frozen=True)
class Table:
    """A text file as columns, which knows where each row stands.

    Attributes:
        name: the file, for messages.
        first_line: number of the line that holds row 0.
        rows: one column an attribute, of strings, or of numbers in a file of ratings.
        lines: number of each row's line, shape (rows,); null: one line after the other.
        header: what the file itself calls its columns, for messages; those that it does not name go by ours.
    """

    name: str
    first_line: int
    rows: pd.DataFrame
    lines: IntArray | None = None
    header: Mapping[str, str] = field(default_factory=dict)

    def line(self, row: int) -> int:
        """Number of the line that holds a row."""
        return row + self.first_line if self.lines is None else int(self.lines[row])

    def require(self, column: str, good: BoolArray, fault: str, cure: str = "correct or remove the line") -> None:
        """Raise an InputError that names the first row that is not good, what stands there, the fault and the cure."""
        if good.all():
            return
        row = int(np.argmin(good))
        value = str(self.rows[column].iloc[row])[:40]
        others = len(good) - int(good.sum()) - 1
        more = f" (and {others} more lines)" if others else ""
        called = self.header.get(column, column)
        raise InputError(f"{self.name}:{self.line(row)}: {called} {value!r} {fault}{more}; {cure}")

    def integers(self, column: str) -> IntArray:
        """A column as whole numbers, shape (rows,); raises InputError if one is not."""
        values = self.rows[column]
        if not pd.api.types.is_integer_dtype(values):
            self.require(column, values.str.fullmatch(r"-?[0-9]{1,18}").to_numpy(dtype=bool), "is not a whole number")
        return np.asarray(values.astype("int64"), dtype=np.int64)

    def stars(self, scale: tuple[float, float], step: float) -> np.typing.NDArray[np.float64]:
        """The column `rating`, shape (rows,); raises InputError if one is not on the scale or between two steps."""
        numbers = pd.to_numeric(self.rows["rating"], errors="coerce")
        stars: np.typing.NDArray[np.float64] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
        kind = "a whole number" if step == 1 else f"a multiple of {step:g}"
        among = f"from {scale[0]:g} to {scale[1]:g}" if scale[1] < np.inf else f">= {scale[0]:g}"
        self.require("rating", _on_scale(stars, scale, step), f"is not {kind} {among}")
        return stars

    def by_id(self) -> tuple[IntArray, pd.DataFrame]:
        """The ids in growing order, and the rows in that order; raises InputError on an id listed twice."""
        ids = self.integers("id")
        self.require("id", ~pd.Series(ids).duplicated().to_numpy(dtype=bool), "is listed twice")
        order = np.argsort(ids)
        return ids[order], self.rows.iloc[order].reset_index(drop=True)

    def at(self, rows: IntArray) -> "Table":
        """The table with those rows alone."""
        lines = np.arange(len(self.rows)) + self.first_line if self.lines is None else self.lines
        return dataclasses.replace(self, rows=self.rows.iloc[rows].reset_index(drop=True), lines=lines[rows])


def read_table(
    document: Document,
    columns: Sequence[str],
    separator: str,
    encoding: str = "latin-1",
    header: str | None = None,
) -> Table:
    """Read a text file into columns of strings.

    Args:
        document: the file; a byte order mark makes it UTF-8, and lines may end with CR LF.
        columns: what each column holds.
        separator: what stands between columns.
        encoding: of a file without a byte order mark.
        header: what must stand in the first line; null: the first line is a row.

    Returns:
        The table, with at least one row.

    Raises:
        InputError: the file is empty, cut off, not text, or a line has another number of columns.
    """
    data, encoding, first_line = content(document, encoding, header)
    rows = _strings(document.name, data, columns, separator, first_line, encoding)
    return Table(document.name, first_line, rows, header=_called(columns, header, separator))


def read_lines(document: Document, encoding: str = "latin-1", header: str | None = None) -> Table:
    """Read a text file into one column of strings, `line`, for formats that have no separator; see `read_table`."""
    data, encoding, first_line = content(document, encoding, header)
    lines = decoded(document.name, data, encoding, first_line).removesuffix("\n").split("\n")
    return Table(document.name, first_line, pd.DataFrame({"line": lines}, dtype=str))


def read_ratings(
    document: Document,
    columns: Sequence[str],
    separator: str,
    scale: tuple[float, float],
    step: float = 1.0,
    header: str | None = None,
) -> Table:
    """Read a file of ratings into columns of numbers, piece by piece, so that it may have many millions of lines.

    Args:
        document: the file, in which lines may end with CR LF.
        columns: what each column holds: `user`, `item` and `time` are whole numbers, `rating` lies on the scale, all
            others are strings.
        separator: what stands between columns.
        scale: lowest and highest rating.
        step: a rating is a multiple of it.
        header: what must stand in the first line; null: the first line is a row.

    Returns:
        The table, with at least one row.

    Raises:
        InputError: as `read_table`, or a value is no such number.
    """
    data, _, first_line = content(document, "latin-1", header)
    called = _called(columns, header, separator)
    pieces, line = [], first_line
    for piece in in_pieces(data):
        rows = _numbers(document.name, piece, columns, separator, line)
        if rows is None or not _on_scale(rows["rating"].to_numpy(), scale, step).all():
            strings = _strings(document.name, piece, columns, separator, line, "latin-1")
            rows = _by_value(Table(document.name, line, strings, header=called), scale, step)
        pieces.append(rows.astype({"rating": "float32"}))
        line += piece.count(b"\n")
    return Table(document.name, first_line, pd.concat(pieces, ignore_index=True), header=called)


def read_quoted(document: Document, columns: Sequence[str], header: str) -> Table:
    """Read a comma-separated file, in UTF-8, with a header, whose values may stand in double quotes.

    Args:
        document: the file.
        columns: what each column holds.
        header: what must stand in the first line.

    Returns:
        The table, of strings, with at least one row.

    Raises:
        InputError: as `read_table`, or quotes are not closed.
    """
    data, encoding, first_line = content(document, "utf-8", header)
    reader = csv.reader(io.StringIO(decoded(document.name, data, encoding, first_line), newline=""), strict=True)
    try:
        found = [(reader.line_num + first_line - 1, row) for row in reader]
    except csv.Error as error:
        line = reader.line_num + first_line - 1
        raise InputError(f"{document.name}:{line}: {error}; correct the quotes") from error
    for line, row in found:
        if len(row) != len(columns):
            _refuse_columns(document.name, line, len(row), len(columns), ",")
    rows = pd.DataFrame([row for _, row in found], columns=list(columns), dtype=str)
    lines = np.array([line for line, _ in found], dtype=np.int64)
    return Table(document.name, first_line, rows, lines, _called(columns, header, ","))


def _called(columns: Sequence[str], header: str | None, separator: str) -> dict[str, str]:
    """What the header calls each column; a type that it adds behind a colon, as in RecBole's files, is left out."""
    names = header.split(separator) if header else []
    return {column: name.rpartition(":")[0] or name for column, name in zip(columns, names, strict=False)}


def _strings(
    name: str, data: bytes, columns: Sequence[str], separator: str, first_line: int, encoding: str
) -> pd.DataFrame:
    data = _separated(name, data, len(columns), separator, first_line)
    text = io.StringIO(decoded(name, data, encoding, first_line), newline="")
    names, end = list(columns), "\n"
    return pd.read_csv(
        text, sep="\x1f", names=names, dtype=str, quoting=3, na_filter=False, lineterminator=end, skip_blank_lines=False
    )


def _numbers(name: str, data: bytes, columns: Sequence[str], separator: str, line: int) -> pd.DataFrame | None:
    """The rows as numbers, or None where a value is none; fast, but silent about where."""
    kinds = {"user": "int64", "item": "int64", "time": "int64", "rating": "float64"}
    text = pyarrow.BufferReader(_separated(name, data, len(columns), separator, line))
    try:
        rows: pd.DataFrame = arrow_csv.read_csv(
            text,
            arrow_csv.ReadOptions(use_threads=False, column_names=list(columns)),
            arrow_csv.ParseOptions(delimiter="\x1f", quote_char=False, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types={name: kinds.get(name, "string") for name in columns}, null_values=[]
            ),
        ).to_pandas()
    except pyarrow.ArrowInvalid:
        return None
    return rows


def _by_value(table: Table, scale: tuple[float, float], step: float) -> pd.DataFrame:
    """The rows of strings as numbers, value by value: slow, but the first that is none is named."""
    numbers = {column: table.integers(column) for column in table.rows.columns if column in ("user", "item", "time")}
    return table.rows.assign(**numbers, rating=table.stars(scale, step))


def _on_scale(stars: np.typing.NDArray[np.float64], scale: tuple[float, float], step: float) -> BoolArray:
    good: BoolArray = (stars >= scale[0]) & (stars <= scale[1]) & (stars / step == np.round(stars / step))
    good &= np.isfinite(stars)
    return good


def _separated(name: str, data: bytes, wanted: int, separator: str, first_line: int) -> bytes:
    """The lines with one byte between columns; raises InputError if a line has another number of columns."""
    data = data.replace(separator.encode(), b"\x1f")
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    columns = np.diff(np.searchsorted(np.flatnonzero(text == 0x1F), ends), prepend=0) + 1
    wrong = np.flatnonzero(columns != wanted)
    if len(wrong):
        _refuse_columns(name, int(wrong[0]) + first_line, int(columns[wrong[0]]), wanted, separator)
    return data


def _refuse_columns(name: str, line: int, found: int, wanted: int, separator: str) -> NoReturn:
    what = f"{found} column{'s' * (found != 1)} instead of {wanted}"
    between = _NAMES.get(separator, separator)
    raise InputError(f"{name}:{line}: {what} separated by {between}; correct or remove the line")
