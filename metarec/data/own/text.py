"""Text files of any number of lines as columns, read in pieces; a line that does not fit is named in an error."""

import codecs
import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import csv as arrow_csv

from metarec.data.lines import require_short
from metarec.errors import InputError
from metarec.messages import did_you_mean

PIECE = 16 * 2**20
"""Bytes of a file that are text in memory at a time."""

LONGEST = 8 * PIECE
"""Bytes within which a row must end."""

_SEPARATORS = {",": "','", ";": "';'", "\t": "'\\t' (a tab)", "|": "'|'", "::": "'::'"}
_UNIT = "\x1f"


class TextFile:
    """A text file whose lines are rows of values with a separator between them.

    Lines end with LF or CR LF; empty ones are passed over. A byte order mark makes the file UTF-8.

    Args:
        path: the file.
        separator: what stands between values; of more than one character, quotes mean nothing.
        encoding: of the file, by any name that Python knows.
        quote: what values may stand in, doubled inside them; such values may hold separators and line breaks. Null:
            quotes are characters as others are.
        columns: names of the columns; null: the first line names them.

    Attributes:
        name: the file, for messages.
        columns: names of the columns.

    Raises:
        InputError: the file cannot be read, holds no row, or the encoding is none.
    """

    def __init__(
        self,
        path: Path,
        separator: str = ",",
        encoding: str = "utf-8",
        quote: str | None = '"',
        columns: Sequence[str] | None = None,
    ) -> None:
        if not separator or set(separator) & set("\r\n"):
            raise InputError(f"separator {separator!r}: give what stands between values, such as ',' or '\\t'")
        if quote is not None and (len(quote) != 1 or not quote.isascii()):
            raise InputError(f"quote {quote!r}: give one character, or null")
        self.name, self.path, self.separator = str(path), path, separator
        self.encoding = _known(encoding)
        self._mark = separator if len(separator.encode()) == 1 else _UNIT
        self.quote = quote if self._mark == separator else None
        self._headed, self._rows_before = columns is None, [0]
        self.columns = list(columns or self._header())

    def require_columns(self, wanted: Sequence[str]) -> None:
        """Raise an InputError that names the first column that is not there, or is there twice."""
        for column in wanted:
            if self.columns.count(column) == 1:
                continue
            if column in self.columns:
                raise InputError(f"{self.name}:1: column {column!r} is there twice; rename one")
            raise InputError(f"{self.name}:1: no column {column!r}; there {_are(self.columns)}{self._cure(column)}")

    def tables(self, codes: Sequence[str], strings: Sequence[str]) -> Iterator[pyarrow.Table]:
        """The rows in pieces.

        Args:
            codes: columns to give as dictionaries, each value once.
            strings: columns to give as they stand.

        Yields:
            Columns of strings; all rows of all pieces are those of the file, in its order.

        Raises:
            InputError: there is no row, or a line has another number of values, or is no text in the encoding.
        """
        self._rows_before = [0]
        for line, piece in self._pieces():
            table = self._table(line, piece, codes, strings)
            self._rows_before.append(self._rows_before[-1] + len(table))
            yield table
        if not self._rows_before[-1]:
            raise InputError(f"{self.name} holds no row{' but its header' * self._headed}; get a whole copy")

    def place(self, row: int) -> str:
        """Where a row stands, out of those that `tables` has given, as in ``ratings.csv:17``; reads the file again."""
        number = int(np.searchsorted(self._rows_before, row, side="right")) - 1
        number = min(number, len(self._rows_before) - 1)
        for index, (line, piece) in enumerate(self._pieces()):
            if index == number:
                rows = self._rows(line, piece)
                start = next(start for count, (start, _) in enumerate(rows) if count == row - self._rows_before[index])
                return f"{self.name}:{start}"
        raise InputError(f"{self.name} changed while it was read; try again")

    def _header(self) -> list[str]:
        _, piece = next(self._pieces(), (1, b""))
        if not piece.strip():
            raise InputError(f"{self.name} is empty; get a whole copy")
        first = piece.partition(b"\n")[0].decode("utf-8", errors="replace")
        return [column.strip() for column in next(self._reader(first + "\n"), [])]

    def _cure(self, column: str) -> str:
        others = [word for mark, word in _SEPARATORS.items() if len(self.columns) == 1 and mark in self.columns[0]]
        return f"; give separator {others[-1]}" if others else did_you_mean(column, self.columns, 0.5)

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """Whole rows in UTF-8 with the number of their first line; the header is among them."""
        line, rest = 1, b""
        with _readable(self.path), self.path.open("rb") as file:
            decoded = _Decoded(self.name, self.encoding)
            while chunk := file.read(PIECE):
                rest += decoded.utf8(chunk, line + rest.count(b"\n"))
                require_short(self.name, rest, line)
                stop = self._whole(rest)
                if stop:
                    yield line, rest[:stop]
                    line, rest = line + rest.count(b"\n", 0, stop), rest[stop:]
                elif len(rest) > LONGEST:
                    raise InputError(f"{self.name}:{line}: no row ends behind this line; check quote and separator")
        if rest:
            self._refuse_end(line, rest)

    def _refuse_end(self, line: int, rest: bytes) -> None:
        """Say why what is left at the end is no row."""
        if line == 1 and b"\r" in rest and b"\n" not in rest:
            raise InputError(f"{self.name}:1: lines end with CR alone; convert them to end with LF")
        if rest.endswith(b"\n"):
            cure = "correct the quotes, or give quote null"
            raise InputError(f"{self.name}:{line}: a quote is opened on this line or behind it, and not closed; {cure}")
        line += rest.count(b"\n")
        cure = "get a whole copy (or add a line break if nothing is missing)"
        raise InputError(f"{self.name}:{line}: the file ends in the middle of this line; {cure}")

    def _whole(self, text: bytes) -> int:
        """Where the last whole row ends: at a line break that no quotes enclose; 0: there is none."""
        stop = text.rfind(b"\n") + 1
        if self.quote is None or not stop:
            return stop
        mark = self.quote.encode()
        if text.count(mark, 0, stop) % 2 == 0:
            return stop
        letters = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(letters == ord("\n"))
        outside = ends[np.searchsorted(np.flatnonzero(letters == mark[0]), ends) % 2 == 0]
        return int(outside[-1]) + 1 if len(outside) else 0

    def _table(self, line: int, piece: bytes, codes: Sequence[str], strings: Sequence[str]) -> pyarrow.Table:
        skip = int(self._headed and line == 1)
        if skip and not piece.partition(b"\n")[2].strip(b"\r\n"):
            return pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in (*codes, *strings)})
        text = piece if self._mark == self.separator else piece.replace(self.separator.encode(), self._mark.encode())
        try:
            table = self._parsed(text, skip, [*codes, *strings])
        except pyarrow.ArrowInvalid as error:
            self._refuse(line, piece)
            raise InputError(f"{self.name}:{line}: {' '.join(str(error).split())[:200]}") from error
        coded = {name: table[name].dictionary_encode() for name in codes}
        return pyarrow.table(coded | {name: table[name] for name in strings})

    def _parsed(self, text: bytes, skip: int, columns: list[str]) -> pyarrow.Table:
        """The columns as strings."""
        quoted = (self.quote or "\0").encode() in text
        return arrow_csv.read_csv(
            pyarrow.BufferReader(text),
            arrow_csv.ReadOptions(column_names=_distinct(self.columns), skip_rows=skip, block_size=len(text) + 1),
            arrow_csv.ParseOptions(delimiter=self._mark, quote_char=self.quote or False, newlines_in_values=quoted),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pyarrow.string()), include_columns=columns, null_values=[]
            ),
        )

    def _refuse(self, line: int, piece: bytes) -> None:
        """Name the first line that is no text, or has another number of values; nothing if there is none."""
        for start, values in self._rows(line, piece):
            if len(values) != len(self.columns):
                what = f"{len(values)} value{'s' * (len(values) != 1)} instead of {len(self.columns)}"
                cure = "correct or remove the line"
                raise InputError(f"{self.name}:{start}: {what}, separated by {self.separator!r}; {cure}")

    def _rows(self, line: int, piece: bytes) -> Iterator[tuple[int, list[str]]]:
        """Number of the first line, and values, of each row of a piece, slowly."""
        try:
            reader = self._reader(piece.decode("utf-8"))
        except UnicodeDecodeError as error:
            wrong = line + piece.count(b"\n", 0, error.start)
            cure = "give the encoding it has, such as latin-1"
            raise InputError(f"{self.name}:{wrong}: no text in {self.encoding}; {cure}") from error
        start = line
        for values in reader:
            if values and not (self._headed and start == 1):
                yield start, values
            start = line + reader.line_num

    def _reader(self, text: str) -> Any:
        csv.field_size_limit(16 * PIECE)
        lines = io.StringIO(text.replace(self.separator, self._mark), newline="")
        if self.quote is None:
            return csv.reader(lines, delimiter=self._mark, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=self._mark, quotechar=self.quote)


