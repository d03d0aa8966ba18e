"""Scenarios: which ratings may be trained on, which users validate, which users test.

Every scenario is a pure function of the ratings and of its own arguments. Users are drawn from their sorted
ids, so the order of the rating rows never matters.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metarec.data.ratings import BoolArray, IntArray, Ratings
from metarec.errors import InputError, at_least


@dataclass(frozen=True)
class Split:
    """Row numbers into `Ratings`, by what may be done with them.

    Attributes:
        train: ratings that training, and every statistic, may use.
        val: all ratings of the validation tasks, support and query alike.
        test: all ratings of the test tasks.
        left_out: how many users or ratings were left out, by reason.
        unseen: how many of the validation and test ratings are of items without a training rating.
    """

    train: IntArray
    val: IntArray
    test: IntArray
    left_out: dict[str, int]
    unseen: dict[str, int]

    @property
    def digest(self) -> str:
        """SHA-256 over the three sets of rows, for the foot of a table."""
        content = hashlib.sha256()
        for rows in (self.train, self.val, self.test):
            content.update(np.sort(rows).astype("<i8").tobytes() + b"|")
        return content.hexdigest()


class Scenario:
    """Splits users into those to learn from and those to meet as new.

    Args:
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test user with fewer ratings is left out and counted.
        max_ratings: a validation or test user with more is left out and counted; null: no limit.
        train_min_ratings: the same for training users.
        train_max_ratings: the same for training users.
    """

    def __init__(
        self,
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        at_least(0, seed=seed)
        self.seed = seed
        self.eval_range = _range("min_ratings", min_ratings, max_ratings)
        self.train_range = _range("train_min_ratings", train_min_ratings, train_max_ratings)

    def __call__(self, ratings: Ratings) -> Split:
        """Split the ratings; see the scenario's own class."""
        raise NotImplementedError

    def _assemble(self, ratings: Ratings, admitted: BoolArray, val: IntArray, test: IntArray) -> Split:
        """Rows of the training, validation and test users among the admitted rows.

        Args:
            ratings: N ratings.
            admitted: rows on items of this scenario, shape (N,).
            val: validation users.
            test: test users.
        """
        left_out: dict[str, int] = {}
        is_val, is_test = np.isin(ratings.user, val), np.isin(ratings.user, test)
        own = {"train": ~is_val & ~is_test, "val": is_val, "test": is_test}
        ranges = {"train": self.train_range, "val": self.eval_range, "test": self.eval_range}
        rows = {
            stage: self._in_range(ratings, own[stage], admitted & own[stage], ranges[stage], stage, left_out)
            for stage in own
        }
        for stage, found in rows.items():
            if not len(found):
                option = "train_min_ratings" if stage == "train" else "min_ratings"
                raise InputError(f"the split leaves no {stage} user: {left_out}; lower {option}, or split otherwise")
        known = _rated(ratings, rows["train"])
        unseen = {stage: int((~known[ratings.item[rows[stage]]]).sum()) for stage in ("val", "test")}
        return Split(rows["train"], rows["val"], rows["test"], left_out, unseen)

    @staticmethod
    def _in_range(
        ratings: Ratings,
        own: BoolArray,
        chosen: BoolArray,
        bounds: tuple[int, float],
        stage: str,
        left_out: dict[str, int],
    ) -> IntArray:
        """Rows of those users whose count of chosen rows lies within the bounds; counts the users who do not.

        Args:
            ratings: N ratings.
            own: all rows of the stage's users, (N,).
            chosen: those of them that may be used, (N,).
            bounds: fewest and most ratings of a user.
            stage: name of the stage.
            left_out: where to note who is left out.
        """
        count = np.bincount(ratings.user[chosen], minlength=len(ratings.user_ids))
        users = np.unique(ratings.user[own])
        left_out[f"{stage} users with too few ratings"] = int((count[users] < bounds[0]).sum())
        left_out[f"{stage} users with too many ratings"] = int((count[users] > bounds[1]).sum())
        keep = (count >= bounds[0]) & (count <= bounds[1])
        return np.flatnonzero(chosen & keep[ratings.user])


