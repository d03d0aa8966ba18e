"""EpisodeDataModule: the LightningDataModule that yields batches of tasks."""

import hashlib
import logging
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from metarec.data import shared
from metarec.data.episodes import EvalEpisodes, StepSampler, TrainEpisodes
from metarec.data.negatives import Negatives
from metarec.data.ratings import IntArray, Ratings
from metarec.data.scenario import Scenario, Split, Tasks
from metarec.data.shots import ShotEpisodes
from metarec.data.sources import swapped
from metarec.data.tasks import EpisodeSizes, PackedTasks, TaskBatch, on_device, pack, require
from metarec.errors import InputError, at_least

logger = logging.getLogger(__name__)

Order = Literal["random", "time"]
"""How a task's ratings are divided into support and query: at random, or the earliest as support."""


class EpisodeDataModule(LightningDataModule):
    """Divides a data set by scenario and yields batches of its tasks' episodes.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        scenario: which users are trained on, validated on and tested on.
        order: `random` draws support and query at random, `time` takes the earliest ratings as support, for which
            the data set must have times. Where the scenario is one by time, validation and test take the earliest
            whatever is said here: nothing is adapted to that is later than what is asked.
        train_order: the same of training episodes alone; null: as `order`. In an order of time with fixed sizes, a
            task's episode is always the same.
        tasks: `users`, or `items` for tasks that each are an item's ratings, so that `item_cold` is what meets new
            tasks. The column `user` of whatever a run writes then has ids of items, `item` those of users.
        train_support: smallest and largest support size of a training episode, drawn evenly. The query set comes first:
            a user with n ratings gets n - train_query of them as support at most, or the smallest size if that is more
            (null: n - 1). With [3, 60] and a query of 20, users with 23 ratings or fewer always have a support of 3.
        train_query: largest query size of a training episode; null: all ratings but the support.
        eval_support: support size of validation and test; null: all ratings but the query. 0: nothing is adapted to,
            and what is called adapted is zero-shot.
        eval_query: query size of validation and test; null: all ratings but the support.
        batch_size: training tasks a step, over all processes.
        eval_batch_size: validation and test tasks a batch.
        test_draws: how many times each test user's ratings are divided anew into support and query set. A user's value
            is the mean over them: more of them lessen the chance in what happens to be asked. With order `time`, 1.
        seed: seed of the training episodes.
        num_workers: processes that draw training episodes; 0 is fastest for packed tasks.
        length_sorted: fill each training batch with tasks of similar support length, out of some 12 batches drawn
            together. Less padding, so faster; but tasks with few and with many ratings no longer meet in a batch.
        negatives: how many items that its user has no rating of each rating of an episode brings along as rows of
            rating 0, see `metarec.data.negatives`; sizes of support and query sets do not count them. 0: none. Of likes
            and dislikes, both kinds bring them, and neither is ever drawn. Training draws them anew in each episode; a
            validation or test user's are fixed by the scenario's seed.

    Raises:
        InputError: a number is out of range, negatives are asked for beside ratings that are no clicks, or an order in
            time of ratings without times.
    """

    def __init__(
        self,
        ratings: Ratings,
        scenario: Scenario,
        order: Order = "random",
        train_order: Order | None = None,
        tasks: Tasks = "users",
        train_support: tuple[int, int] = (3, 20),
        train_query: int | None = 20,
        eval_support: int | None = 10,
        eval_query: int | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 128,
        test_draws: int = 1,
        seed: int = 0,
        num_workers: int = 0,
        length_sorted: bool = False,
        negatives: int = 0,
    ) -> None:
        super().__init__()
        _require_word("order", order, "random", "time")
        _require_word("train_order", train_order or order, "random", "time")
        _require_word("tasks", tasks, "users", "items")
        if eval_support is None and eval_query is None and scenario.new:
            raise InputError("data.eval_support and data.eval_query are both null; give at least one of them")
        at_least(1, data__train_query=train_query, data__eval_query=eval_query)
        at_least(1, data__batch_size=batch_size, data__eval_batch_size=eval_batch_size, data__test_draws=test_draws)
        at_least(0, data__num_workers=num_workers, data__negatives=negatives, data__eval_support=eval_support)
        in_time = order == "time" or scenario.by == "time"
        if in_time or train_order == "time":
            _require_times(ratings, test_draws if in_time else 1)
        if negatives:
            _require_clicks(ratings, negatives)
        if not 0 < train_support[0] <= train_support[1]:
            raise InputError(f"data.train_support {list(train_support)}: give 1 <= smallest <= largest")
        self.given, self.scenario, self.tasks = ratings, scenario, tasks
        self.shuffle, self.train_shuffle = not in_time, (train_order or order) == "random"
        self.train_sizes = EpisodeSizes(*train_support, train_query)
        self.eval_sizes = EpisodeSizes(eval_support, eval_support, eval_query)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.seed, self.num_workers, self.length_sorted = seed, num_workers, length_sorted
        self.negatives, self.test_draws = negatives, test_draws
        self._told = False

    @property
    def schema(self) -> dict[str, Any]:
        """What a net must know of the data, as plain numbers, and whose tasks they are, if not users'."""
        return self.ratings.schema | ({"tasks": "items"} if self.tasks == "items" else {})

    @cached_property
    def split(self) -> Split:
        """The scenario's split of the ratings."""
        return shared.split_of(self.scenario, self.given, self.tasks)

    @cached_property
    def ratings(self) -> Ratings:
        """The data set, users being whose tasks they are; a scale and ranges that nobody gave are those of training."""
        settled = self.given.settled(self.split.known) if self.given.unsettled else self.given
        return settled if self.tasks == "users" else swapped(settled)

    @cached_property
    def known(self) -> Ratings:
        """The training ratings alone, with all attributes: whatever an algorithm is given, it cannot see others.

        With those that the weights to start from were trained on, if training goes on from some.
        """
        return self.ratings.at(self.split.known)

    @cached_property
    def train_tasks(self) -> PackedTasks:
        """All training ratings in time order, one task a user."""
        return pack(self.ratings, self.split.train)

    @cached_property
    def known_tasks(self) -> PackedTasks:
        """All known ratings in time order, one task a user; the only source of statistics."""
        return pack(self.ratings, self.split.known) if len(self.split.earlier) else self.train_tasks

    @cached_property
    def val_tasks(self) -> PackedTasks:
        """All ratings of the validation tasks, in their final order."""
        return self._eval_tasks("val")

    @cached_property
    def test_tasks(self) -> PackedTasks:
        """All ratings of the test tasks, in their final order, `test_draws` orders of each user's."""
        return self._eval_tasks("test", self.test_draws)

    @cached_property
    def catalogue(self) -> IntArray:
        """The items known in training, in random order: what negatives are drawn from where items are known."""
        return self._in_random_order(self.known_tasks)

    @property
    def test_digest(self) -> str:
        """SHA-256 of the test episodes: who is tested, on which rows and negatives, adapted to which."""
        content = hashlib.sha256(repr((self.eval_sizes, self.shuffle)).encode())
        negatives = self._negatives(self.test_tasks, "test")
        if negatives is not None:
            content.update(repr((self.negatives, self.scenario.seed)).encode() + negatives.catalogue.tobytes())
            content.update(negatives.elsewhere.tobytes())
        for column in self.test_tasks:
            content.update(b"" if column is None else column.numpy().tobytes())
        return content.hexdigest()

    def _eval_tasks(self, stage: Literal["val", "test"], draws: int = 1) -> PackedTasks:
        rows = getattr(self.split, stage)
        return pack(
            self.ratings, rows, self.scenario.seed if self.shuffle else None, draws, self.split.support.get(stage)
        )

    def transfer_batch_to_device(self, batch: TaskBatch, device: torch.device, dataloader_idx: int) -> TaskBatch:
        """Copy the tensors of a batch, from pinned memory asynchronously; Lightning itself looks into every bucket."""
        return on_device(batch, device)

    def train_dataloader(self) -> DataLoader[TaskBatch]:
        """Training episodes, one batch a global step."""
        require(self.train_tasks, self.train_sizes, "training")
        options = (self.batch_size, self.seed, self.train_shuffle, *self._ranks(), self.length_sorted)
        self._tell_odd_times()
        negatives = self._negatives(self.train_tasks, "training")
        episodes = TrainEpisodes(self.train_tasks, self.train_sizes, *options, negatives)
        return _loader(episodes, sampler=StepSampler(self, len(episodes)), num_workers=self.num_workers)

    def val_dataloader(self) -> DataLoader[TaskBatch]:
        """Validation episodes."""
        return self._eval_loader(self.val_tasks, "validation")

    def test_dataloader(self) -> DataLoader[TaskBatch]:
        """Test episodes."""
        return self._eval_loader(self.test_tasks, "test")

    def predict_dataloader(self) -> DataLoader[TaskBatch]:
        """Test episodes, to be scored; of each user the first draw, so that no item is asked for twice."""
        return self._eval_loader(self._eval_tasks("test"), "test")

    def shot_episodes(self, sizes: EpisodeSizes) -> ShotEpisodes:
        """Test episodes for k-shot curves, of other sizes than those of the test; see `metarec.data.shots`."""
        options = (self.eval_batch_size, self.shuffle, *self._ranks(), self._negatives(self.test_tasks, "test"))
        return ShotEpisodes(self.test_tasks, sizes, *options, self.scenario.seed)

    def _eval_loader(self, tasks: PackedTasks, stage: str) -> DataLoader[TaskBatch]:
        require(tasks, self.eval_sizes, stage)
        rank, ranks = self._ranks()
        _require_one_each(len(tasks.task) // tasks.draws, ranks, stage)
        self._tell_odd_times()
        options = (self.eval_batch_size, self.shuffle, rank, ranks)
        negatives = self._negatives(tasks, stage)
        return _loader(EvalEpisodes(tasks, self.eval_sizes, *options, negatives, self.scenario.seed))

    def _tell_odd_times(self) -> None:
        """Say once what is odd about the times, now that nothing is refused any more."""
        if self.given.odd_times and not self._told and self._ranks()[0] == 0:
            logger.warning(self.given.odd_times)
            self._told = True

    def _negatives(self, tasks: PackedTasks, stage: str) -> Negatives | None:
        """What draws the negatives of the tasks' episodes, if there are to be any."""
        if not self.negatives:
            return None
        offered = self.catalogue if stage == "training" else self._offered(tasks)
        known = None if tasks is self.known_tasks else self.known_tasks
        return Negatives(tasks, offered, self.negatives, stage, known)

    def _offered(self, tasks: PackedTasks) -> IntArray:
        """What negatives of validation or test tasks are drawn from: new items where items are new, else known ones."""
        other = "items" if self.tasks == "users" else "users"
        return self._in_random_order(tasks) if other in self.scenario.new else self.catalogue

    def _in_random_order(self, tasks: PackedTasks) -> IntArray:
        """The items of the tasks, each once."""
        return np.random.default_rng(self.scenario.seed).permutation(np.unique(tasks.item.numpy()))

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def _require_one_each(tasks: int, ranks: int, stage: str) -> None:
    """Refuse more processes than tasks: one without any would have nothing to add to the means of the others."""
    if tasks < ranks:
        raise InputError(f"{tasks} {stage} task(s) for {ranks} processes; give --trainer.devices={tasks} or fewer")


def _require_word(name: str, given: str, first: str, second: str) -> None:
    """Refuse any but two words."""
    if given not in (first, second):
        raise InputError(f"data.{name} {given!r}: give {first!r} or {second!r}")


def _require_clicks(ratings: Ratings, negatives: int) -> None:
    """Refuse negatives beside ratings that are no clicks."""
    if ratings.scale != (0, 1):
        raise InputError(
            f"data.negatives {negatives}: a negative is a rating of 0, and {ratings.name} has ratings in "
            f"{list(ratings.scale)}; give clicks, as metarec.data.sources.clicks makes them"
        )


def _require_times(ratings: Ratings, test_draws: int) -> None:
    """Refuse an order in time of ratings without times, or draws of what has but one order."""
    if not ratings.timed:
        raise InputError(f"data.order 'time': {ratings.name} has no times to order by; give order 'random'")
    if test_draws > 1:
        raise InputError(f"data.test_draws {test_draws}: order 'time' leaves none to draw; give 1, or order random")


def _loader(episodes: Dataset[TaskBatch], **options: Any) -> DataLoader[TaskBatch]:
    """A loader of batches as they are; in pinned memory for a GPU, to which Lightning then copies asynchronously."""
    pinned = torch.cuda.is_available()
    return DataLoader(episodes, batch_size=None, collate_fn=_unchanged, pin_memory=pinned, **options)


def _unchanged(batch: Any) -> Any:
    """Instead of the loader's own conversion, which makes a list of the tuple of buckets."""
    return batch
