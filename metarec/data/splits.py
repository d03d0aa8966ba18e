"""Scenarios: which ratings may be trained on, which tasks validate, which tasks test.

Every scenario is a pure function of the ratings and of its own arguments. Users and items are drawn from their sorted
ids, so the order of the rating rows never matters. Who is new is one question (`metarec.data.newcomers`), which ratings
a stage then consists of another:

| scenario     | training          | validation and test: ratings of                     |
|--------------|-------------------|-----------------------------------------------------|
| `Warm`       | a part of all     | known users on known items, held out                |
| `UserCold`   | known users       | new users, on known items                           |
| `ItemCold`   | known items       | known users, on new items                           |
| `UserItemCold` | known users, known items | new users, on new items                    |

`metarec.data.warm` has the first.
"""

from collections.abc import Sequence

import numpy as np

from metarec.data import newcomers
from metarec.data.newcomers import KNOWN, NOBODY, TEST, VAL, By, Stages
from metarec.data.ratings import Ratings
from metarec.data.scenario import Scenario, refuse_windows


class UserCold(Scenario):
    """New users, known items: users are split into training, validation and test.

    Ratings of validation and test users on items that no training user rated are left out and counted.

    Args:
        fractions: shares of training, validation and test users; they must sum to 1. By time, shares of the ratings.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
        by: `random` draws the users; `time` takes two moments instead: who came before the first is known, who came
            between them validates, who came later is tested, and no rating counts that a stage could not yet know.
    """

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
        by: By = "random",
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.fractions, self.by = newcomers.checked_fractions(fractions), by

    def stages(self, ratings: Ratings) -> Stages:
        """Stages of the users, by `fractions`; all items are known."""
        if self.by == "time":
            return newcomers.by_time(ratings, self.fractions, users=True)
        users = newcomers.drawn_users(ratings, self.fractions, np.random.default_rng(self.seed))
        return Stages(users, newcomers.everyone(len(ratings.item_ids)))


class ItemCold(Scenario):
    """Known users, new items: items are split into training, validation and test.

    A user's task is the ratings of new items; the user's ratings of known items are trained on. Ratings of users who
    have none of those are left out and counted.

    Args:
        fractions: shares of training, validation and test items; they must sum to 1. By time, shares of the ratings.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
        by: `random` draws the items; `time` takes two moments instead: what was first rated before the first is known,
            between them validates, later is tested, and no rating counts that a stage could not yet know.
    """

    new = ("items",)

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
        by: By = "random",
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.fractions, self.by = newcomers.checked_fractions(fractions), by

    def stages(self, ratings: Ratings) -> Stages:
        """Stages of the items, by `fractions`; all users are known."""
        if self.by == "time":
            return newcomers.by_time(ratings, self.fractions, items=True)
        items = newcomers.drawn_items(ratings, self.fractions, np.random.default_rng((self.seed, 1)))
        return Stages(newcomers.everyone(len(ratings.user_ids)), items)


class UserItemCold(Scenario):
    """New users, new items: both are split, and a stage is the ratings of its users on its items.

    Args:
        fractions: shares of training, validation and test users, and of items; they must sum to 1. By time, shares of
            the ratings.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
        by: `random` draws users and items apart; `time` as in `UserCold` and `ItemCold`.
    """

    new = ("users", "items")

    def __init__(
        self,
        fractions: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
        by: By = "random",
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.fractions, self.by = newcomers.checked_fractions(fractions), by

    def stages(self, ratings: Ratings) -> Stages:
        """Stages of users and items, by `fractions`."""
        if self.by == "time":
            return newcomers.by_time(ratings, self.fractions, users=True, items=True)
        users = newcomers.drawn_users(ratings, self.fractions, np.random.default_rng(self.seed))
        items = newcomers.drawn_items(ratings, self.fractions, np.random.default_rng((self.seed, 1)))
        return Stages(users, items)


class ListedUserCold(Scenario):
    """New users, known items, both given by lists, as papers publish them; validation users are drawn.

    An item that is not listed as new counts as known, even where no training user has rated it.

    Test users are the listed ones. Validation users are drawn from all others whose number of ratings lies
    within the bounds that hold for test users.

    Args:
        new_users: text file with one original user id a line.
        new_items: text file with one original item id a line, left out everywhere; null: all items are known.
        val_fraction: share of the eligible known users who validate.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    only_seen = False

    def __init__(
        self,
        new_users: str,
        new_items: str | None = None,
        val_fraction: float = 0.1,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.new_users, self.new_items, self.val_fraction = new_users, new_items, newcomers.checked_share(val_fraction)

    def stages(self, ratings: Ratings) -> Stages:
        """Test on the listed users, validate on some of the others; lists name people, so windows are refused."""
        refuse_windows(ratings, "ListedUserCold")
        user, item = newcomers.everyone(len(ratings.user_ids)), newcomers.everyone(len(ratings.item_ids))
        user[newcomers.listed(self.new_users, ratings.user_ids)] = TEST
        if self.new_items is not None:
            item[newcomers.listed(self.new_items, ratings.item_ids)] = NOBODY
        known = (item[ratings.item] == KNOWN) & (user[ratings.user] == KNOWN)
        eligible = newcomers.busy(ratings.user[known], self.eval_range)
        user[newcomers.share(eligible, self.val_fraction, np.random.default_rng(self.seed))] = VAL
        return Stages(user, item)