class _Decoded:
    """Turns the bytes of a file, one chunk after the other, into UTF-8."""

    def __init__(self, name: str, encoding: str) -> None:
        self.name, self.encoding, self._first = name, encoding, True
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()

    def utf8(self, chunk: bytes, line: int) -> bytes:
        """The chunk in UTF-8; `line` is the line that it begins on, for the message."""
        if self._first and chunk.startswith(codecs.BOM_UTF8):
            chunk, self._decoder = chunk[3:], None
        self._first = False
        if self._decoder is not None:
            try:
                chunk = self._decoder.decode(chunk).encode()
            except UnicodeError as error:
                line += chunk.count(b"\n", 0, getattr(error, "start", 0))
                cure = "give the encoding it has"
                raise InputError(f"{self.name}:{line}: no text in {self.encoding} ({error}); {cure}") from error
        if b"\0" in chunk:
            line += chunk.count(b"\n", 0, chunk.find(b"\0"))
            cure = "give the encoding it has, such as utf-16, or a text file"
            raise InputError(f"{self.name}:{line}: no text in {self.encoding}; {cure}")
        return chunk


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); check the path") from error


def _known(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        "a".encode(name)  # a LookupError for codecs that are not for text
    except (LookupError, UnicodeError) as error:
        raise InputError(f"encoding {encoding!r} is unknown; give one such as utf-8, latin-1, utf-16") from error
    return "utf-8" if name == "utf-8-sig" else name


def _distinct(columns: Sequence[str]) -> list[str]:
    """The names, those that come again with a number."""
    return [name if columns.index(name) == place else f"{name}\0{place}" for place, name in enumerate(columns)]


def _are(columns: Sequence[str]) -> str:
    shown = ", ".join(map(repr, columns[:12])) + (", ..." if len(columns) > 12 else "")
    return f"{'is' if len(columns) == 1 else 'are'} {shown[:300] or 'none'}"
