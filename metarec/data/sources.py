"""Data sets, one plain function each; a configuration names the function by its import path."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metarec.data.fetch import Archive, Download, Package, read_files
from metarec.data.melu_side import LAYOUT_SIDE, with_melu_side
from metarec.data.movielens import (
    LAYOUT_1M,
    LAYOUT_100K,
    LAYOUT_100K_ATOMIC,
    parse_1m,
    parse_100k,
    parse_100k_atomic,
)
from metarec.data.ratings import CLICKS, IntArray, Ratings, derived
from metarec.data.terms import locate
from metarec.errors import InputError

RATINGS_100K = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
"""SHA-256 of ``u.data``, whichever source it comes from."""

ARCHIVES_100K: tuple[Archive, ...] = (
    Package(
        name="recbole",
        version="1.2.1",
        file="recbole-1.2.1-py3-none-any.whl",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    ),
    Download(
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
)
ARCHIVES_1M: tuple[Archive, ...] = (
    Download(
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
)


def movielens_100k(path: str | None = None, cache: str | None = None) -> Ratings:
    """MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, with times in seconds.

    Without a path the set is taken from the cache, else from the PyPI package that contains it, else from
    GroupLens' own archive; both are pinned by SHA-256. See `metarec.data.terms.TERMS` for the terms of use.

    Args:
        path: folder with u.data, u.user and u.item, or ml-100k.zip, or the wheel recbole-1.2.1.
        cache: folder for fetched files; the default is METAREC_CACHE or the system's cache folder.

    Returns:
        The ratings. User attributes: age, age_group (the brackets of MovieLens 1M), gender, occupation, zip.
        Item attributes: year and genre (18 genres; a film without one has a row of zeros).

    Raises:
        InputError: no source serves the set, or a file has a fault.
    """
    where, source = locate("movielens-100k", path, ARCHIVES_100K, cache)
    files = read_files(where, (LAYOUT_100K, LAYOUT_100K_ATOMIC))
    original = files[0].name.endswith(LAYOUT_100K[0])
    ratings = (parse_100k if original else parse_100k_atomic)(files, source)
    if path is None and ratings.digest != RATINGS_100K:
        raise InputError(f"{files[0].name} is not the known one (SHA-256 {ratings.digest}); give the set's path")
    return ratings


def movielens_1m(path: str | None = None, cache: str | None = None, side: str | None = None) -> Ratings:
    """MovieLens 1M: 1,000,209 ratings of 3,706 films (3,883 are listed) by 6,040 users.

    Without a path the set is taken from the cache, else from GroupLens' archive, pinned by SHA-256. See
    `metarec.data.terms.TERMS` for the terms of use.

    Args:
        path: folder with ratings.dat, users.dat and movies.dat, or ml-1m.zip.
        cache: folder for fetched files; the default is METAREC_CACHE or the system's cache folder.
        side: folder with movies_extrainfos.dat, which the authors of MeLU publish with their code; none is
            looked for where it is not given.

    Returns:
        The ratings. User attributes: age (already a bracket), age_group (the same), gender, occupation (a
        number), zip. Item attributes: year and genre. Times are the fourth column as it stands: seconds in
        the original. With `side`, also what `metarec.data.melu_side.with_melu_side` adds; the digest, which is
        that of the ratings, stays the same.

    Raises:
        InputError: no source serves the set, or a file has a fault.
    """
    where, source = locate("movielens-1m", path, ARCHIVES_1M, cache)
    ratings = parse_1m(read_files(where, (LAYOUT_1M,)), source)
    if side is None:
        return ratings
    [films] = read_files(Path(side).expanduser(), (LAYOUT_SIDE,))
    return with_melu_side(ratings, films)


def swapped(ratings: Ratings) -> Ratings:
    """Items in the place of users, users in that of items, so that tasks are items: `user_cold` is item cold start.

    A net's `user_features` then are attributes of items, its `item_features` attributes of users, and the column `user`
    of whatever a run writes holds ids of items.

    Args:
        ratings: the data set; in a configuration, the function that reads it.

    Returns:
        The same ratings. The name ends in ``-swapped``, and the digest is another one, so that weights trained on users
        are not taken for weights trained on items.

    Raises:
        InputError: users are windows of people's histories.
    """
    if ratings.person is not None:
        raise InputError(
            f"{ratings.name} has windows of histories as users; tasks of items need whole ones, not windows"
        )
    if ratings.tags is not None:
        raise InputError(f"{ratings.name} has tags of items; leave them out (tags: 0), or take data.tasks: items")
    return dataclasses.replace(
        ratings,
        name=f"{ratings.name}-swapped",
        user=ratings.item,
        item=ratings.user,
        user_ids=ratings.item_ids,
        item_ids=ratings.user_ids,
        user_titles=ratings.item_titles,
        item_titles=ratings.user_titles or ratings.user_ids,
        user_features=ratings.item_features,
        item_features=ratings.user_features,
        digest=derived(ratings.digest, "swapped"),
    )


def clicks(ratings: Ratings, threshold: float = 4.0) -> Ratings:
    """Implicit feedback made of ratings: one of `threshold` or more is a click, of rating 1; all others are left out.

    What is left says which items a user chose, and of no item that they did not: an item without a click may be one
    that they rated low, or never saw. `negatives` of `metarec.data.datamodule.EpisodeDataModule` draws such items.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        threshold: the lowest rating that counts, in the data set's rating units.

    Returns:
        Ratings of 1 on the scale (0, 1). Users and items keep their rows, those without a click too. The name ends in
        ``-clicks``, the source says how many ratings count, and the digest is another one.

    Raises:
        InputError: no rating counts.
    """
    kept = np.flatnonzero(ratings.rating >= threshold)
    if not len(kept):
        cure = f"give a threshold up to {ratings.rating.max():g}, or leave `clicks` out"
        raise InputError(f"threshold {threshold:g}: no rating of {ratings.name} is as high; {cure}")
    return dataclasses.replace(
        ratings.at(kept),
        name=f"{ratings.name}-clicks",
        source=f"{ratings.source}; clicks: the {len(kept)} of {len(ratings)} ratings >= {threshold:g}",
        rating=np.ones(len(kept), dtype=np.float32),
        scale=CLICKS,
        digest=derived(ratings.digest, "clicks", float(threshold)),
    )


def only(ratings: Ratings, parts: Sequence[str]) -> Ratings:
    """Some parts of a data set that is published in parts, such as the ratings of Coat that users did not choose.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        parts: names of the parts to keep, out of `Ratings.parts`.

    Returns:
        The ratings of those parts. Users and items keep their rows. The name ends in the names of the parts, the source
        says how many ratings are left, and the digest is another one.

    Raises:
        InputError: there is no such part.
    """
    part = _part(ratings, parts)
    numbers = sorted({ratings.parts.index(name) for name in parts})
    names = "+".join(ratings.parts[number] for number in numbers)
    kept = np.flatnonzero(np.isin(part, numbers))
    return dataclasses.replace(
        ratings.at(kept),
        name=f"{ratings.name}-{names}",
        source=f"{ratings.source}; {names}: {len(kept)} of {len(ratings)} ratings",
        digest=derived(ratings.digest, "only", names),
    )


def _part(ratings: Ratings, parts: Sequence[str]) -> IntArray:
    """Which part each rating belongs to; raises InputError on parts that the data set does not have, and on none."""
    allowed = ", ".join(ratings.parts)
    if ratings.part is None:
        raise InputError(f"parts {list(parts)}: {ratings.name} is not published in parts; leave `only` out")
    if not parts:
        raise InputError(f"parts []: nothing of {ratings.name} would be left; give some of {allowed}")
    wrong = [name for name in parts if name not in ratings.parts]
    if wrong:
        raise InputError(f"parts {wrong}: {ratings.name} has no such parts; allowed: {allowed}")
    return ratings.part


def describe(ratings: Ratings) -> dict[str, object]:
    """Sum up a data set in plain numbers and strings, ready for JSON.

    Args:
        ratings: the data set.

    Returns:
        Counts (users and items as listed, and those with a rating), mean rating, density (ratings by listed
        users times listed items), fewest ratings of a user who has any, first and last time (null: no times), source,
        digest; ratings of each part, if there are parts.
    """
    per_user = np.bincount(ratings.user, minlength=1)
    users, items = len(ratings.user_ids) - 1, len(ratings.item_ids) - 1
    parts = {} if ratings.part is None else {"parts": _counted(ratings.part, ratings.parts)}
    return {
        "name": ratings.name,
        "users": users,
        "users_rated": int(np.count_nonzero(per_user)),
        "items_listed": items,
        "items_rated": int(np.count_nonzero(np.bincount(ratings.item))),
        "ratings": len(ratings),
        "mean_rating": float(ratings.rating.mean(dtype=np.float64)),
        "density": len(ratings) / (users * items),
        "min_ratings_per_user": int(per_user[per_user > 0].min()),
        "first_time": int(ratings.time.min()) if ratings.timed else None,
        "last_time": int(ratings.time.max()) if ratings.timed else None,
        **parts,
        "source": ratings.source,
        "digest": ratings.digest,
    }


def _counted(part: IntArray, parts: Sequence[str]) -> dict[str, int]:
    return dict(zip(parts, np.bincount(part, minlength=len(parts)).tolist(), strict=True))
