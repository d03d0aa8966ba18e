"""What the authors of MeLU publish about the films of MovieLens 1M: MPAA rate, genres, directors, actors."""

import dataclasses
import re

import pandas as pd

from metarec.data.fetch import Document
from metarec.data.ratings import FeatureTable, Ratings, encode, encode_lists, encode_sets
from metarec.data.tables import Table, read_table

LAYOUT_SIDE = ("movies_extrainfos.dat",)
"""The file, as the paper's code has it."""

COLUMNS = [
    "id", "title", "year", "mpaa", "released", "genres", "directors", "writers", "actors", "plot", "poster"
]  # fmt: skip
"""What its columns hold; it has no header."""

_NOTE = re.compile(r"\([^()]*\)")


def with_melu_side(ratings: Ratings, document: Document) -> Ratings:
    """Add the attributes that MeLU reads (Lee et al., KDD 2019, arXiv 1908.00413) to those of MovieLens 1M.

    As in the paper's code, ``N/A`` among genres, directors and actors is a value of its own, notes such as
    ``(co-director)`` are cut off directors, and zip codes have five characters. A film that the file does not list has
    no values.

    Args:
        ratings: MovieLens 1M.
        document: ``movies_extrainfos.dat``, UTF-8, a film a line, with the columns `COLUMNS` separated by ``::``; what
            has several values separates them by a comma and a space.

    Returns:
        The same ratings, with the same digest and all attributes they have. Items also get mpaa (categorical),
        imdb_genre (multi-hot), director and actor (lists); users get zip5.

    Raises:
        InputError: the file is damaged, a film is listed twice, or it is none of the data set's.
    """
    table = read_table(document, COLUMNS, "::", encoding="utf-8")
    films = _films(table, ratings.item_ids)
    return dataclasses.replace(
        ratings,
        source=f"{ratings.source}; films of {document.name}",
        user_features=_with_short_zip(ratings.user_features),
        item_features=_with_films(ratings.item_features, films),
    )


def _films(table: Table, item_ids: tuple[str, ...]) -> pd.DataFrame:
    """The rows of the file in the order of the items, without the unknown one; empty strings where there is none."""
    listed = pd.Series(table.integers("id")).astype(str).isin(item_ids)
    table.require("id", listed.to_numpy(dtype=bool), "is no film of the data set")
    ids, films = table.by_id()
    return films.set_axis(ids.astype(str), axis=0).reindex(item_ids[1:], fill_value="")


def _with_films(features: FeatureTable, films: pd.DataFrame) -> FeatureTable:
    mpaa, rates = encode(list(films["mpaa"]))
    genre, genres = encode_sets(_several(films["genres"]))
    director, directors = encode_lists(_several(films["directors"]))
    actor, actors = encode_lists(_several(films["actors"]))
    return dataclasses.replace(
        features,
        categorical={**features.categorical, "mpaa": mpaa},
        multi_hot={**features.multi_hot, "imdb_genre": genre},
        lists={**features.lists, "director": director, "actor": actor},
        values={**features.values, "mpaa": rates, "imdb_genre": genres, "director": directors, "actor": actors},
    )


def _several(cells: "pd.Series[str]") -> list[list[str]]:
    """The values of each cell, without notes in brackets."""
    split = [[_NOTE.sub("", value).strip() for value in cell.split(", ")] for cell in cells]
    return [[value for value in row if value] for row in split]


def _with_short_zip(features: FeatureTable) -> FeatureTable:
    zips = [features.values["zip"][code][:5] for code in features.categorical["zip"][1:]]
    codes, values = encode(zips)
    return dataclasses.replace(
        features,
        categorical={**features.categorical, "zip5": codes},
        values={**features.values, "zip5": values},
    )
