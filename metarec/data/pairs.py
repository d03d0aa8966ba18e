"""The scenario that papers publish as a list of held-out pairs of known users and known items."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.data import newcomers
from metarec.data.fetch import LARGEST_MEMBER, Document
from metarec.data.listed import held_out
from metarec.data.ratings import BoolArray, Ratings
from metarec.data.scenario import Division, Scenario, Split, Tasks, refuse_windows
from metarec.data.tables import read_table
from metarec.errors import InputError

PAIRS = ("user", "item")
"""The columns of a file of pairs, in its first line."""


class ListedWarm(Scenario):
    """Known users, known items: ratings of listed pairs are tested and never trained on; validation tasks are drawn.

    A test task is what is listed of a user, support and query alike, as those who publish such lists take it: in the
    test, nobody adapts to a rating of the training side. Validation tasks are drawn from the training ones, and nothing
    of them is trained on.

    Known is not the same as trained on: a test user may validate, or have more ratings on the training side than a
    training task. `metarec tasks` counts who has a training rating.

    Args:
        pairs: text file, gzipped if its name ends in .gz, whose first line is ``user,item``, then a pair of original
            ids a line, each a rating of the data set.
        new_users: text file with one original user id a line, whose ratings count only where they are listed pairs;
            null: all users are known.
        new_items: the same of items.
        val_fraction: share of the training tasks with as many ratings as a validation task needs, which validate.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    new = ()

    def __init__(
        self,
        pairs: str,
        new_users: str | None = None,
        new_items: str | None = None,
        val_fraction: float = 0.1,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.pairs, self.new_users, self.new_items = pairs, new_users, new_items
        self.val_fraction = newcomers.checked_share(val_fraction)

    def __call__(self, ratings: Ratings, tasks: Tasks = "users") -> Split:
        """Split the ratings.

        Raises:
            InputError: a list has a fault, a stage has no task, or users are windows of people's histories.
        """
        refuse_windows(ratings, "ListedWarm")
        tested, division = listed_pairs(self.pairs, ratings), Division(ratings, tasks, {})
        trained = ~tested & newcomers.unlisted(ratings, self.new_users, self.new_items)
        division.left_out["ratings of new users or items"] = int((~trained & ~tested).sum())
        return held_out(self, division, trained, tested, self.val_fraction)


def listed_pairs(path: str, ratings: Ratings) -> BoolArray:
    """Which ratings are of the pairs that a text file lists.

    Args:
        path: the file, see `ListedWarm`.
        ratings: N ratings.

    Returns:
        Whether each is listed, shape (N,).

    Raises:
        InputError: the file cannot be read, has another header or a faulty line, or lists a pair that is no rating;
            names the first such line.
    """
    table = read_table(Document(path, _content(path)), PAIRS, ",", "utf-8", ",".join(PAIRS))
    rows = {}
    for side, ids in zip(PAIRS, (ratings.user_ids, ratings.item_ids), strict=True):
        rows[side] = pd.Index(ids[1:]).get_indexer(pd.Index(table.rows[side])) + 1
        table.require(side, rows[side] > 0, "is not in the data set", "give pairs with the ids of its own files")
    listed = rows["user"] * len(ratings.item_ids) + rows["item"]
    rated = ratings.user * len(ratings.item_ids) + ratings.item
    fault = f"has not rated the item of this line in {ratings.name}"
    table.require("user", np.isin(listed, rated), fault, "give pairs out of the same data set")
    return np.isin(rated, listed)


def _content(path: str) -> bytes:
    """The bytes of a text file, unpacked."""
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(Path(path).expanduser(), "rb") as file:
            data: bytes = file.read(LARGEST_MEMBER + 1)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be read ({reason}); give a text file of pairs user,item") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: is damaged ({error}); get a whole copy") from error
    if len(data) > LARGEST_MEMBER:
        raise InputError(f"{path}: has more than {LARGEST_MEMBER / 2**20:.0f} MB; give a file of pairs user,item")
    return data