class UserCold(Scenario):
    """New users, known items: users are split at random into training, validation and test.

    Ratings of validation and test users on items that no training user rated are left out and counted.

    Args:
        fractions: shares of training, validation and test users; they must sum to 1.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test user with fewer ratings is left out and counted.
        max_ratings: a validation or test user with more is left out and counted; null: no limit.
        train_min_ratings: the same for training users.
        train_max_ratings: the same for training users.
    """

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        min_ratings: int = 2,
        max_ratings: int | None = None,
        train_min_ratings: int = 2,
        train_max_ratings: int | None = None,
    ) -> None:
        super().__init__(seed, min_ratings, max_ratings, train_min_ratings, train_max_ratings)
        if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
            raise InputError(
                f"fractions {list(fractions)}: give three positive shares that sum to 1, such as [0.8, 0.1, 0.1]"
            )
        self.fractions = tuple(fractions)

    def __call__(self, ratings: Ratings) -> Split:
        """Split users by `fractions`."""
        users = np.random.default_rng(self.seed).permutation(np.unique(ratings.user))
        first = round(len(users) * self.fractions[0])
        second = round(len(users) * (self.fractions[0] + self.fractions[1]))
        own = np.isin(ratings.user, users[:first])
        train = self._in_range(ratings, own, own, self.train_range, "train", {})
        known_item = _rated(ratings, train)[ratings.item]
        split = self._assemble(ratings, known_item | own, users[first:second], users[second:])
        left_out = {"val and test ratings of items without a training rating": int((~known_item & ~own).sum())}
        return dataclasses.replace(split, left_out=split.left_out | left_out)


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
        min_ratings: a validation or test user with fewer ratings is left out and counted.
        max_ratings: a validation or test user with more is left out and counted; null: no limit.
        train_min_ratings: the same for training users.
        train_max_ratings: the same for training users.
    """

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
        if not 0 < val_fraction < 1:
            raise InputError(f"val_fraction {val_fraction}: give a share between 0 and 1")
        self.new_users, self.new_items, self.val_fraction = new_users, new_items, val_fraction

    def __call__(self, ratings: Ratings) -> Split:
        """Test on the listed users, validate on some of the others."""
        test = _listed(self.new_users, ratings.user_ids)
        admitted = np.ones(len(ratings), dtype=np.bool_)
        if self.new_items is not None:
            admitted = ~np.isin(ratings.item, _listed(self.new_items, ratings.item_ids))
        known = admitted & ~np.isin(ratings.user, test)
        count = np.bincount(ratings.user[known], minlength=len(ratings.user_ids))
        low, high = self.eval_range
        eligible = np.flatnonzero((count >= low) & (count <= high))
        drawn = np.random.default_rng(self.seed).permutation(eligible)
        return self._assemble(ratings, admitted, drawn[: round(len(drawn) * self.val_fraction)], test)


def _rated(ratings: Ratings, rows: IntArray) -> BoolArray:
    """Which items have a rating among the given rows, shape (items,)."""
    rated = np.zeros(len(ratings.item_ids), dtype=np.bool_)
    rated[ratings.item[rows]] = True
    return rated


def _range(name: str, low: int, high: int | None) -> tuple[int, float]:
    """Check the bounds on a user's number of ratings."""
    if low < 1 or (high is not None and high < low):
        raise InputError(f"{name} {low} with a maximum of {high}: give 1 <= minimum <= maximum")
    return low, float("inf") if high is None else high


def _listed(path: str, ids: Sequence[str]) -> IntArray:
    """Rows of the ids that a text file lists, one a line."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a text file with one id a line") from error
    row = {original: number for number, original in enumerate(ids)}
    unknown = [line for line in lines if line not in row]
    if unknown or not lines:
        raise InputError(f"{path}: {len(unknown)} of {len(lines)} ids are not in the data set: {unknown[:3]}")
    return np.array([row[line] for line in lines], dtype=np.int64)
