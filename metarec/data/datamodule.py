"""EpisodeDataModule: the LightningDataModule that yields batches of tasks."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from metarec.data.ratings import Ratings
from metarec.data.splits import Scenario, Split
from metarec.data.tasks import EpisodeSizes, PackedTasks, TaskBatch, draw, pack, require
from metarec.errors import InputError, at_least


class TrainEpisodes(Dataset[TaskBatch]):
    """Training batches by global step: batch t is a function of (seed, t) alone.

    Tasks come in an endless stream of shuffled passes; step t takes the t-th run of `batch_size` tasks, so
    every batch is full. With several ranks each takes its equal share of the same global batch.

    Args:
        tasks: the packed training tasks.
        sizes: support and query sizes.
        batch_size: tasks a step, over all ranks.
        seed: episode seed.
        shuffle: draw support and query at random, else in time order.
        rank: which share to take.
        ranks: how many shares there are; must divide `batch_size`.
    """

    def __init__(
        self,
        tasks: PackedTasks,
        sizes: EpisodeSizes,
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch_size % ranks:
            raise InputError(f"batch_size {batch_size} does not divide among {ranks} processes; use a multiple")
        self.tasks, self.sizes, self.batch_size, self.seed = tasks, sizes, batch_size, seed
        self.shuffle, self.rank, self.ranks = shuffle, rank, ranks
        self._passes: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        """Steps an epoch: enough to see every task."""
        return -(-len(self.tasks.task) // self.batch_size)

    def __getitem__(self, step: int) -> TaskBatch:
        """The batch of global step `step`, or this rank's share of it."""
        places = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, 1, step))
        batch = draw(self.tasks, self._stream(places), self.sizes, generator, self.shuffle)
        if self.ranks == 1:
            return batch
        return _share(batch, slice(self.rank, None, self.ranks))

    def _stream(self, places: torch.Tensor) -> torch.Tensor:
        """Tasks at the given places of the endless stream of shuffled passes."""
        count = len(self.tasks.task)
        wanted = range(int(places[0]) // count, int(places[-1]) // count + 1)
        self._passes = {
            number: self._passes[number] if number in self._passes else self._pass(number) for number in wanted
        }
        stacked = torch.cat(list(self._passes.values()))
        return stacked[places - wanted.start * count]

    def _pass(self, number: int) -> torch.Tensor:
        """All tasks in the order of pass `number`."""
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, 0, number))
        return torch.randperm(len(self.tasks.task), generator=generator)


