"""Every source of ratings with a tiny fake in its real format: what the contract and the fuzzing are run over."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from metarec.data.own.attributes import FeatureFile
from metarec.data.ratings import Ratings
from metarec.data.sets import movielens_half_stars as half_stars
from metarec.data.sets.book_crossing import book_crossing, book_crossing_history
from metarec.data.sets.coat import coat
from metarec.data.sets.csv_file import csv_ratings
from metarec.data.sets.douban_book import douban_book
from metarec.data.sets.filmtrust import filmtrust
from metarec.data.sets.gowalla import gowalla
from metarec.data.sets.lastfm_2k import lastfm_2k
from metarec.data.sets.recbole import recbole_atomic
from metarec.data.sources import movielens_1m, movielens_100k
from tests.data import test_melu_side as melu
from tests.data import test_movielens as movielens
from tests.data.sets import test_book_crossing as crossing
from tests.data.sets import (
    test_coat,
    test_csv_file,
    test_douban_book,
    test_filmtrust,
    test_gowalla,
    test_lastfm_2k,
    test_recbole,
)
from tests.data.sets import test_movielens_half_stars as test_half_stars


class Source(NamedTuple):
    """A source.

    Attributes:
        command: its name for `metarec data`.
        read: reads a folder that holds the files.
        files: a good fake; the first file is that of the ratings.
        row: a further row of the ratings, in which `user`, `item`, `rating` and `time` stand in braces.
        good: what makes that row a good one.
        header: whether the ratings have a header.
        numbers: which of those are whole numbers.
        repeats: what becomes of a pair that comes again.
        encoding: of the ratings.
        twin: whether another source is read by the same code, and has the faults.
        packed: turns text into the bytes of the file; null: they are its characters.
    """

    command: str
    read: Callable[[str], Ratings]
    files: Mapping[str, bytes]
    row: str
    good: Mapping[str, str]
    header: bool = False
    numbers: tuple[str, ...] = ("user", "item", "time")
    repeats: str = "refused"
    encoding: str = "utf-8"
    packed: Callable[[str], bytes] | None = None
    twin: bool = False

    @property
    def file(self) -> str:
        """Name of the file of ratings."""
        return next(iter(self.files))

    @property
    def text(self) -> str:
        """The good ratings, without the further row."""
        return self.files[self.file].decode(self.encoding)

    def has(self, column: str) -> bool:
        """Whether rows have such a column."""
        return f"{{{column}}}" in self.row

    def read_text(self, folder: Path, text: str) -> Ratings:
        """Write the fake with that text for the ratings, and read it."""
        return self.read(self.write(folder, {self.file: self.of(text)}))

    def of(self, text: str) -> bytes:
        """The file of ratings with that text."""
        return self.packed(text) if self.packed else text.encode(self.encoding)

    def with_row(self, **changed: str) -> str:
        """The good ratings and the further row, in which something is changed."""
        return self.text + self.row.format(**{**self.good, **changed})

    def content(self, file: str) -> bytes:
        """A good file."""
        return self.of(self.text) if file == self.file else self.files[file]

    def write(self, folder: Path, changed: Mapping[str, bytes] | None = None) -> str:
        """Write the fake into a folder, with other bytes for some of the files."""
        for name in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((changed or {}).get(name, self.content(name)))
        return str(folder)


def _bytes(files: Mapping[str, str], encoding: str = "utf-8") -> dict[str, bytes]:
    return {name: text.encode(encoding) for name, text in files.items()}


def _without(files: Mapping[str, str], name: str) -> dict[str, bytes]:
    return _bytes({file: text for file, text in files.items() if file != name})


def _parquet(text: str) -> bytes:
    """A table of comma-separated text as Parquet, numbers as numbers where all of a column are."""
    content = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(content)
    return content.getvalue()


def _own(ending: str = "csv", **options: object) -> Callable[[str], Ratings]:
    """Reads own.csv, or own.parquet, with its files of attributes."""

    def read(folder: str) -> Ratings:
        path = Path(folder)
        users = FeatureFile(str(path / "users.csv"), categorical=["job"], numeric={"age": [18, 35]})
        items = FeatureFile(str(path / "items.csv"), multi_valued=["genre"], numeric={"year": 2}, title="name")
        return csv_ratings(str(path / f"own.{ending}"), time="time", users=users, items=items, **options)  # type: ignore[arg-type]

    return read


SIDES = {
    "users.csv": b'id,job,age\na,cook,31\nb,"baker, retired",\n',
    "items.csv": b"id,name,genre,year\nx1,Heat,Crime|Drama,1995\ny,Caf\xc3\xa9,,2001\n",
}
SEPARATED = {
    name: content.decode().replace('"baker, retired"', "baker").replace(",", "::").encode("latin-1")
    for name, content in SIDES.items()
}
OWN = {"user": "c", "item": "y", "rating": "2", "time": "40"}
FILMS = {"user": "4", "item": "7", "rating": "3.5", "time": "964982703"}
STARS = {"user": "2", "item": "2", "rating": "4", "time": "881250949"}


def _half_stars(size: str) -> Source:
    """MovieLens with half stars, between commas."""
    read = getattr(half_stars, f"movielens_{size.replace('-', '_')}")
    row = "{user},{item},{rating},{time}\n"
    name = f"movielens-{size}"
    return Source(
        name,
        lambda folder: read(folder, tags=2),
        _bytes(test_half_stars.CSV),
        row,
        FILMS,
        True,
        twin=size != "latest-small",
    )


def _atomic(folder: str) -> Ratings:
    users, items = ["age", "gender"], ["class"]
    return recbole_atomic(folder, name="toy", scale=(1, 5), title="name", user_attributes=users, item_attributes=items)


ORIGINAL = {"u.data": movielens.DATA, "u.user": movielens.USERS, "u.item": movielens.ITEMS}
MELU = {**_bytes(melu.ML_1M, "latin-1"), "melu_side/movies_extrainfos.dat": melu.SIDE.encode()}
DOUBAN = {"user_book.dat": "8\t21\t4\n5\t21\t5\n", **test_douban_book.FAKE}
BETWEEN_TABS = "{user}\t{item}\t{rating}\n"
WITH_TIMES = "{user}\t{item}\t{rating}\t{time}\n"
IN_1M = "{user}::{item}::{rating}::{time}\n"
IN_CSV = "{user},{item},{rating},{time}\n"
SOURCES = {
    "100k": Source("movielens-100k", movielens_100k, _bytes(ORIGINAL, "latin-1"), WITH_TIMES, STARS),
    "100k-atomic": Source("movielens-100k", movielens_100k, _bytes(movielens.ATOMIC), WITH_TIMES, STARS, True),
    "1m": Source("movielens-1m", movielens_1m, _bytes(movielens.ML_1M, "latin-1"), IN_1M, {**STARS, "item": "3"}),
    "1m-melu": Source(
        "movielens-1m",
        lambda folder: movielens_1m(folder, side=f"{folder}/melu_side"),
        MELU,
        IN_1M,
        {**STARS, "item": "3"},
    ),
    **{size: _half_stars(size) for size in ("latest-small", "20m", "25m", "32m")},
    "10m": Source(
        "movielens-10m",
        lambda folder: half_stars.movielens_10m(folder, tags=2),
        _bytes(test_half_stars.DAT),
        IN_1M,
        FILMS,
    ),
    "filmtrust": Source(
        "filmtrust",
        filmtrust,
        {"ratings.txt": test_filmtrust.FAKE.encode()},
        "{user} {item} {rating}\n",
        {"user": "3", "item": "1", "rating": "2.5"},
        repeats="last",
    ),
    "coat": Source("coat", coat, _bytes(test_coat.FAKE), "", {}, repeats="impossible"),
    "book-crossing": Source(
        "book-crossing",
        book_crossing,
        _without(crossing.FAKE, "book_history.dat"),
        BETWEEN_TABS,
        {**STARS, "user": "3", "item": "4"},
        True,
    ),
    "book-crossing-history": Source(
        "book-crossing-history",
        book_crossing_history,
        {"book_history.dat": b"", **_without(crossing.FAKE, "book_ratings.dat")},
        BETWEEN_TABS,
        {"user": "3", "item": "4", "rating": "1"},
        True,
    ),
    "douban-book": Source(
        "douban-book",
        douban_book,
        _bytes(test_douban_book.FAKE),
        "{user},{item},{rating},warm_up\n",
        {"user": "5", "item": "30", "rating": "4"},
        True,
    ),
    "douban-book-original": Source(
        "douban-book",
        douban_book,
        _without(DOUBAN, "ratings.csv"),
        BETWEEN_TABS,
        {"user": "5", "item": "30", "rating": "4"},
    ),
    "lastfm-2k": Source(
        "lastfm-2k",
        lambda folder: lastfm_2k(folder, tags=2),
        _bytes(test_lastfm_2k.FAKE),
        BETWEEN_TABS,
        {"user": "7", "item": "52", "rating": "3"},
        True,
    ),
    "gowalla": Source("gowalla", gowalla, _bytes(test_gowalla.FAKE), "{user} {item}\n", {"user": "2", "item": "5"}),
    "recbole-atomic": Source(
        "recbole-atomic",
        _atomic,
        {f"toy.{kind}": text.encode() for kind, text in test_recbole.FAKE.items()},
        WITH_TIMES,
        OWN,
        True,
        ("time",),
        "last",
    ),
    "csv": Source(
        "csv",
        _own(scale=(1, 5)),
        {"own.csv": test_csv_file.FILE.encode(), **SIDES},
        IN_CSV,
        OWN,
        True,
        ("time",),
        "last",
    ),
    "csv-separated": Source(
        "csv",
        _own(scale=(1, 5), separator="::", encoding="latin-1", columns=["user", "item", "rating", "time"]),
        {"own.csv": b"b::x9::3::20\na::x1::5::30\nb::y::1.5::10\n", **SEPARATED},
        IN_1M,
        OWN,
        False,
        ("time",),
        "last",
        "latin-1",
    ),
    "parquet": Source(
        "csv",
        _own("parquet", scale=(1, 5)),
        {"own.parquet": test_csv_file.FILE.encode(), **SIDES},
        IN_CSV,
        OWN,
        True,
        ("time",),
        "last",
        packed=_parquet,
    ),
}
"""All sources, by a name of their own."""
