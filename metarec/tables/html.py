"""A table as a fragment of HTML, which brings its own style and needs nothing from elsewhere."""

from collections.abc import Sequence
from html import escape

from metarec.tables.table import Cell, Column, Row, Table, number_and_interval

STYLE = """
.metarec-table { overflow-x: auto; margin: 1em 0; font: 14px/1.4 system-ui, sans-serif; color: #1a1a1a; }
.metarec-table table { border-collapse: collapse; border: solid; border-width: 2px 0; white-space: nowrap; }
.metarec-table figcaption, .metarec-table .foot, .metarec-table .warning { max-width: 80em; margin: .5em 0; }
.metarec-table .foot { font-size: 12px; color: #555; }
.metarec-table .warning { color: #a40000; font-weight: bold; }
.metarec-table th, .metarec-table td { padding: .2em .7em; text-align: right; font-weight: normal; }
.metarec-table th:first-child { text-align: left; }
.metarec-table thead th { border-bottom: 1px solid; font-weight: bold; white-space: normal; vertical-align: bottom; }
.metarec-table tbody + tbody tr:first-child > * { border-top: 1px solid #aaa; }
.metarec-table small { color: #666; }
"""


def as_html(table: Table) -> str:
    """A ``figure`` with caption, table and foot; chance and trivial rows are a ``tbody`` of their own."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("method", *(c.name for c in table.shown)))
    groups = [[row for row in table.rows if row.trivial is trivial] for trivial in (True, False)]
    bodies = [
        line for rows in groups if rows for line in ("<tbody>", *(_row(r, table.shown) for r in rows), "</tbody>")
    ]
    return "\n".join(
        [
            f'<figure class="metarec-table" id="{escape(table.title)}">',
            f"<style>{STYLE}</style>",
            *(f'<p class="warning">{escape(warning)}</p>' for warning in table.warnings),
            f"<figcaption>{escape(table.caption)}</figcaption>",
            "<table>",
            f"<thead><tr>{heads}</tr></thead>",
            *bodies,
            "</table>",
            f'<p class="foot">{escape(table.foot)}</p>',
            "</figure>",
        ]
    )


def _row(row: Row, columns: Sequence[Column]) -> str:
    cells = "".join(f"<td>{_cell(row.cells[column.name], column)}</td>" for column in columns)
    return f'<tr><th scope="row">{escape(row.method)}</th>{cells}</tr>'


def _cell(cell: Cell, column: Column) -> str:
    """Number and, smaller, interval."""
    number, interval = map(escape, number_and_interval(cell))
    marked = f"<b>{number}</b>" if cell.bold else number
    return f"{marked} <small>{interval}</small>" if interval else marked or escape(column.empty)
