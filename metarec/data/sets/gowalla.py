"""Gowalla: places that users have checked in at, in the lists that LightGCN and its successors use."""

import numpy as np
import pandas as pd

from metarec.data.assembly import assemble, joint_digest, rated
from metarec.data.fetch import Document, read_files
from metarec.data.ratings import CLICKS, Ratings
from metarec.data.tables import Table, read_lines
from metarec.data.terms import locate

LAYOUT = ("train.txt", "test.txt")


def gowalla(path: str | None = None) -> Ratings:
    """Gowalla: 1,027,370 pairs of 29,858 users and 40,981 places they have checked in at.

    It is implicit feedback. `Ratings.parts` are the published ones, `train` (810,128 pairs) and `test` (217,242), for
    `metarec.data.sources.only`. Every user has pairs in both, so they are no split by users. Cho, Myers and Leskovec,
    Friendship and Mobility, KDD 2011; He, Deng, Wang, Li, Zhang and Wang, LightGCN, SIGIR 2020, arXiv 2002.02126. Terms
    of use: `metarec.data.terms.TERMS`.

    Args:
        path: folder or archive with train.txt and test.txt; a line is a user and the items, between blanks.

    Returns:
        Ratings of 1 on the scale (0, 1), as `metarec.data.sources.clicks` makes them, without times, so that an order
        in time is refused, and without attributes. Ids are those of the lists.

    Raises:
        InputError: there is no path, or a file has a fault.
    """
    where, source = locate("gowalla", path)
    files = read_files(where, (LAYOUT,))
    train, test = (_pairs(file, part) for file, part in zip(files, ("train", "test"), strict=True))
    _require_apart(train, test)
    rows = pd.concat([train.rows, test.rows], ignore_index=True)
    both = Table(f"{train.name} and {test.name}", 1, rows)  # no fault is left that could be on a line of it
    return assemble("gowalla", source, both, joint_digest(files), CLICKS, rated(both, "user"), rated(both, "item"))


def _require_apart(train: Table, test: Table) -> None:
    """Refuse pairs of user and item that stand in both parts."""
    pairs = pd.concat([train.rows, test.rows], ignore_index=True)[["user", "item"]]
    again = pairs.duplicated().to_numpy(dtype=bool)[len(train.rows) :]
    if again.any():
        user, item = test.rows[["user", "item"]].iloc[int(np.argmax(again))]
        first = int(np.argmax((pairs["user"] == user) & (pairs["item"] == item)))
        fault = f"of user {user} stands on line {train.line(first)} of {train.name} too"
        test.require("item", ~again, fault, "remove it from one of them")


def _pairs(file: Document, part: str) -> Table:
    """A row for each item of each line."""
    lines = read_lines(file)
    good = lines.rows["line"].str.fullmatch(r"\d{1,18}( \d{1,18})* ?").to_numpy(dtype=bool)
    lines.require("line", good, "is not a user and items, whole numbers between blanks")
    size = lines.rows["line"].str.strip().str.count(" ").to_numpy(dtype=np.int64) + 1
    numbers = np.array(" ".join(lines.rows["line"]).split(), dtype=np.int64)
    first = np.cumsum(size) - size
    rows = {"user": np.repeat(numbers[first], size - 1), "item": np.delete(numbers, first), "rating": 1.0, "part": part}
    table = Table(file.name, 1, pd.DataFrame(rows), np.repeat(np.arange(len(size)) + 1, size - 1))
    again = table.rows.duplicated(["user", "item"]).to_numpy(dtype=bool)
    table.require("item", ~again, "comes twice for one user")
    return table
