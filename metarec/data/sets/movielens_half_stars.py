"""The MovieLens data sets with half stars: latest-small, 10M, 20M, 25M and 32M. They have no attributes of users."""

import dataclasses

from metarec.data.assembly import Side, assemble, rated, with_tags
from metarec.data.fetch import LARGEST_RATINGS, Document, read_files
from metarec.data.movielens import films, split_titles
from metarec.data.ratings import Ratings, derived
from metarec.data.tables import Table, read_quoted, read_ratings, read_table
from metarec.data.terms import locate
from metarec.errors import at_least

SCALE = (0.5, 5.0)
_COLUMNS = ["user", "item", "rating", "time"]
_TAG_COLUMNS = ["user", "item", "tag", "time"]


def movielens_latest_small(path: str | None = None, tags: int = 0) -> Ratings:
    """MovieLens latest-small: 100,836 ratings of 9,724 films (9,742 are listed) by 610 users, 1996 to 2018.

    It is made for development and may change; results on it are not to be shared. Harper and Konstan, ACM TiiS 5(4),
    2015. Terms of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder with ratings.csv and movies.csv, or ml-latest-small.zip.
        tags: how many of the most given tags become an attribute; 0: none. With more, tags.csv must be there. Those
            count that training users gave to films they rated in training, see `metarec.data.tags`.

    Returns:
        The ratings, 0.5 to 5 in steps of 0.5, with times in seconds. Item attributes: year, genre; tag if asked for,
        and then the digest stands for the tags too.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    return _from_csv("movielens-latest-small", path, tags)


def movielens_10m(path: str | None = None, tags: int = 0) -> Ratings:
    """MovieLens 10M: 10,000,054 ratings of films, of which 10,681 are listed, by 69,878 users, 1995 to 2009.

    Its files have `::` between columns. See `movielens_latest_small` for what else there is to know.

    Args:
        path: folder with ratings.dat and movies.dat, or ml-10m.zip.
        tags: how many of the most given tags become an attribute; with more than 0, tags.dat must be there.

    Returns:
        The ratings, as those of `movielens_latest_small`.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    source, [data, film_file, *rest] = _files("movielens-10m", path, tags, ("ratings.dat", "movies.dat", "tags.dat"))
    ratings = read_ratings(data, _COLUMNS, "::", SCALE, 0.5)
    items = _films(read_table(film_file, ["id", "title", "genres"], "::", encoding="utf-8"))
    found = assemble("movielens-10m", source, ratings, data.digest, SCALE, rated(ratings, "user"), items)
    for file in rest:
        found = with_tags(found, read_table(file, _TAG_COLUMNS, "::", encoding="utf-8"), tags)
        found = dataclasses.replace(found, digest=derived(found.digest, "tags", tags, file.digest))
    return found


def movielens_20m(path: str | None = None, tags: int = 0) -> Ratings:
    """MovieLens 20M: 20,000,263 ratings of films, of which 27,278 are listed, by 138,493 users, 1995 to 2015.

    See `movielens_latest_small` for what else there is to know. It takes some 3 GB of memory to read.

    Args:
        path: folder with ratings.csv and movies.csv, or ml-20m.zip.
        tags: how many of the most given tags become an attribute; with more than 0, tags.csv must be there.

    Returns:
        The ratings, as those of `movielens_latest_small`.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    return _from_csv("movielens-20m", path, tags)


def movielens_25m(path: str | None = None, tags: int = 0) -> Ratings:
    """MovieLens 25M: 25,000,095 ratings of films, of which 62,423 are listed, by 162,541 users, 1995 to 2019.

    See `movielens_latest_small` for what else there is to know. It takes some 3 GB of memory to read.

    Args:
        path: folder with ratings.csv and movies.csv, or ml-25m.zip.
        tags: how many of the most given tags become an attribute; with more than 0, tags.csv must be there.

    Returns:
        The ratings, as those of `movielens_latest_small`.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    return _from_csv("movielens-25m", path, tags)


def movielens_32m(path: str | None = None, tags: int = 0) -> Ratings:
    """MovieLens 32M: 32,000,204 ratings of films, of which 87,585 are listed, by 200,948 users, 1995 to 2023.

    See `movielens_latest_small` for what else there is to know. It takes some 4 GB of memory to read.

    Args:
        path: folder with ratings.csv and movies.csv, or ml-32m.zip.
        tags: how many of the most given tags become an attribute; with more than 0, tags.csv must be there.

    Returns:
        The ratings, as those of `movielens_latest_small`.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    return _from_csv("movielens-32m", path, tags)


def _from_csv(name: str, path: str | None, tags: int) -> Ratings:
    source, [data, film_file, *rest] = _files(name, path, tags, ("ratings.csv", "movies.csv", "tags.csv"))
    ratings = read_ratings(data, _COLUMNS, ",", SCALE, 0.5, header="userId,movieId,rating,timestamp")
    items = _films(read_quoted(film_file, ["id", "title", "genres"], "movieId,title,genres"))
    found = assemble(name, source, ratings, data.digest, SCALE, rated(ratings, "user"), items)
    for file in rest:
        found = with_tags(found, read_quoted(file, _TAG_COLUMNS, "userId,movieId,tag,timestamp"), tags)
        found = dataclasses.replace(found, digest=derived(found.digest, "tags", tags, file.digest))
    return found


def _files(name: str, path: str | None, tags: int, layout: tuple[str, ...]) -> tuple[str, tuple[Document, ...]]:
    """Which source there is, and the files; without tags, not the last one."""
    at_least(0, tags=tags)
    where, source = locate(name, path)
    return source, read_files(where, (layout if tags else layout[:-1],), LARGEST_RATINGS)


def _films(table: Table) -> Side:
    ids, rows = table.by_id()
    return films(table.name, ids, *split_titles(rows["title"]), [row.split("|") for row in rows["genres"]])
