"""Negatives: rows of rating 0 on items that a user has no rating of, drawn beside the ratings of episodes."""

from typing import Any

import numpy as np

from metarec.data.draws import Episodes, before, runs
from metarec.data.ratings import IntArray
from metarec.data.tasks import PackedTasks, ratings_of
from metarec.errors import InputError

Words = np.ndarray[Any, np.dtype[np.uint64]]

GOLDEN, FIRST, SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Of SplitMix64, the step from one state to the next and the factors of its hash (Steele et al., OOPSLA 2014)."""


class Negatives:
    """Draws `count` negatives for each rating of an episode, evenly from the free items of its task.

    Free are the items of the catalogue that the task has no rating of, whether in the episode or not, high or low: a
    query item is never a negative of the support set, nor the reverse, and an item that was disliked, a row of rating 0
    in its own right, is never drawn, though it brings negatives along as a liked one does. Nor are items drawn that
    the task's user is known to have rated before. So that no item is a negative of both sets either, each
    episode cuts the catalogue, which stands in random order, at a random place: its support set's negatives come from
    the half of the free items that follow, its query set's from the other half. Within a half, an item may come twice.
    Each negative is any of the free items with the same probability.

    With p_0 < p_1 < ... the places in the catalogue of the items that a task has a rating of, p_j - j free items stand
    before place p_j. So the free item of number r stands at place r + |{j: p_j - j <= r}|: one search in sorted
    numbers for all negatives of all tasks, and no draw has to be taken back.

    Random numbers are hashes of a seed, the episode, the set and the number of the draw. What is drawn for an episode
    does not depend on others beside it, nor what is drawn for a query set on the size of the support set.

    Memory: 8 bytes a rating of the tasks and their users; 12 a row drawn, and some 60 while they are drawn.

    Args:
        tasks: the packed tasks that episodes are drawn from.
        catalogue: items to draw from, each once, in random order, (K,).
        count: negatives a rating, >= 1.
        stage: what the tasks are for, for the error.
        known: ratings that are known of users, one task each, be they users of `tasks` or not; null: none but those in
            `tasks`.

    Attributes:
        elsewhere: what items are not free because of `known` alone: position of the task times K plus place of the
            item in the catalogue, ascending.

    Raises:
        InputError: a task has fewer than two free items, one for each set.
    """

    def __init__(
        self, tasks: PackedTasks, catalogue: IntArray, count: int, stage: str, known: PackedTasks | None = None
    ) -> None:
        self.task, self.catalogue, self.count = tasks.task.numpy(), catalogue, count
        own = self._places(np.repeat(np.arange(len(self.task)), tasks.lengths.numpy()), tasks.item.numpy())
        others = own[:0] if known is None else self._places(*(c.numpy() for c in ratings_of(known, tasks.task)))
        self.elsewhere = np.setdiff1d(others, own)
        taken = np.union1d(own, self.elsewhere)
        rated = np.bincount(taken // len(catalogue), minlength=len(self.task))
        self.free, self.first = len(catalogue) - rated, before(rated)
        _require_free(self.free, f"data.negatives {count}", stage, len(catalogue))
        self.free_before = taken - runs(np.zeros_like(rated), rated)

    def _places(self, task: IntArray, item: IntArray) -> IntArray:
        """One number for a task's position and an item's place in the catalogue, of those that are in it, ascending."""
        place = np.full(max(item.max(initial=0), self.catalogue.max()) + 1, -1)
        place[self.catalogue] = np.arange(len(self.catalogue))
        offered = place[item] >= 0
        return np.unique(task[offered] * len(self.catalogue) + place[item[offered]])

    def added(self, episodes: Episodes, number: IntArray, seed: int) -> Episodes:
        """The episodes with `count` negatives behind each rating, and sizes that are 1 + `count` times as large.

        Args:
            episodes: T episodes of the tasks.
            number: what tells an episode from others of the same seed, (T,), >= 0.
            seed: of the draws.
        """
        start = np.concatenate([episodes.support_start, episodes.query_start])
        size = np.concatenate([episodes.support_size, episodes.query_size])
        key = _mixed(number.astype(np.uint64) * GOLDEN + np.uint64(seed))
        drawn = self._drawn(np.searchsorted(self.task, episodes.task), key, size * self.count)
        rated = runs(start, size)
        item = np.concatenate([episodes.item[rated, None], drawn.reshape(-1, self.count)], axis=1)
        rating = np.zeros(item.shape, dtype=np.float32)
        rating[:, 0] = episodes.rating[rated]
        wide = size * (1 + self.count)
        start, count = before(wide), len(key)
        sets = start[:count], wide[:count], start[count:], wide[count:]
        return Episodes(episodes.task, *sets, item.ravel(), rating.ravel())

    def _drawn(self, task: IntArray, key: Words, size: IntArray) -> IntArray:
        """Items for the support sets of T episodes, then for their query sets, (sum of sizes,).

        Args:
            task: positions of their tasks, (T,).
            key: of each episode, (T,).
            size: how many are drawn for each set, (2 T,).
        """
        free = self.free[task]
        half, cut = free // 2, _below(key, free)
        low, width = np.concatenate([cut, cut + half]), np.concatenate([half, free - half])
        key = np.concatenate([_mixed(key + np.uint64(1)), _mixed(key + np.uint64(2))])
        key -= before(size).astype(np.uint64) * GOLDEN  # so that each set counts its own draws from 0
        own = np.repeat(np.arange(len(size)), size)
        word = _mixed(key[own] + np.arange(len(own), dtype=np.uint64) * GOLDEN)
        number = low[own] + _below(word, width[own])
        free, task = np.tile(free, 2)[own], np.tile(task, 2)[own]
        number -= free * (number >= free)
        passed = np.searchsorted(self.free_before, task * len(self.catalogue) + number, side="right")
        drawn: IntArray = self.catalogue[number + passed - self.first[task]]
        return drawn


def _require_free(free: IntArray, option: str, stage: str, items: int) -> None:
    """Refuse tasks with fewer than two free items, of which `free` has the numbers, (T,)."""
    few = int((free < 2).sum())
    if few:
        raise InputError(
            f"{option}: {few} of {len(free)} {stage} users have a rating of all {items} items on offer, or of "
            "all but one, so that none is left to draw; give the scenario a max_ratings (training users: "
            "train_max_ratings)"
        )


def _mixed(word: Words) -> Words:
    """The hash of SplitMix64."""
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    return word ^ (word >> np.uint64(31))


def _below(word: Words, bound: IntArray) -> IntArray:
    """Whole numbers >= 0 and below the bounds, out of the upper halves of random words."""
    half = np.uint64(32)
    return (((word >> half) * bound.astype(np.uint64)) >> half).astype(np.int64)
