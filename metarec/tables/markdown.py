"""A table as Markdown."""

from collections.abc import Sequence

from metarec.tables.table import Cell, Column, Table, number_and_interval


def as_markdown(table: Table) -> str:
    """Warnings, caption, a row a method, and the foot."""
    heads = [column.name for column in table.shown]
    rows = [
        _line([_escaped(row.method), *(_cell(row.cells[column.name], column) for column in table.shown)])
        for row in table.rows
    ]
    return "\n".join(
        [
            *(text for warning in table.warnings for text in (f"**{warning}**", "")),
            table.caption,
            "",
            _line(["method", *map(_escaped, heads)]),
            _line(["---", *["---:"] * len(heads)]),
            *rows,
            "",
            table.foot,
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell, column: Column) -> str:
    """Number and interval; the number bold where it is clearly the best."""
    number, interval = number_and_interval(cell)
    marked = f"**{number}**" if cell.bold else number
    return " ".join(filter(None, [marked, interval])) or column.empty


def _escaped(text: str) -> str:
    """Text that ends no cell."""
    return text.replace("|", "\\|")
