"""Columns of users' own files as numbers: ids as codes, ratings on a scale, times as seconds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from metarec.data.odd_times import TimeUnit
from metarec.data.own.parquet import Rows
from metarec.data.ratings import BoolArray, IntArray
from metarec.errors import InputError

PARTS = {"s": 1, "ms": 1_000, "us": 1_000_000}
"""Parts of a second in a unit."""

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


def require(file: Rows, first: int, column: str, values: Any, good: BoolArray, fault: str) -> None:
    """Raise an InputError that names the first rows that are not good, what stands there, and the fault.

    Args:
        file: where the values come from.
        first: row of the file that the first value stands in.
        column: its name.
        values: an Arrow array of the values.
        good: which of them are good.
        fault: what the others are not.
    """
    wrong = np.flatnonzero(~good)
    if not len(wrong):
        return
    value = values[int(wrong[0])].as_py()
    places = [file.place(first + int(row)) for row in wrong[:3]]
    also = "" if len(wrong) == 1 else f"; also {', '.join(place.rsplit('/', 1)[-1] for place in places[1:])}"
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    shown = "is missing" if value in (None, "") else f"{str(value)[:40]!r} {fault}"
    raise InputError(f"{places[0]}: {column} {shown}{also}{more}; correct or remove {_them(len(wrong))}")


def ids(file: Rows, first: int, name: str, column: pyarrow.ChunkedArray) -> list[pyarrow.DictionaryArray]:
    """The chunks of a column of ids, none of which may be missing."""
    for chunk in column.chunks:
        empty = pc.index(chunk.dictionary, "").as_py()
        if empty >= 0:
            require(file, first, name, chunk, chunk.indices.to_numpy() != empty, "")
        first += len(chunk)
    return list(column.chunks)


def codes(chunks: Sequence[pyarrow.DictionaryArray], more: Sequence[str] = ()) -> tuple[Codes, list[str]]:
    """Rows of ids in their sorted order.

    Args:
        chunks: the ids.
        more: further ids that have a row too.

    Returns:
        For each id, its place among all, 1 upwards, shape (rows,); and all ids, each once, in the order of their bytes.
    """
    united = pyarrow.chunked_array(chunks).unify_dictionaries()
    found = united.chunk(0).dictionary
    every = pc.unique(pyarrow.concat_arrays([found, pyarrow.array(list(more), pyarrow.string())]))
    order = pc.sort_indices(every).to_numpy()
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(1, len(order) + 1, dtype=np.int32)
    coded = np.empty(len(united), dtype=np.int32)
    start = 0
    for chunk in united.chunks:
        coded[start : start + len(chunk)] = place[chunk.indices.to_numpy()]
        start += len(chunk)
    return coded, every.take(order).to_pylist()


def floats(file: Rows, first: int, name: str, column: pyarrow.ChunkedArray) -> Floats:
    """A column as finite numbers, shape (rows,)."""
    numbers = _floats(column)
    require(file, first, name, column, np.isfinite(numbers), "is not a finite number")
    return numbers


def ratings(
    file: Rows, first: int, name: str, column: pyarrow.ChunkedArray, scale: tuple[float, float] | None
) -> Floats:
    """A column as ratings, shape (rows,), which lie on the scale if there is one."""
    numbers = floats(file, first, name, column)
    if scale is not None:
        good = (numbers >= scale[0]) & (numbers <= scale[1])
        require(file, first, name, column, good, f"is not from {scale[0]:g} to {scale[1]:g}, the scale")
    return numbers


def seconds(file: Rows, first: int, name: str, column: pyarrow.ChunkedArray, unit: TimeUnit) -> IntArray:
    """A column of times as whole seconds since 1970, parts of a second cut off towards the past, shape (rows,).

    Args:
        file: where it comes from.
        first: row of the file that the first value stands in.
        name: of the column.
        column: numbers in the unit, or for `iso` dates such as 2024-05-01 or 2024-05-01T12:30:00+02:00; where no zone
            is given, UTC. Dates and times of Parquet are what they are, whatever the unit.
        unit: of the numbers.
    """
    if pyarrow.types.is_temporal(column.type):
        return _seconds_of(file, first, name, column, column.cast(pyarrow.timestamp("us"), safe=False))
    if unit == "iso":
        return _seconds_of(file, first, name, column, _dates(column))
    try:
        whole: IntArray = column.cast(pyarrow.int64()).to_numpy()
        if column.null_count == 0:
            return whole // PARTS[unit]
    except pyarrow.ArrowInvalid:
        pass
    numbers = _floats(column)
    fault = f"is not a number of {unit}" + ("" if pd.isna(_first_date(column)) else "; give time_unit iso")
    require(file, first, name, column, np.abs(numbers) < 2**53, fault)
    return np.floor(numbers / PARTS[unit]).astype(np.int64)


def _floats(column: pyarrow.ChunkedArray) -> Floats:
    """Numbers, NaN where there is none."""
    try:
        numbers: Floats = column.cast(pyarrow.float64()).to_numpy()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        numbers = pd.to_numeric(column.to_pandas().astype(str), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return numbers


def _dates(column: pyarrow.ChunkedArray) -> Any:
    """Microseconds since 1970, null where there is no date."""
    try:
        return column.cast(pyarrow.timestamp("us"))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        words = column.to_pandas().astype(str)
        dates = pd.to_datetime(words, format="ISO8601", utc=True, errors="coerce")
        return pyarrow.chunked_array([pyarrow.array(dates.dt.as_unit("us").dt.tz_localize(None))])


def _first_date(column: pyarrow.ChunkedArray) -> Any:
    return pd.to_datetime(str(column[0].as_py()), format="ISO8601", utc=True, errors="coerce")


def _seconds_of(file: Rows, first: int, name: str, column: pyarrow.ChunkedArray, dates: Any) -> IntArray:
    good = dates.is_valid().to_numpy()
    require(file, first, name, column, good, "is no date such as 2024-05-01; give time_unit s, ms or us for numbers")
    whole: IntArray = dates.cast(pyarrow.int64()).to_numpy()
    return whole // 1_000_000


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
