"""The scenario without anybody new."""

from collections.abc import Sequence

import numpy as np

from metarec.data import newcomers
from metarec.data.newcomers import By
from metarec.data.ratings import IntArray, Ratings
from metarec.data.scenario import STAGES, Division, Scenario, Split, Tasks, assembled, refuse_windows


class Warm(Scenario):
    """Known users, known items: a part of every task's ratings is held out and asked for.

    A task adapts to ratings that are known when it is met: in validation the training ratings, in the test those and
    the ratings that validated. Its query is what was held out. Ratings whose user or item has no training rating are
    left out and counted.

    Args:
        fractions: shares of the ratings that are trained on, validate and test; they must sum to 1.
        seed: split seed, apart from the seed of the model.
        min_ratings: a validation or test task with fewer known ratings is left out and counted.
        max_ratings: a validation or test task with more is left out and counted; null: no limit.
        train_min_ratings: the same for training tasks.
        train_max_ratings: the same for training tasks.
        by: `random` divides each task's ratings at random; `time` cuts all of them at two moments.

    Raises:
        InputError: a number is out of range.
    """

    new = ()

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

    def __call__(self, ratings: Ratings, tasks: Tasks = "users") -> Split:
        """Split the ratings of each task; see `Scenario`.

        Raises:
            InputError: a stage has no task, or users are windows of people's histories, which may not be split.
        """
        refuse_windows(ratings, "Warm")
        division = Division(ratings, tasks, {})
        starts = newcomers.starts_of(ratings, self.fractions) if self.by == "time" else None
        stage = self._drawn(division) if starts is None else np.searchsorted(starts, ratings.time, side="right")
        everything = np.ones(len(ratings), dtype=np.bool_)
        train = division.in_range(everything, stage == 0, self.train_range, "train")
        seen = np.ones(len(ratings), dtype=np.bool_)
        for column in (ratings.user, ratings.item):
            seen &= newcomers.rated(column[train], column.max() + 1)[column]
        division.left_out["val and test ratings without a training rating of their user and item"] = int(
            (~seen & (stage > 0)).sum()
        )
        trained = np.zeros(len(ratings), dtype=np.bool_)
        trained[train] = True
        known = {"val": trained, "test": trained | (seen & (stage == STAGES["val"]))}
        rows, support = {"train": train}, {}
        for name, number in STAGES.items():
            rows[name], support[name] = self._held_out(division, known[name], seen & (stage == number), name)
        return assembled(division, rows, starts=starts, support=support)

    def _drawn(self, division: Division) -> IntArray:
        """The stage of each rating, (N,): of each task's ratings, shares as near to `fractions` as can be."""
        ratings, owner = division.ratings, division.owner
        order = np.lexsort((ratings.time, ratings.item, ratings.user))
        key = np.empty(len(ratings))
        key[order] = np.random.default_rng(self.seed).random(len(ratings))
        order = np.lexsort((key, owner))
        _, first, size = np.unique(owner[order], return_index=True, return_counts=True)
        place = np.arange(len(ratings)) - np.repeat(first, size)
        stage = np.empty(len(ratings), dtype=np.int64)
        cuts = np.rint(np.repeat(size, size)[:, None] * np.cumsum(self.fractions)[:2])
        stage[order] = (place[:, None] >= cuts).sum(axis=1)
        return stage

    def _held_out(
        self, division: Division, known: np.ndarray, held: np.ndarray, stage: str
    ) -> tuple[IntArray, IntArray]:
        """Query and support rows of a stage: of tasks with held-out ratings and as many known ones as admitted."""
        owner = division.owner
        asked = newcomers.rated(owner[held], owner.max() + 1)[owner]
        support = division.in_range(asked, known & asked, self.eval_range, stage)
        kept = newcomers.rated(owner[support], owner.max() + 1)[owner]
        return np.flatnonzero(held & kept), support
