"""The file formats of MovieLens 100K and 1M."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from metarec.data.assembly import Side, assemble, listed
from metarec.data.fetch import Document
from metarec.data.ratings import FeatureTable, IntArray, Ratings, encode, encode_sets
from metarec.data.tables import Table, read_ratings, read_table

LAYOUT_100K = ("u.data", "u.user", "u.item")
LAYOUT_100K_ATOMIC = ("ml-100k.inter", "ml-100k.user", "ml-100k.item")
LAYOUT_1M = ("ratings.dat", "users.dat", "movies.dat")
ATOMIC_HEADERS = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float",
    "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
)
"""The first lines of the files of `LAYOUT_100K_ATOMIC`."""

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
    catalogue = films(item_file.name, item_ids, titles, years.where(years != "", released), genres)
    ratings = read_ratings(data, _RATING_COLUMNS, "\t", SCALE)
    return assemble("movielens-100k", source, ratings, data.digest, SCALE, listed(with_age_group(users)), catalogue)


def parse_100k_atomic(files: Sequence[Document], source: str) -> Ratings:
    """Read MovieLens 100K from the atomic files of RecBole (``LAYOUT_100K_ATOMIC``).

    They have a header and no release dates; the rest is as in the original, but for two rows, which are
    put right here: item 267 (``unkonwn``) and item 1412 (year ``V``).
    """
    (data, user_file, item_file), headers = files, ATOMIC_HEADERS
    users = read_table(user_file, ["id", "age", "gender", "occupation", "zip"], "\t", header=headers[1])
    item_table = read_table(item_file, ["id", "title", "year", "genres"], "\t", encoding="utf-8", header=headers[2])
    item_ids, items = item_table.by_id()
    titles, years = split_titles(items["title"].replace("unkonwn", "unknown"))
    years = items["year"].where(items["year"].str.fullmatch(r"\d{4}"), years)
    catalogue = films(item_file.name, item_ids, titles, years, [row.split(" ") for row in items["genres"]])
    ratings = read_ratings(data, _RATING_COLUMNS, "\t", SCALE, header=headers[0])
    digest = Document(data.name, data.data.partition(b"\n")[2]).digest  # that of u.data, which has no header
    return assemble("movielens-100k", source, ratings, digest, SCALE, listed(with_age_group(users)), catalogue)


def parse_1m(files: Sequence[Document], source: str) -> Ratings:
    """Read MovieLens 1M from its original files (``LAYOUT_1M``)."""
    data, user_file, item_file = files
    users = read_table(user_file, ["id", "gender", "age", "occupation", "zip"], "::")
    item_ids, items = read_table(item_file, ["id", "title", "genres"], "::").by_id()
    titles, years = split_titles(items["title"])
    catalogue = films(item_file.name, item_ids, titles, years, [row.split("|") for row in items["genres"]])
    ratings = read_ratings(data, _RATING_COLUMNS, "::", SCALE)
    return assemble("movielens-1m", source, ratings, data.digest, SCALE, listed(with_age_group(users)), catalogue)


def split_titles(titles: "pd.Series[str]") -> tuple["pd.Series[str]", "pd.Series[str]"]:
    """Split ``Toy Story (1995)`` into ``Toy Story`` and ``1995``; without a year, the second is ``""``."""
    parts = titles.str.extract(_TITLE)
    return parts["title"].fillna(titles.str.strip()), parts["year"].fillna("")


def films(
    file: str, ids: IntArray, titles: "pd.Series[str]", years: "pd.Series[str]", genres: Sequence[Sequence[str]]
) -> Side:
    """The films of a file as items with the attributes year and genre; words that stand for no genre are left out."""
    year, year_values = encode(list(years))
    genre, genre_values = encode_sets([[word for word in row if word not in NO_GENRE] for row in genres])
    features = FeatureTable({"year": year}, {"genre": genre}, {"year": year_values, "genre": genre_values})
    return Side(ids, features, list(titles), file)


def with_age_group(table: Table) -> Table:
    """Users with the bracket of their age as one more column; raises InputError on what is no age."""
    return dataclasses.replace(table, rows=table.rows.assign(age_group=_age_groups(table)))


def _age_groups(users: Table) -> list[str]:
    ages = users.rows["age"]
    users.require("age", ages.str.fullmatch(r"[0-9]{0,3}").to_numpy(dtype=bool), "is not an age in years")
    numbers = pd.to_numeric(ages).fillna(0).to_numpy(dtype=np.int64)
    bracket = np.maximum(np.searchsorted(AGE_GROUPS, numbers, side="right") - 1, 0)
    return [str(AGE_GROUPS[index]) if age else "" for index, age in zip(bracket, ages, strict=True)]
