"""Last.FM 2K: which artists users have listened to."""

import dataclasses

import numpy as np
import pandas as pd

from metarec.data.assembly import Side, assemble, joint_digest, rated, with_tags
from metarec.data.fetch import Document, read_files
from metarec.data.ratings import CLICKS, Ratings, derived
from metarec.data.tables import Table, read_ratings, read_table
from metarec.data.terms import locate
from metarec.errors import InputError, at_least

LAYOUT = ("user_artists.dat", "artists.dat")
TAG_LAYOUT = ("user_taggedartists.dat", "tags.dat")


def lastfm_2k(path: str | None = None, min_plays: int = 1, tags: int = 0) -> Ratings:
    """Last.FM 2K (hetrec2011-lastfm-2k): 92,834 pairs of 1,892 users and 17,632 artists they have listened to.

    It is implicit feedback: how often somebody played an artist, the 50 most played ones at most, says what they chose,
    not how much they liked it. Friends are not read. Cantador, Brusilovsky and Kuflik, 2nd Workshop on Information
    Heterogeneity and Fusion in Recommender Systems (HetRec), RecSys 2011. Terms of use:
    `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with user_artists.dat and artists.dat.
        min_plays: an artist played less often by a user is left out.
        tags: how many of the most given tags become an attribute; 0: none. With more, user_taggedartists.dat and
            tags.dat must be there. Those count that training users gave
            to artists of theirs in training, see `metarec.data.tags`.

    Returns:
        Ratings of 1 on the scale (0, 1), as `metarec.data.sources.clicks` makes them, without times, so that an order
        in time is refused. Item attribute: tag, if asked for; then the digest stands for the tags too.

    Raises:
        InputError: there is no path, a file has a fault, or nothing was played so often.
    """
    at_least(1, min_plays=min_plays)
    at_least(0, tags=tags)
    where, source = locate("lastfm-2k", path)
    file, *sides = read_files(where, (LAYOUT + (TAG_LAYOUT if tags else ()),))
    plays = read_ratings(file, ["user", "item", "rating"], "\t", (1, np.inf), header="userID\tartistID\tweight")
    clicks = _clicks(plays, min_plays)
    artists = _artists(sides[0])
    digest = file.digest
    if min_plays > 1:
        source = f"{source}; the {len(clicks.rows)} of {len(plays.rows)} pairs with {min_plays} plays or more"
        digest = derived(digest, "plays", min_plays)
    found = assemble("lastfm-2k", source, clicks, digest, CLICKS, rated(plays, "user"), artists)
    if tags:
        found = with_tags(found, _tags(sides[1], sides[2]), tags)
        found = dataclasses.replace(found, digest=derived(digest, "tags", tags, joint_digest(sides[1:])))
    return found


def _clicks(plays: Table, least: int) -> Table:
    """Pairs with so many plays, of rating 1."""
    chosen = plays.at(np.flatnonzero(plays.rows["rating"] >= least))
    if not len(chosen.rows):
        most = plays.rows["rating"].max()
        raise InputError(f"min_plays {least}: no artist was played so often; give {most:.0f} or less")
    return dataclasses.replace(chosen, rows=chosen.rows.assign(rating=1.0))


def _artists(file: Document) -> Side:
    columns = ["id", "name", "url", "picture"]
    ids, rows = read_table(file, columns, "\t", encoding="utf-8", header="id\tname\turl\tpictureURL").by_id()
    return Side(ids, titles=list(rows["name"]), file=file.name)


def _tags(given: Document, words: Document) -> Table:
    """Columns `user`, `item` and `tag`, a row for each time that a tag was given."""
    columns = ["user", "item", "id", "day", "month", "year"]
    table = read_table(given, columns, "\t", header="userID\tartistID\ttagID\tday\tmonth\tyear")
    ids, rows = read_table(words, ["id", "tag"], "\t", encoding="utf-8", header="tagID\ttagValue").by_id()
    place = pd.Index(ids).get_indexer(pd.Index(table.integers("id")))
    table.require("id", place >= 0, f"is not in {words.name}", "correct or remove the line, or add the tag there")
    return dataclasses.replace(table, rows=table.rows[["user", "item"]].assign(tag=rows["tag"].to_numpy()[place]))
