"""A table as an object: what every format is a function of."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One value of one method.

    Attributes:
        mean: the value, in the column's unit; null: there is none.
        low: lower end of its 95 % interval; null: it has none.
        high: upper end.
        bold: whether it is the best of its column, and clearly so.
        digits: how many to show behind the point.
        tasks: users that it is the mean of.
        missing: users who have no value.
        seeds: model seeds that it is the mean of.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    bold: bool = False
    digits: int = 3
    tasks: int = 0
    missing: int = 0
    seeds: int = 0


@dataclass(frozen=True)
class Column:
    """What stands in one column.

    Attributes:
        name: its head, and the key of its cells.
        shown: whether formats for reading show it; those for programs have all.
        empty: what to show where there is no value.
    """

    name: str
    shown: bool = True
    empty: str = "-"


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        method: its name.
        trivial: whether it is chance, or knows no more than counts and means; such rows stand on top.
        cells: by column.
    """

    method: str
    trivial: bool
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """A table of methods.

    Attributes:
        title: a name in one word, such as that of the experiment file.
        caption: what it shows, and how means, intervals and tests were made.
        columns: all columns, in order.
        rows: all rows, in order.
        foot: where it is from: commit, digests, seeds, cost.
        warnings: what must be said above it.
    """

    title: str
    caption: str
    columns: list[Column]
    rows: list[Row]
    foot: str
    warnings: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[Column]:
        """The columns for reading."""
        return [column for column in self.columns if column.shown]


def number_and_interval(cell: Cell) -> tuple[str, str]:
    """The number of a cell and its interval in brackets, each empty where there is none.

    Example:
        >>> number_and_interval(Cell(0.5, 0.4, 0.6)), number_and_interval(Cell(0.0002))
        (('0.500', '[0.400, 0.600]'), ('<0.001', ''))
    """
    if cell.mean is None:
        return "", ""
    if cell.low is None or cell.high is None:
        least = 10.0**-cell.digits
        tiny = 0 < cell.mean < least / 2
        return f"<{least:.{cell.digits}f}" if tiny else _fixed(cell.mean, cell.digits), ""
    return _fixed(cell.mean, cell.digits), f"[{_fixed(cell.low, cell.digits)}, {_fixed(cell.high, cell.digits)}]"


def _fixed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.000
