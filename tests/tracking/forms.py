"""Every form in which a secret may lie in a file: as it is, packed, or in another alphabet."""

import base64
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from metarec.tracking.offline import records

DEEPEST = 4
"""Archives in archives that are opened."""


def forms(word: bytes) -> list[bytes]:
    """The word; in hexadecimal, in base64 at each of its three places, backwards, and as UTF-16."""
    found = [word, word.hex().encode(), word.hex().upper().encode(), word[::-1], word.decode().encode("utf-16-le")]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + word + b"\0" * 3)
        found.append(whole[-(-before * 8 // 6) : (before + len(word)) * 8 // 6])
    return found


def unpacked(content: bytes, depth: int = DEEPEST) -> Iterator[bytes]:
    """A file's content, and what is packed in it by zip, gzip or zlib."""
    yield content
    if depth == 0:
        return
    inner: list[bytes] = []
    with suppress(zipfile.BadZipFile, RuntimeError, EOFError):
        archive = zipfile.ZipFile(io.BytesIO(content))
        inner += [archive.read(name) for name in archive.namelist()]
    if content[:2] == b"\x1f\x8b":
        inner.append(gzip.decompress(content))
    elif content[:1] == b"x":
        with suppress(zlib.error):
            inner.append(zlib.decompress(content))
    for one in inner:
        yield from unpacked(one, depth - 1)


def read_all(path: Path) -> bytes:
    """Everything in a file: its bytes, what is packed in it, W&B's records, Parquet's cells and notes; and its name."""
    parts = [str(path.name).encode(), *unpacked(path.read_bytes())]
    if path.suffix == ".wandb":
        parts += [record.SerializeToString() for record in records(path)]
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        parts += [table.to_csv().encode(), repr(table.attrs).encode()]
    return b"\n".join(parts)


def holding(word: bytes, content: bytes) -> list[bytes]:
    """The forms of a word that are in some content."""
    return [form for form in forms(word) if form in content]
