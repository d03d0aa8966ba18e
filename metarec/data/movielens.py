"""The file formats of MovieLens 100K and 1M, read strictly: a line that does not fit is named in an error."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metarec.data.fetch import Document
from metarec.data.ratings import BoolArray, FeatureTable, IntArray, Ratings, encode, encode_sets
from metarec.errors import InputError

LAYOUT_100K = ("u.data", "u.user", "u.item")
LAYOUT_100K_ATOMIC = ("ml-100k.inter", "ml-100k.user", "ml-100k.item")
LAYOUT_1M = ("ratings.dat", "users.dat", "movies.dat")

SCALE = (1.0, 5.0)
AGE_GROUPS = (1, 18, 25, 35, 45, 50, 56)
"""The youngest age of each bracket of MovieLens 1M."""

NO_GENRE = frozenset({"", "unknown", "(no genres listed)"})
# fmt: off
GENRES_100K = [
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical",
    "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
]
# fmt: on
"""What the 19 flags of ``u.item`` stand for, in order."""

_RATING_COLUMNS = ["user", "item", "rating", "time"]
_TITLE = r"^(?P<title>.*?)\s*\((?P<year>\d{4})\)\s*(?:\((?:V|TV)\))?\s*$"  # (V): published on video only
_NAMES = {"\t": "tabs", "|": "|", "::": "::"}


@dataclass(frozen=True)
class Table:
    """A text file as columns of strings, which knows where each row stands.

    Attributes:
        name: the file, for messages.
        first_line: number of the line that holds row 0.
        rows: one string column an attribute.
    """

    name: str
    first_line: int
    rows: pd.DataFrame

    def require(self, column: str, good: BoolArray, fault: str) -> None:
        """Raise an InputError that names the first row that is not good, what stands there, and the fault."""
        if good.all():
            return
        row = int(np.argmin(good))
        value = str(self.rows[column].iloc[row])[:40]
        others = len(good) - int(good.sum()) - 1
        more = f" (and {others} more lines)" if others else ""
        line = row + self.first_line
        raise InputError(f"{self.name}:{line}: {column} {value!r} {fault}{more}; correct or remove the line")

    def integers(self, column: str) -> IntArray:
        """A column as whole numbers, shape (rows,); raises InputError if one is not."""
        strings = self.rows[column]
        self.require(column, strings.str.fullmatch(r"-?[0-9]{1,18}").to_numpy(dtype=bool), "is not a whole number")
        return np.asarray(strings.astype("int64"), dtype=np.int64)

    def by_id(self) -> tuple[IntArray, pd.DataFrame]:
        """The ids in growing order, and the rows in that order; raises InputError on an id listed twice."""
        ids = self.integers("id")
        self.require("id", ~pd.Series(ids).duplicated().to_numpy(dtype=bool), "is listed twice")
        order = np.argsort(ids)
        return ids[order], self.rows.iloc[order].reset_index(drop=True)


def parse_100k(files: Sequence[Document], source: str) -> Ratings:
    """Read MovieLens 100K from its original files (``LAYOUT_100K``)."""
    data, user_file, item_file = files
    users = read_table(user_file, ["id", "age", "gender", "occupation", "zip"], "|")
    columns = ["id", "title", "release", "video release", "address", *GENRES_100K]
    item_table = read_table(item_file, columns, "|")
    for genre in GENRES_100K:
        item_table.require(genre, item_table.rows[genre].isin(["0", "1"]).to_numpy(dtype=bool), "is not 0 or 1")
    item_ids, items = item_table.by_id()
    titles, years = split_titles(items["title"])
    released = items["release"].str.extract(r"(\d{4})$")[0].fillna("")
    flags = items[GENRES_100K].to_numpy() == "1"
    genres = [[genre for genre, flag in zip(GENRES_100K, row, strict=True) if flag] for row in flags]
    catalogue = _Catalogue(item_ids, titles, years.where(years != "", released), genres)
    return _assemble("movielens-100k", source, read_table(data, _RATING_COLUMNS, "\t"), data.digest, users, catalogue)


def parse_100k_atomic(files: Sequence[Document], source: str) -> Ratings:
    """Read MovieLens 100K from the atomic files of RecBole (``LAYOUT_100K_ATOMIC``).

    They have a header line and no release dates; the rest is as in the original, but for two rows, which are
    put right here: item 267 (``unkonwn``) and item 1412 (year ``V``).
    """
    data, user_file, item_file = (_without_header(document) for document in files)
    users = read_table(user_file, ["id", "age", "gender", "occupation", "zip"], "\t", first_line=2)
    item_table = read_table(item_file, ["id", "title", "year", "genres"], "\t", first_line=2, encoding="utf-8")
    item_ids, items = item_table.by_id()
    titles, years = split_titles(items["title"].replace("unkonwn", "unknown"))
    years = items["year"].where(items["year"].str.fullmatch(r"\d{4}"), years)
    catalogue = _Catalogue(item_ids, titles, years, [row.split(" ") for row in items["genres"]])
    ratings = read_table(data, _RATING_COLUMNS, "\t", first_line=2)
    return _assemble("movielens-100k", source, ratings, data.digest, users, catalogue)


def parse_1m(files: Sequence[Document], source: str) -> Ratings:
    """Read MovieLens 1M from its original files (``LAYOUT_1M``)."""
    data, user_file, item_file = files
    users = read_table(user_file, ["id", "gender", "age", "occupation", "zip"], "::")
    item_ids, items = read_table(item_file, ["id", "title", "genres"], "::").by_id()
    titles, years = split_titles(items["title"])
    catalogue = _Catalogue(item_ids, titles, years, [row.split("|") for row in items["genres"]])
    return _assemble("movielens-1m", source, read_table(data, _RATING_COLUMNS, "::"), data.digest, users, catalogue)


def read_table(
    document: Document, columns: Sequence[str], separator: str, first_line: int = 1, encoding: str = "latin-1"
) -> Table:
    """Read a text file into columns of strings.

    Args:
        document: the file; a byte order mark makes it UTF-8, and lines may end with CR LF.
        columns: what each column holds.
        separator: what stands between columns.
        first_line: number of the document's first line in the file it comes from.
        encoding: of a file without a byte order mark.

    Returns:
        The table, with at least one row.

    Raises:
        InputError: the file is empty, cut off, not text, or a line has another number of columns.
    """
    data = document.data
    if data.startswith(b"\xef\xbb\xbf"):
        data, encoding = data[3:], "utf-8"
    data = data.replace(b"\r\n", b"\n")
    if not data.strip():
        raise InputError(f"{document.name} is empty; get a whole copy")
    if b"\0" in data:
        raise InputError(f"{document.name} is not a text file in {encoding}; convert it or get another copy")
    if not data.endswith(b"\n"):
        line = data.count(b"\n") + first_line
        cure = "get a whole copy (or add a line break if nothing is missing)"
        raise InputError(f"{document.name}:{line}: the file ends in the middle of this line; {cure}")
    data = data.rstrip(b"\n").replace(separator.encode(), b"\x1f") + b"\n"
    _check_columns(document.name, data, len(columns), separator, first_line)
    try:
        text = io.StringIO(data.decode(encoding), newline="")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first_line
        raise InputError(f"{document.name}:{line}: not {encoding}; convert the file to {encoding}") from error
    rows = pd.read_csv(
        text, sep="\x1f", names=list(columns), dtype=str, quoting=3, na_filter=False, lineterminator="\n"
    )
    return Table(document.name, first_line, rows)


def split_titles(titles: "pd.Series[str]") -> tuple["pd.Series[str]", "pd.Series[str]"]:
    """Split ``Toy Story (1995)`` into ``Toy Story`` and ``1995``; without a year, the second is ``""``."""
    parts = titles.str.extract(_TITLE)
    return parts["title"].fillna(titles.str.strip()), parts["year"].fillna("")


@dataclass(frozen=True)
class _Catalogue:
    ids: IntArray
    titles: "pd.Series[str]"
    years: "pd.Series[str]"
    genres: Sequence[Sequence[str]]

    def features(self) -> FeatureTable:
        years, year_values = encode(list(self.years))
        genres, genre_values = encode_sets([[genre for genre in row if genre not in NO_GENRE] for row in self.genres])
        return FeatureTable({"year": years}, {"genre": genres}, {"year": year_values, "genre": genre_values})


def _assemble(name: str, source: str, ratings: Table, digest: str, users: Table, catalogue: _Catalogue) -> Ratings:
    groups = _age_groups(users)
    user_ids, user_rows = Table(users.name, users.first_line, users.rows.assign(age_group=groups)).by_id()
    coded = {column: encode(list(user_rows[column])) for column in user_rows.columns if column != "id"}
    user = _rows_of(ratings, "user", user_ids)
    item = _rows_of(ratings, "item", catalogue.ids)
    _refuse_duplicates(ratings, user * (len(catalogue.ids) + 1) + item)
    return Ratings(
        name=name,
        source=source,
        user=user,
        item=item,
        rating=_stars(ratings).astype(np.float32),
        time=ratings.integers("time"),
        scale=SCALE,
        user_ids=("", *map(str, user_ids)),
        item_ids=("", *map(str, catalogue.ids)),
        item_titles=("", *catalogue.titles),
        user_features=FeatureTable(
            categorical={column: codes for column, (codes, _) in coded.items()},
            values={column: values for column, (_, values) in coded.items()},
        ),
        item_features=catalogue.features(),
        digest=digest,
    )


def _stars(table: Table) -> np.typing.NDArray[np.float64]:
    stars: np.typing.NDArray[np.float64] = pd.to_numeric(table.rows["rating"], errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    good = (stars >= SCALE[0]) & (stars <= SCALE[1]) & (stars == np.round(stars))
    table.require("rating", good, "is not a whole number from 1 to 5")
    return stars


def _age_groups(users: Table) -> list[str]:
    ages = users.rows["age"]
    users.require("age", ages.str.fullmatch(r"[0-9]{0,3}").to_numpy(dtype=bool), "is not an age in years")
    numbers = pd.to_numeric(ages).fillna(0).to_numpy(dtype=np.int64)
    bracket = np.maximum(np.searchsorted(AGE_GROUPS, numbers, side="right") - 1, 0)
    return [str(AGE_GROUPS[index]) if age else "" for index, age in zip(bracket, ages, strict=True)]


def _rows_of(table: Table, column: str, ids: IntArray) -> IntArray:
    """The 1-based place in ``ids`` of every id in a column, shape (rows,)."""
    wanted = table.integers(column)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    table.require(column, ids[place] == wanted, f"is not in the file of {column}s")
    return (place + 1).astype(np.int64)


def _refuse_duplicates(table: Table, pairs: IntArray) -> None:
    again = pd.Series(pairs).duplicated().to_numpy(dtype=bool)
    if again.any():
        second = int(np.argmax(again))
        line = int(np.argmax(pairs == pairs[second])) + table.first_line
        item = table.rows["item"].iloc[second]
        table.require("user", ~again, f"rates item {item} again after line {line}")


def _check_columns(name: str, data: bytes, wanted: int, separator: str, first_line: int) -> None:
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    columns = np.diff(np.searchsorted(np.flatnonzero(text == 0x1F), ends), prepend=0) + 1
    wrong = np.flatnonzero(columns != wanted)
    if len(wrong):
        line, found = wrong[0] + first_line, columns[wrong[0]]
        what = f"{found} column{'s' if found > 1 else ''} instead of {wanted} separated by {_NAMES[separator]}"
        raise InputError(f"{name}:{line}: {what}; correct or remove the line")


def _without_header(document: Document) -> Document:
    return Document(document.name, document.data.partition(b"\n")[2])
