"""Data sets made of others, as papers do before they split: users of some activity, likes instead of ratings."""

import dataclasses
import hashlib

import numpy as np

from metarec.data.newcomers import unlisted
from metarec.data.ratings import Ratings, derived
from metarec.errors import InputError, at_least


def active_users(ratings: Ratings, fewest: int = 1, most: int | None = None) -> Ratings:
    """The ratings of users with neither too few nor too many of them; a scenario then splits these users alone.

    The bounds of a scenario leave users out after the split, these before it: so a split of 8:1:1 is one of the users
    who are left.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        fewest: a user with fewer ratings is left out.
        most: a user with more is left out; null: no limit.

    Returns:
        The ratings of those users. Users and items keep their rows. The name ends in ``-active``, the source says how
        many ratings are left, and the digest is another one.

    Raises:
        InputError: a bound is out of range, or no user is left.
    """
    at_least(1, fewest=fewest)
    at_least(fewest, most=most)
    count = np.bincount(ratings.user)[ratings.user]
    kept = np.flatnonzero((count >= fewest) & (count <= (most or len(ratings))))
    if not len(kept):
        raise InputError(f"fewest {fewest}, most {most}: no user of {ratings.name} has so many ratings; widen them")
    return dataclasses.replace(
        ratings.at(kept),
        name=f"{ratings.name}-active",
        source=f"{ratings.source}; users with {fewest} to {most or 'any number of'} ratings: {len(kept)} ratings",
        digest=derived(ratings.digest, "active", fewest, most),
    )


def likes(ratings: Ratings, threshold: float = 4.0) -> Ratings:
    """Likes and dislikes made of ratings: one of `threshold` or more is a 1, every other a 0.

    Unlike `metarec.data.sources.clicks`, which keeps what was liked and has others drawn, nothing is left out.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        threshold: the lowest rating that is a like, in the data set's rating units.

    Returns:
        The same ratings as 0 and 1 on the scale (0, 1). The name ends in ``-likes``, the digest is another one.

    Raises:
        InputError: all ratings, or none, are likes.
    """
    liked = ratings.rating >= threshold
    if liked.all() or not liked.any():
        what = "every" if liked.all() else "no"
        raise InputError(
            f"threshold {threshold}: {what} rating of {ratings.name} is as high; its scale is {ratings.scale}"
        )
    return dataclasses.replace(
        ratings,
        name=f"{ratings.name}-likes",
        source=f"{ratings.source}; likes: the {int(liked.sum())} of {len(ratings)} ratings >= {threshold:g}",
        rating=liked.astype(np.float32),
        scale=(0.0, 1.0),
        digest=derived(ratings.digest, "likes", float(threshold)),
    )


def without_listed(ratings: Ratings, users: str | None = None, items: str | None = None) -> Ratings:
    """The ratings of users and of items that are not listed, such as those that no earlier test has met.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        users: text file with one original user id a line; null: all stay.
        items: the same of items.

    Returns:
        The other ratings. Users and items keep their rows. The name ends in ``-without``, the source says how many
        ratings are left, and the digest is another one.

    Raises:
        InputError: a list cannot be read or has ids that are not in the data set, or nothing is left.
    """
    kept = unlisted(ratings, users, items)
    if not kept.any():
        raise InputError(f"users {users}, items {items}: they list all that {ratings.name} has ratings of")
    content = hashlib.sha256(kept.tobytes()).hexdigest()
    return dataclasses.replace(
        ratings.at(np.flatnonzero(kept)),
        name=f"{ratings.name}-without",
        source=f"{ratings.source}; without listed users and items: {int(kept.sum())} of {len(ratings)} ratings",
        digest=derived(ratings.digest, "without", content),
    )
