"""Numbers as attributes: each becomes one of a few words, whose edges only those may decide who are trained on."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Codes = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

OTHER = "another number"
"""What a number is where the numbers that count are few, each of them is a word, and it is none of them."""


@dataclass(frozen=True)
class Numeric:
    """An attribute of numbers as it was read, of all users or all items, with the edges of its ranges still open.

    Attributes:
        number: of each row, shape (rows,); NaN: unknown, as that of row 0 is.
        ranges: how many ranges there are to be, >= 2.
        apart: with so few distinct numbers, or fewer, each is a word of its own instead.
    """

    number: Floats
    ranges: int
    apart: int = 0

    def at(self, rows: Codes) -> "Numeric":
        """The numbers of some rows, in that order; a row may come again."""
        return dataclasses.replace(self, number=self.number[rows])

    def coded(self, rows: Codes) -> tuple[Codes, tuple[str, ...]]:
        """Codes of all rows, by ranges with equally many of some rows in each, up to ties; no other number matters.

        Args:
            rows: those whose numbers decide the edges.

        Returns:
            As `by_edges`. Where each number is a word, the last code is that of `OTHER`; where none of these rows has
            a number, everything is unknown.
        """
        own = self.number[rows]
        distinct = np.unique(own[np.isfinite(own)])
        if not len(distinct):
            return np.zeros(len(self.number), dtype=np.int64), ("",)
        if len(distinct) > self.apart:
            return by_edges(self.number, quantiles(own[np.isfinite(own)], self.ranges))
        place = np.searchsorted(distinct, self.number).clip(max=len(distinct) - 1)
        codes = np.where(distinct[place] == self.number, place + 1, len(distinct) + 1)
        codes[np.isnan(self.number)] = 0
        return codes, ("", *map(_digits, distinct.tolist()), OTHER)


def by_edges(number: Floats, edges: Sequence[float]) -> tuple[Codes, tuple[str, ...]]:
    """Numbers by the range that they fall into; a number on an edge belongs to the range above.

    Args:
        number: shape (rows,); NaN: unknown.
        edges: where ranges meet, ascending, at least one.

    Returns:
        The code of each number, 0 for unknown, then the ranges from the lowest on, shape (rows,); and what each code
        is called, such as ``"", "below 18", "18 to 35", "from 35"``.
    """
    codes = np.where(np.isnan(number), 0, np.searchsorted(edges, number, side="right") + 1)
    shown = list(map(_digits, edges))
    inner = [f"{low} to {high}" for low, high in itertools.pairwise(shown)]
    return codes, ("", f"below {shown[0]}", *inner, f"from {shown[-1]}")


def quantiles(numbers: Floats, ranges: int) -> list[float]:
    """Edges between ranges of equally many numbers, up to ties; one where all numbers are the same.

    Args:
        numbers: finite ones, (N,), N >= 1.
        ranges: >= 2.
    """
    cuts = np.unique(np.quantile(numbers, np.arange(1, ranges) / ranges, method="higher"))
    return [float(cut) for cut in cuts if cut > numbers.min()] or [float(cuts[-1])]


def _digits(number: float) -> str:
    """All digits of a number, whole ones without a point."""
    return f"{number:.0f}" if float(number).is_integer() else repr(float(number))
