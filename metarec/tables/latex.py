"""A table as LaTeX, with the rules of the package booktabs."""

import re
from collections.abc import Sequence

from metarec.tables.table import Cell, Column, Row, Table, number_and_interval

PACKAGES = ("booktabs", "graphicx")
"""What a document must load; graphicx shrinks a table that is wider than the line."""

SPECIAL = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%#_{}"},
        "\\": r"\textbackslash{}",
        "$": r"{\char36}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
    }
)
"""Characters that LaTeX reads as commands or prints as others, from fonts that every installation has."""


def as_latex(table: Table) -> str:
    """A floating table; above it, in a comment, the packages that it needs."""
    heads = [" & ".join(["method", *(escaped(column.name) for column in table.shown)]) + r" \\"]
    groups = [[row for row in table.rows if row.trivial is trivial] for trivial in (True, False)]
    bodies = [[_row(row, table.shown) for row in group] for group in groups if group]
    lines = [line for part in [heads, *bodies] for line in (r"\midrule", *part)][1:]
    label = re.sub(r"[^\w.:+-]", "-", table.title)
    warnings = [rf"\textbf{{{escaped(warning)}}}" for warning in table.warnings]
    return "\n".join(
        [
            f"% \\usepackage{{{', '.join(PACKAGES)}}}; a wide table is larger in table* or on a page in landscape",
            r"\begin{table}",
            r"\centering\footnotesize",
            rf"\caption[{escaped(table.title)}]{{\footnotesize {' '.join([*warnings, escaped(table.caption)])}}}",
            rf"\label{{tab:{label}}}\smallskip",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * len(table.shown)}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            rf"\par\smallskip\raggedright\scriptsize {escaped(table.foot)}",
            r"\end{table}",
        ]
    )


def escaped(text: str) -> str:
    r"""Plain text as LaTeX source that prints it.

    Example:
        >>> escaped("ndcg_exp@5: 50 %")
        'ndcg\\_exp@5: 50 \\%'
    """
    return text.translate(SPECIAL)


def _row(row: Row, columns: Sequence[Column]) -> str:
    name = escaped(row.method)
    name = f"{{}}{name}" if name.startswith(("[", "*")) else name  # else the row before would end in an option
    return " & ".join([name, *(_cell(row.cells[column.name], column) for column in columns)]) + r" \\"


def _cell(cell: Cell, column: Column) -> str:
    """Number and, smaller, interval; minus signs as in formulas."""
    number, interval = number_and_interval(cell)
    if not number:
        return column.empty.replace("-", "--")
    marked = rf"\textbf{{{_signed(number)}}}" if cell.bold else _signed(number)
    return f"{marked} {{\\scriptsize {_signed(interval)}}}" if interval else marked


def _signed(text: str) -> str:
    return escaped(text).replace("-", "$-$")
