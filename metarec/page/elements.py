"""Pieces of HTML. Whatever comes from outside is escaped here, and only here."""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape


def text(content: object) -> str:
    """Content as text of a page."""
    return escape(str(content))


def paragraph(content: object, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{_class(kind)}>{text(content)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], marked: str = "") -> str:
    """A table that scrolls by itself on narrow screens; the first cell of a row is its name.

    Args:
        head: names of the columns.
        rows: cells of each row.
        marked: name of the row to set off from the others.
    """
    columns = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    body = "".join(
        f"<tr{_class('marked' if row[0] == marked else '')}>"
        f'<th scope="row">{text(row[0])}</th>{"".join(f"<td>{_strong(cell)}</td>" for cell in row[1:])}</tr>\n'
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def of_markdown(content: str, marked: str = "") -> str:
    """A Markdown table and the paragraphs around it, as `metarec table` prints them.

    Args:
        content: the Markdown: tables with a bar at both ends of each line, and plain paragraphs.
        marked: name of the row to set off.
    """
    blocks = [block.splitlines() for block in content.split("\n\n") if block.strip()]
    return "\n".join(
        _table(lines, marked) if lines[0].startswith("|") else paragraph(" ".join(lines)) for lines in blocks
    )


def _table(lines: Sequence[str], marked: str) -> str:
    """A block of lines with bars; the second one only says how columns are aligned."""
    cells = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]] for line in lines
    ]
    return table(cells[0], cells[2:], marked)


def _strong(content: object) -> str:
    """Content as text, what stands between two pairs of asterisks in bold, as in Markdown."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text(content))


def code(content: str) -> str:
    """Text that keeps its lines."""
    return f"<pre><code>{text(content.rstrip())}</code></pre>"


def details(summary: str, content: str) -> str:
    """HTML that is shown when its summary is clicked on; needs no script."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>"


def section(name: str, title: str, content: str) -> str:
    """A part of the page that links can point to."""
    return f'<section id="{text(name)}">\n<h2>{text(title)}</h2>\n{content}\n</section>'


def figure(svg: str, caption: str) -> str:
    """A picture within the page; as an image, so that ids of several pictures do not mix."""
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{text(caption)}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{text(caption)}</figcaption></figure>'


def listed(entries: Iterable[tuple[str, object]]) -> str:
    """Names and what they stand for."""
    return "<dl>\n" + "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>\n" for name, value in entries) + "</dl>"


def _class(kind: str) -> str:
    return f' class="{text(kind)}"' if kind else ""
