"""The scenario of items with few ratings, which papers on warming up embeddings take for new."""

from collections.abc import Sequence

import numpy as np

from metarec.data import newcomers
from metarec.data.newcomers import KNOWN, NOBODY, TEST, VAL, Stages
from metarec.data.ratings import Ratings
from metarec.data.scenario import Scenario
from metarec.errors import InputError


class ItemsByCount(Scenario):
    """Known users, new items: items with many ratings are known, items with few are taken for new.

    Args:
        known_above: an item with more ratings is known.
        new_between: fewest and most ratings of an item that is taken for new; all others are left out everywhere.
        val_fraction: share of the new items that validate, drawn.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.

    Raises:
        InputError: known and new items overlap, or a number is out of range.
    """

    new = ("items",)

    def __init__(
        self,
        known_above: int = 200,
        new_between: Sequence[int] = (60, 200),
        val_fraction: float = 0.2,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        if len(new_between) != 2 or not 1 <= new_between[0] <= new_between[1] <= known_above:
            raise InputError(
                f"new_between {list(new_between)}, known_above {known_above}: give 1 <= fewest <= most <= known_above"
            )
        self.known_above, self.new_between = known_above, tuple(new_between)
        self.val_fraction = newcomers.checked_share(val_fraction)

    def stages(self, ratings: Ratings) -> Stages:
        """Stages of the items by their number of ratings; all users are known."""
        count = np.bincount(ratings.item, minlength=len(ratings.item_ids))
        item = newcomers.everyone(len(count), NOBODY)
        item[count > self.known_above] = KNOWN
        few = np.flatnonzero((count >= self.new_between[0]) & (count <= self.new_between[1]))
        item[few] = TEST
        item[newcomers.share(few, self.val_fraction, np.random.default_rng((self.seed, 1)))] = VAL
        return Stages(newcomers.everyone(len(ratings.user_ids)), item)
