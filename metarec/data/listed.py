"""Scenarios that papers publish as lists of new items, or as parts of a data set; `ListedUserCold` has new users."""

import numpy as np

from metarec.data import newcomers
from metarec.data.newcomers import KNOWN, NOBODY, TEST, VAL, Stages
from metarec.data.ratings import BoolArray, IntArray, Ratings
from metarec.data.scenario import Division, Scenario, Split, Tasks, assembled, refuse_windows
from metarec.errors import InputError


class ListedItemCold(Scenario):
    """Known users, new items, given by lists, as papers publish them; validation items are drawn from the others.

    A user who is not listed as new counts as known, even without a training rating.

    Args:
        new_items: text file with one original item id a line.
        new_users: text file with one original user id a line, left out everywhere; null: all users are known.
        val_fraction: share of the known items that validate; nobody's ratings of them are trained on.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    new = ("items",)
    only_seen = False

    def __init__(
        self,
        new_items: str,
        new_users: str | None = None,
        val_fraction: float = 0.2,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.new_items, self.new_users, self.val_fraction = new_items, new_users, newcomers.checked_share(val_fraction)

    def stages(self, ratings: Ratings) -> Stages:
        """Test on the listed items, validate on some of the others."""
        user = newcomers.everyone(len(ratings.user_ids))
        if self.new_users is not None:
            user[newcomers.listed(self.new_users, ratings.user_ids)] = NOBODY
        return Stages(user, _items(ratings, self.new_items, self.val_fraction, self.seed))


class ListedUserItemCold(Scenario):
    """New users, new items, both given by lists; validation draws items, then users who rated enough of them.

    Args:
        new_users: text file with one original user id a line.
        new_items: text file with one original item id a line.
        val_fraction: share of the known items that validate, and of the users whose number of ratings of them lies
            within the bounds of a validation task. Nothing of either is trained on.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    new = ("users", "items")
    only_seen = False

    def __init__(
        self,
        new_users: str,
        new_items: str,
        val_fraction: float = 0.2,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.new_users, self.new_items, self.val_fraction = new_users, new_items, newcomers.checked_share(val_fraction)

    def stages(self, ratings: Ratings) -> Stages:
        """Test listed users on listed items, validate some of the other users on some of the other items."""
        refuse_windows(ratings, "ListedUserItemCold")
        user, item = (
            newcomers.everyone(len(ratings.user_ids)),
            _items(ratings, self.new_items, self.val_fraction, self.seed),
        )
        user[newcomers.listed(self.new_users, ratings.user_ids)] = TEST
        asked = (item[ratings.item] == VAL) & (user[ratings.user] == KNOWN)
        eligible = newcomers.busy(ratings.user[asked], self.eval_range)
        user[newcomers.share(eligible, self.val_fraction, np.random.default_rng(self.seed))] = VAL
        return Stages(user, item)


class PublishedParts(Scenario):
    """Training and test tasks as a data set's publishers divide it; validation tasks are drawn from the training ones.

    Who is new in the test part is for the publishers to say: the audit looks for training ratings of those alone who
    validate, and for test ratings in training.

    Args:
        train: the part that is trained on, one of `Ratings.parts`.
        test: the part that is tested.
        val_fraction: share of the training users with as many ratings as a validation task needs, who validate.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    def __init__(
        self,
        train: str,
        test: str,
        val_fraction: float = 0.1,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        self.train, self.test, self.val_fraction = train, test, newcomers.checked_share(val_fraction)

    def __call__(self, ratings: Ratings, tasks: Tasks = "users") -> Split:
        """Split the ratings by their part.

        Raises:
            InputError: there is no such part, or a stage has no task.
        """
        refuse_windows(ratings, "PublishedParts")
        trained, tested = (_part(ratings, name) for name in (self.train, self.test))
        division = Division(ratings, tasks, {})
        division.left_out["ratings of other parts"] = int((~trained & ~tested).sum())
        return held_out(self, division, trained, tested, self.val_fraction)


def held_out(
    scenario: Scenario, division: Division, trained: BoolArray, tested: BoolArray, val_fraction: float
) -> Split:
    """Train on some ratings but those of the tasks that are drawn to validate, test on others.

    Args:
        scenario: how many ratings a task may have, and its seed draws.
        division: N ratings, and whose ratings make a task.
        trained: ratings of training and validation, (N,).
        tested: ratings of the test, (N,).
        val_fraction: share of the training tasks with as many ratings as a validation task needs, which validate.

    Raises:
        InputError: a stage has no task.
    """
    eligible = newcomers.busy(division.owner[trained], scenario.eval_range)
    drawn = newcomers.share(eligible, val_fraction, np.random.default_rng(scenario.seed))
    validates = np.isin(division.owner, drawn)
    rows = {
        "train": division.in_range(trained & ~validates, trained & ~validates, scenario.train_range, "train"),
        "val": division.in_range(trained & validates, trained & validates, scenario.eval_range, "val"),
        "test": division.in_range(tested, tested, scenario.eval_range, "test"),
    }
    return assembled(division, rows, new={division.tasks: drawn})


def _part(ratings: Ratings, name: str) -> BoolArray:
    """Which ratings belong to a part, (N,)."""
    if ratings.part is None or name not in ratings.parts:
        allowed = ", ".join(ratings.parts) or "none, it is not published in parts"
        raise InputError(f"part {name!r}: {ratings.name} has other parts; allowed: {allowed}")
    return np.asarray(ratings.part == ratings.parts.index(name))


def _items(ratings: Ratings, new_items: str, val_fraction: float, seed: int) -> newcomers.Stage:
    """The stage of each item: listed ones are tested, some of the others validate."""
    item = newcomers.everyone(len(ratings.item_ids))
    item[newcomers.listed(new_items, ratings.item_ids)] = TEST
    rated: IntArray = np.unique(ratings.item)
    known = rated[item[rated] == KNOWN]
    item[newcomers.share(known, val_fraction, np.random.default_rng((seed, 1)))] = VAL
    return item
