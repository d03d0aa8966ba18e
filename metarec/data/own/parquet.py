"""Parquet files as columns, read in pieces, with the methods of `metarec.data.own.text.TextFile`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.compute as pc
from pyarrow import parquet

from metarec.data.own.text import TextFile
from metarec.errors import InputError
from metarec.messages import did_you_mean

BATCH = 2**19
"""Rows in memory at a time as they stand in the file."""

ENDINGS = (".parquet", ".pq")


class ParquetFile:
    """A Parquet file.

    Args:
        path: the file.

    Attributes:
        name: the file, for messages.
        columns: names of the columns.

    Raises:
        InputError: the file cannot be read, is none, or holds no row.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.path = str(path), path
        try:
            with parquet.ParquetFile(path) as file:
                self._rows, self.columns = file.metadata.num_rows, list(file.schema_arrow.names)
        except (OSError, pyarrow.ArrowException) as error:
            if isinstance(error, OSError) and error.strerror:
                raise InputError(f"cannot read {path} ({error.strerror}); check the path") from error
            raise InputError(f"{path} is no Parquet file, or is damaged; get a whole copy") from error
        if not self._rows:
            raise InputError(f"{path} holds no row; get a whole copy")

    def require_columns(self, wanted: Sequence[str]) -> None:
        """Raise an InputError that names the first column that is not there."""
        for column in wanted:
            if column not in self.columns:
                there = ", ".join(map(repr, self.columns[:12]))
                raise InputError(
                    f"{self.name}: no column {column!r}; there are {there}{did_you_mean(column, self.columns)}"
                )

    def tables(self, codes: Sequence[str], strings: Sequence[str]) -> Iterator[pyarrow.Table]:
        """The rows in pieces.

        Args:
            codes: columns of strings or whole numbers to give as dictionaries of strings, each value once.
            strings: columns to give as they stand; missing values are null.

        Yields:
            The columns; all rows of all pieces are those of the file, in its order.

        Raises:
            InputError: a column of codes holds something else, or the file is damaged.
        """
        left = self._rows
        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH, columns=[*codes, *strings]):
                    left -= len(batch)
                    columns = {name: self._coded(name, batch.column(name)) for name in codes}
                    yield pyarrow.table(columns | {name: batch.column(name) for name in strings})
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{self.name} is damaged ({' '.join(str(error).split())[:120]}); get a whole copy"
            ) from error
        if left:
            raise InputError(f"{self.name} is damaged (its rows are not {self._rows}, as it says); get a whole copy")

    def place(self, row: int) -> str:
        """Where a row stands, as in ``ratings.parquet row 17``, the first one being 1."""
        return f"{self.name} row {row + 1}"

    def _coded(self, name: str, column: pyarrow.Array) -> pyarrow.Array:
        kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise InputError(f"{self.name}: column {name!r} holds {kind}; make it strings or whole numbers")
        words = column.cast(kind).cast(pyarrow.string())
        return pc.fill_null(words, "").dictionary_encode()


Rows = TextFile | ParquetFile
"""A file of rows."""


def is_parquet(path: Path) -> bool:
    """Whether the name of a file ends as those of Parquet files do."""
    return path.suffix.lower() in ENDINGS