class EvalEpisodes(Dataset[TaskBatch]):
    """Validation or test batches: each task once, always with the same support and query rows.

    Args:
        tasks: packed tasks, their order already final.
        sizes: support and query sizes.
        batch_size: tasks a batch.
        shuffle: whether the packed order is a shuffled one.
        rank: which share of the tasks to take.
        ranks: how many shares there are; shares may differ by one task, none is taken twice.
    """

    def __init__(
        self,
        tasks: PackedTasks,
        sizes: EpisodeSizes,
        batch_size: int,
        shuffle: bool,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.tasks, self.sizes, self.shuffle = tasks, sizes, shuffle
        self.batches = torch.split(torch.arange(rank, len(tasks.task), ranks), batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> TaskBatch:
        """Batch `number`."""
        return draw(self.tasks, self.batches[number], self.sizes, None, self.shuffle)


class StepSampler(Sampler[int]):
    """Yields the global steps of one epoch, from wherever training stands; exact after a resume.

    Args:
        module: the data module, whose trainer knows the steps done so far.
        steps: steps an epoch.
    """

    def __init__(self, module: LightningDataModule, steps: int) -> None:
        self.module, self.steps = module, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[int]:
        trainer = self.module.trainer
        done = trainer.fit_loop.epoch_loop.batch_progress.total.ready if trainer is not None else 0
        yield from range(done, done + self.steps)  # the trainer stops at the end of its epoch, which may be earlier


class EpisodeDataModule(LightningDataModule):
    """Splits the users of a data set by scenario and yields batches of their episodes.

    Args:
        ratings: the data set; in a configuration, the function that reads it.
        scenario: which users are trained on, validated on and tested on.
        order: `random` draws support and query at random, `time` takes the earliest ratings as support.
        train_support: smallest and largest support size of a training episode, drawn evenly.
        train_query: largest query size of a training episode; null: all ratings but the support.
        eval_support: support size of validation and test; null: all ratings but the query.
        eval_query: query size of validation and test; null: all ratings but the support.
        batch_size: training tasks a step, over all processes.
        eval_batch_size: validation and test tasks a batch.
        seed: seed of the training episodes.
        num_workers: processes that draw training episodes; 0 is fastest for packed tasks.
    """

    def __init__(
        self,
        ratings: Ratings,
        scenario: Scenario,
        order: Literal["random", "time"] = "random",
        train_support: tuple[int, int] = (3, 20),
        train_query: int | None = 20,
        eval_support: int | None = 10,
        eval_query: int | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 128,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if order not in ("random", "time"):
            raise InputError(f"data.order {order!r}: give 'random' or 'time'")
        if eval_support is None and eval_query is None:
            raise InputError("data.eval_support and data.eval_query are both null; give at least one of them")
        at_least(1, data__train_query=train_query, data__eval_support=eval_support, data__eval_query=eval_query)
        at_least(1, data__batch_size=batch_size, data__eval_batch_size=eval_batch_size)
        at_least(0, data__num_workers=num_workers)
        if not 0 < train_support[0] <= train_support[1]:
            raise InputError(f"data.train_support {list(train_support)}: give 1 <= smallest <= largest")
        self.ratings, self.scenario, self.shuffle = ratings, scenario, order == "random"
        self.train_sizes = EpisodeSizes(*train_support, train_query)
        self.eval_sizes = EpisodeSizes(eval_support, eval_support, eval_query)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.seed, self.num_workers = seed, num_workers

    @property
    def schema(self) -> dict[str, Any]:
        """What a net must know of the data, as plain numbers."""
        return self.ratings.schema

    @cached_property
    def split(self) -> Split:
        """The scenario's split of the ratings."""
        return self.scenario(self.ratings)

    @cached_property
    def train_tasks(self) -> PackedTasks:
        """All training ratings in time order, one task a user; the only source of statistics."""
        return pack(self.ratings, self.split.train)

    @cached_property
    def val_tasks(self) -> PackedTasks:
        """All ratings of the validation users, in their final order."""
        return self._eval_tasks(self.split.val)

    @cached_property
    def test_tasks(self) -> PackedTasks:
        """All ratings of the test users, in their final order."""
        return self._eval_tasks(self.split.test)

    @property
    def test_digest(self) -> str:
        """SHA-256 of the test episodes: who is tested, on which rows, adapted to which."""
        content = hashlib.sha256(repr((self.eval_sizes, self.shuffle)).encode())
        for column in self.test_tasks:
            content.update(column.numpy().tobytes())
        return content.hexdigest()

    def _eval_tasks(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> PackedTasks:
        return pack(self.ratings, rows, self.scenario.seed if self.shuffle else None)

    def train_dataloader(self) -> DataLoader[TaskBatch]:
        """Training episodes, one batch a global step."""
        require(self.train_tasks, self.train_sizes, "training")
        episodes = TrainEpisodes(
            self.train_tasks, self.train_sizes, self.batch_size, self.seed, self.shuffle, *self._ranks()
        )
        sampler = StepSampler(self, len(episodes))
        return DataLoader(episodes, batch_size=None, sampler=sampler, num_workers=self.num_workers)

    def val_dataloader(self) -> DataLoader[TaskBatch]:
        """Validation episodes."""
        return self._eval_loader(self.val_tasks, "validation")

    def test_dataloader(self) -> DataLoader[TaskBatch]:
        """Test episodes."""
        return self._eval_loader(self.test_tasks, "test")

    def predict_dataloader(self) -> DataLoader[TaskBatch]:
        """Test episodes, to be scored."""
        return self.test_dataloader()

    def _eval_loader(self, tasks: PackedTasks, stage: str) -> DataLoader[TaskBatch]:
        require(tasks, self.eval_sizes, stage)
        episodes = EvalEpisodes(tasks, self.eval_sizes, self.eval_batch_size, self.shuffle, *self._ranks())
        return DataLoader(episodes, batch_size=None)

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def mixed_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed out of several whole numbers >= 0."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _share(batch: TaskBatch, rows: slice) -> TaskBatch:
    """The given tasks of a batch, with the padding of the whole batch."""
    support, query = (type(part)(*(column[rows] for column in part)) for part in (batch.support, batch.query))
    return TaskBatch(batch.task[rows], support, query)
