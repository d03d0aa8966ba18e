"""What a scenario is: a pure function that says which ratings are trained on, which tasks validate, which test."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from metarec.data import newcomers
from metarec.data.newcomers import KNOWN, NOBODY, TEST, VAL, By, Stage, Stages
from metarec.data.ratings import BoolArray, IntArray, Ratings
from metarec.errors import InputError, at_least

Tasks = Literal["users", "items"]
"""Whose ratings make a task."""

STAGES = {"val": VAL, "test": TEST}
"""Stages beside training."""


@dataclass(frozen=True)
class Split:
    """Row numbers into `Ratings`, by what may be done with them.

    Attributes:
        train: ratings that training, and every statistic, may use.
        val: ratings of the validation tasks, support and query alike.
        test: ratings of the test tasks.
        left_out: how many tasks or ratings were left out, by reason.
        unseen: how many of the validation and test ratings are of items without a training rating.
        starts: when validation and test begin, where the stages follow each other in time: nothing of that time or
            later belongs to an earlier stage. Null: time plays no part.
        new: by side, `users` or `items`, the rows that no training rating may be of.
        support: by stage, ratings that its tasks may adapt to, where they are known users' training ratings; those in
            `val` and `test` are then query alone. Empty: a task's ratings may be either.
        earlier: ratings that weights to start from were trained on, which statistics may use as well as `train`.
    """

    train: IntArray
    val: IntArray
    test: IntArray
    left_out: dict[str, int]
    unseen: dict[str, int]
    starts: tuple[int, int] | None = None
    new: dict[str, IntArray] = field(default_factory=dict)
    support: dict[str, IntArray] = field(default_factory=dict)
    earlier: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @cached_property
    def known(self) -> IntArray:
        """Rows whose users and items are known: `train`, and what was trained on earlier."""
        return np.union1d(self.train, self.earlier) if len(self.earlier) else self.train

    @cached_property
    def learned(self) -> str:
        """SHA-256 over the sets of rows that weights may come to depend on: all but those of the test."""
        return _digest(self.train, self.val, self.earlier)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the sets of rows, for the foot of a table."""
        earlier = [self.earlier] if len(self.earlier) else []
        return _digest(self.train, self.val, self.test, *self.support.values(), *earlier)


def _digest(*sets: IntArray) -> str:
    """SHA-256 over sets of rows."""
    content = hashlib.sha256()
    for rows in sets:
        content.update(np.sort(rows).astype("<i8").tobytes() + b"|")
    return content.hexdigest()


class Scenario:
    """Divides ratings among those to learn from and the tasks to meet as new.

    Attributes:
        new: which sides are new in validation and test: `users`, `items`.
        by: what decides who is new, a draw or the time.
        only_seen: whether validation and test ratings are left out whose other side, which should be known, has no
            training rating.

    Args:
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
    """

    new: ClassVar[tuple[str, ...]] = ("users",)
    only_seen: ClassVar[bool] = True
    by: By = "random"

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

    def stages(self, ratings: Ratings) -> Stages:
        """Who is known, validates and tests."""
        raise NotImplementedError

    def __call__(self, ratings: Ratings, tasks: Tasks = "users") -> Split:
        """Split the ratings.

        Args:
            ratings: the data set.
            tasks: whose ratings are counted as a task's, `users` or `items`; new users stay users either way.

        Raises:
            InputError: a stage has no task, or windows of known users' histories would be on both sides.
        """
        if "users" not in self.new:
            refuse_windows(ratings, type(self).__name__)
        stages = self.stages(ratings)
        sides = {"users": stages.user[ratings.user], "items": stages.item[ratings.item]}
        stage = _stage_of_ratings(ratings, stages, sides, self.new)
        own = sides[tasks] if tasks in self.new else stage
        division = Division(ratings, tasks, {})
        train = division.in_range(own == KNOWN, stage == KNOWN, self.train_range, "train")
        unseen = self._unseen(ratings, train) & np.isin(stage, list(STAGES.values()))
        rows = {
            name: division.in_range(own == number, (stage == number) & ~unseen, self.eval_range, name)
            for name, number in STAGES.items()
        }
        left_out = division.left_out
        for side in ("users", "items"):
            if self.only_seen and side not in self.new:
                left_out[f"val and test ratings of {side} without a training rating"] = int(unseen.sum())
        if (stage == NOBODY).any():
            left_out["ratings of no stage"] = int((stage == NOBODY).sum())
        new = {side: np.flatnonzero(np.isin(getattr(stages, side[:-1]), (VAL, TEST))) for side in self.new}
        return assembled(division, {"train": train, **rows}, starts=stages.starts, new=new)

    def _unseen(self, ratings: Ratings, train: IntArray) -> BoolArray:
        """Which ratings are of a side that should be known and has no training rating, (N,)."""
        found = np.zeros(len(ratings), dtype=np.bool_)
        for side in ("user", "item"):
            if self.only_seen and f"{side}s" not in self.new:
                column = getattr(ratings, side)
                found |= ~newcomers.rated(column[train], len(getattr(ratings, f"{side}_ids")))[column]
        return found


