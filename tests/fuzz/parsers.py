"""Everything that reads what people write, and what must come of any bytes at all: content, or one line."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metarec.data.fetch import read_files
from metarec.data.ratings import FoundScale, Ratings
from metarec.errors import InputError
from metarec.files import read_yaml
from tests.data.sets.all_sources import SOURCES
from tests.data.test_archive import packed

SECONDS = 10
"""How long a few hundred bytes may be read."""

LONGEST = 1000
"""Characters of a refusal."""


class Parser(NamedTuple):
    """Something that reads files.

    Attributes:
        read: reads a folder that holds the files.
        files: good ones.
    """

    read: Callable[[str], object]
    files: Mapping[str, bytes]


LAYER = b"""seed: [0, 1]
layers: &layers [configs/base.yaml, configs/data/csv.yaml]
methods:
  maml: {layers: *layers, options: {inner_lr: 0.4, steps: 8, first: 2024-05-01, note: "caf\xc3\xa9"}}
  bias: null
"""


def _archive(folder: str) -> object:
    return read_files(Path(folder) / "x.zip", (("a1", "a2"),))


def _layer(folder: str) -> object:
    return read_yaml(Path(folder) / "layer.yaml", "methods")


def _zipped(folder: Path) -> bytes:
    """An archive of two files, made in a folder."""
    return packed(folder, ("deep/a1", b"1,2\n" * 9), ("deep/a2", b"3")).read_bytes()


def parsers(scratch: Path) -> dict[str, Parser]:
    """All of them by name; `scratch` is a folder for what is made once."""
    found = {
        name: Parser(source.read, {file: source.content(file) for file in source.files})
        for name, source in SOURCES.items()
        if not source.twin
    }
    found["yaml"] = Parser(_layer, {"layer.yaml": LAYER})
    found["archive"] = Parser(_archive, {"x.zip": _zipped(scratch)})
    return found


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail where the block hangs; in the main thread only."""

    def stop(*_: object) -> None:
        raise AssertionError(f"hangs for {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(parser: Parser, folder: Path, file: str, content: bytes) -> bool:
    """Read a folder in which one file is another; whether it was read.

    Raises:
        AssertionError: it was not read within `SECONDS`, the refusal is no line, or what was read is no data set.
    """
    for name, good in parser.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if name == file else good)
    try:
        with within(SECONDS):
            found = parser.read(str(folder))
    except InputError as error:
        return _is_line(str(error))
    if isinstance(found, Ratings):
        require_sound(found)
    return True


def _is_line(text: str) -> bool:
    """False, as nothing was read; fails where a refusal is no line."""
    assert text.isprintable(), repr(text)
    assert 0 < len(text) < LONGEST, text
    return False


def require_sound(ratings: Ratings) -> None:
    """Fail where ratings are none: something is empty, not finite, off the scale, or points nowhere."""
    assert len(ratings) > 0
    assert np.isfinite(ratings.rating).all()
    if not isinstance(ratings.scale, FoundScale):
        assert ((ratings.rating >= ratings.scale[0]) & (ratings.rating <= ratings.scale[1])).all()
    for row, ids in ((ratings.user, ratings.user_ids), (ratings.item, ratings.item_ids)):
        assert row.min() >= 1
        assert row.max() < len(ids)
        assert len(set(ids)) == len(ids)
    assert len(ratings.item_titles) == len(ratings.item_ids)
    pairs = ratings.user * len(ratings.item_ids) + ratings.item
    assert len(np.unique(pairs)) == len(pairs)
    for table, ids in ((ratings.user_features, ratings.user_ids), (ratings.item_features, ratings.item_ids)):
        for name, codes in {**table.categorical, **table.lists}.items():
            assert len(codes) == len(ids)
            assert codes.min() >= 0
            assert codes.max() < len(table.values[name])
        assert all(len(matrix) == len(ids) for matrix in table.multi_hot.values())
    ratings.settled(np.arange(len(ratings)))
