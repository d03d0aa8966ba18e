"""The bytes of text files as lines, before anything is made of them: what is no text is refused here."""

from collections.abc import Iterator
from typing import NamedTuple

from metarec.data.fetch import Document
from metarec.errors import InputError

PIECE = 16 * 2**20
"""Bytes of a ratings file that are text in memory at a time; the rest is numbers already, or still to come."""

LONGEST_LINE = 2**20
"""Bytes; a line of a text file that is longer is none."""


class Content(NamedTuple):
    """The lines of a file.

    Attributes:
        data: the lines behind the header, each with LF at its end.
        encoding: of them.
        first_line: number of the first one.
    """

    data: bytes
    encoding: str
    first_line: int


def content(document: Document, encoding: str, header: str | None) -> Content:
    """The lines of a file behind its header; a byte order mark makes it UTF-8, and lines may end with CR LF.

    Raises:
        InputError: the file is empty, cut off or no text, a line is too long, or the header is another one.
    """
    data, first_line = document.data, 1
    if data.startswith(b"\xef\xbb\xbf"):
        data, encoding = data[3:], "utf-8"
    data = data.replace(b"\r\n", b"\n")
    require_text(document.name, data, encoding)
    if header is not None and data:
        found, _, data = data.partition(b"\n")
        if found.rstrip() != header.encode():
            start = found[:80].decode("latin-1")
            cure = f"the first line must be {header!r}; get the data set as published"
            raise InputError(f"{document.name}:1: {start!r} is another header; {cure}")
        first_line = 2
    if not data.strip():
        raise InputError(f"{document.name} is empty; get a whole copy")
    if not data.endswith(b"\n"):
        line = data.count(b"\n") + first_line
        cure = "get a whole copy (or add a line break if nothing is missing)"
        raise InputError(f"{document.name}:{line}: the file ends in the middle of this line; {cure}")
    return Content(data.rstrip(b"\n") + b"\n" if data.endswith(b"\n\n") else data, encoding, first_line)


def words(document: Document) -> list[str]:
    """The lines of a file without blanks around them, those that are empty left out; the last needs no line break.

    Raises:
        InputError: as `content`.
    """
    data, encoding, first_line = content(Document(document.name, document.data + b"\n"), "latin-1", None)
    lines = (line.strip() for line in decoded(document.name, data, encoding, first_line).split("\n"))
    return [line for line in lines if line]


def decoded(name: str, data: bytes, encoding: str, first_line: int) -> str:
    """Bytes as text; raises InputError that names the line where they are none."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first_line
        raise InputError(f"{name}:{line}: not {encoding}; convert the file to {encoding}") from error


def in_pieces(data: bytes) -> Iterator[bytes]:
    """The lines in pieces of about `PIECE` bytes, none of them divided."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start + PIECE) + 1 or len(data)
        yield data[start:stop]
        start = stop


def require_short(name: str, data: bytes, first_line: int = 1) -> None:
    """Raise an InputError that names the first line of more than `LONGEST_LINE` bytes."""
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            line = data.count(b"\n", 0, start) + first_line
            size = f"more than {LONGEST_LINE / 2**20:g} MB"
            raise InputError(f"{name}:{line}: this line has {size}; correct or remove the line, or get a whole copy")
        start = end + 1


def require_text(name: str, data: bytes, encoding: str) -> None:
    """Raise an InputError that names the line where bytes are no text, have no line ends but CR, or none for long."""
    if b"\0" in data:
        line = data.count(b"\n", 0, data.find(b"\0")) + 1
        raise InputError(
            f"{name}:{line}: a zero byte, so this is no text in {encoding}; convert it or get another copy"
        )
    if b"\r" in data and b"\n" not in data.strip():
        raise InputError(f"{name}:1: lines end with CR alone; convert them to end with LF")
    require_short(name, data)