@dataclass(frozen=True)
class Division:
    """Notes who is left out while ratings are divided.

    Attributes:
        ratings: N ratings.
        tasks: whose ratings make a task.
        left_out: counts by reason, filled by `in_range`.
    """

    ratings: Ratings
    tasks: Tasks
    left_out: dict[str, int]

    @property
    def owner(self) -> IntArray:
        """Whose task each rating belongs to, (N,)."""
        return self.ratings.user if self.tasks == "users" else self.ratings.item

    def in_range(self, own: BoolArray, chosen: BoolArray, bounds: tuple[int, float], stage: str) -> IntArray:
        """Rows of those tasks whose count of chosen rows lies within the bounds; counts the tasks whose does not.

        Args:
            own: all ratings of the stage's tasks, (N,).
            chosen: those of them that may be used, (N,).
            bounds: fewest and most ratings of a task.
            stage: name of the stage.
        """
        count = np.bincount(self.owner[chosen], minlength=self.owner.max() + 1)
        present = np.unique(self.owner[own])
        self.left_out[f"{stage} {self.tasks} with too few ratings"] = int((count[present] < bounds[0]).sum())
        self.left_out[f"{stage} {self.tasks} with too many ratings"] = int((count[present] > bounds[1]).sum())
        keep = (count >= bounds[0]) & (count <= bounds[1])
        return np.flatnonzero(chosen & keep[self.owner])


def assembled(
    division: Division,
    rows: dict[str, IntArray],
    starts: tuple[int, int] | None = None,
    new: dict[str, IntArray] | None = None,
    support: dict[str, IntArray] | None = None,
    earlier: IntArray | None = None,
) -> Split:
    """A split of the rows of each stage; see `Split`.

    Raises:
        InputError: a stage has no rows.
    """
    for stage, found in rows.items():
        if not len(found):
            option = "train_min_ratings" if stage == "train" else "min_ratings"
            reasons = ", ".join(f"{count} {reason}" for reason, count in division.left_out.items() if count)
            raise InputError(
                f"the split leaves no {stage} {division.tasks[:-1]} ({reasons or 'nobody left out'}); lower {option}, "
                "or give this stage a larger share"
            )
    items, before = division.ratings.item, np.empty(0, dtype=np.int64) if earlier is None else earlier
    seen = newcomers.rated(items[np.append(rows["train"], before)], len(division.ratings.item_ids))
    unseen = {stage: int((~seen[items[rows[stage]]]).sum()) for stage in STAGES}
    stages = rows["train"], rows["val"], rows["test"]
    return Split(*stages, division.left_out, unseen, starts, new or {}, support or {}, before)


def refuse_windows(ratings: Ratings, scenario: str) -> None:
    """Refuse histories cut into windows where a person's windows would be in training and in the test.

    Raises:
        InputError: users are windows.
    """
    if ratings.person is not None:
        raise InputError(
            f"scenario {scenario}: {ratings.name} has windows of people's histories as users, which would be on both "
            "sides; take UserCold or UserItemCold"
        )


def _stage_of_ratings(ratings: Ratings, stages: Stages, sides: dict[str, Stage], new: tuple[str, ...]) -> Stage:
    """The stage of each rating, (N,): that of its new sides, if they agree and its other side is known."""
    stage = sides[new[0]].copy()
    for side, own in sides.items():
        stage[own != (stage if side in new else KNOWN)] = NOBODY
    if stages.starts is not None:
        stage[stage != np.searchsorted(stages.starts, ratings.time, side="right")] = NOBODY
    return stage


def _range(name: str, low: int, high: int | None) -> tuple[int, float]:
    """Check the bounds on a task's number of ratings."""
    if low < 1 or (high is not None and high < low):
        raise InputError(f"{name} {low} with a maximum of {high}: give 1 <= minimum <= maximum")
    return low, float("inf") if high is None else high
