"""Batches of episodes by number: training batches by global step, validation and test batches in a fixed order."""

from collections.abc import Iterator

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import Dataset, Sampler

from metarec.data.buckets import buckets
from metarec.data.draws import Episodes, draw_episodes, padded
from metarec.data.negatives import Negatives
from metarec.data.ratings import IntArray
from metarec.data.tasks import EpisodeSizes, PackedTasks, TaskBatch
from metarec.errors import InputError

POOL = 12
"""How many consecutive training batches are drawn together, unless fewer make a pass."""


class TrainEpisodes(Dataset[TaskBatch]):
    """Training batches by global step: batch t is a function of (seed, t) alone.

    Tasks come in an endless stream of shuffled passes; step t takes the t-th run of `batch_size` tasks, so
    every batch is full. The batches of `POOL` consecutive steps, or of one pass where that is shorter, are
    drawn together, and a step then indexes into its pool. A pool keeps 12 bytes a rating of its support and
    query sets, and a negative; while it is drawn, up to 30 more a rating of its tasks, and 60 a negative.

    A batch's tasks stand in ascending order of support length, in the buckets that suit them. With several
    ranks each takes every ranks-th task of the same global batch.

    Args:
        tasks: the packed training tasks.
        sizes: support and query sizes.
        batch_size: tasks a step, over all ranks.
        seed: episode seed.
        shuffle: draw support and query at random, else in time order.
        rank: which share to take.
        ranks: how many shares there are; must divide `batch_size`.
        length_sorted: fill batches with tasks of similar support length; see `EpisodeDataModule`.
        negatives: draws negatives beside the ratings, which stay the same; null: none.
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
        length_sorted: bool = False,
        negatives: Negatives | None = None,
    ) -> None:
        if batch_size % ranks:
            raise InputError(f"batch_size {batch_size} does not divide among {ranks} processes; use a multiple")
        self.tasks, self.sizes, self.batch_size, self.seed = tasks, sizes, batch_size, seed
        self.shuffle, self.rank, self.ranks, self.length_sorted = shuffle, rank, ranks, length_sorted
        self.negatives = negatives
        self.pool = min(POOL, max(1, len(tasks.task) // batch_size))
        self._passes: dict[int, torch.Tensor] = {}
        self._pools: dict[int, Episodes] = {}

    def __len__(self) -> int:
        """Steps an epoch: as many as a pass has, rounded up; later epochs begin inside a pass."""
        return -(-len(self.tasks.task) // self.batch_size)

    def __getitem__(self, step: int) -> TaskBatch:
        """The batch of global step `step`, or this rank's share of it."""
        number, place = divmod(step, self.pool)
        if number not in self._pools:
            self._pools = {number: self._draw(number)}
        rows = slice(place * self.batch_size + self.rank, (place + 1) * self.batch_size, self.ranks)
        episodes = self._pools[number].at(rows)
        return padded(episodes)._replace(buckets=buckets(episodes.support_size, episodes.query_size))

    def _draw(self, number: int) -> Episodes:
        """The episodes of pool `number`, batch after batch."""
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, 1, number))
        count = self.pool * self.batch_size
        chosen = self._stream(torch.arange(number * count, (number + 1) * count))
        episodes = draw_episodes(self.tasks, chosen, self.sizes, generator, self.shuffle)
        episodes = episodes.at(self._order(episodes.support_size, generator))
        if self.negatives is None:
            return episodes
        return self.negatives.added(episodes, np.arange(count), mixed_seed(self.seed, 3, number))

    def _order(self, length: IntArray, generator: torch.Generator) -> IntArray:
        """The order of a pool's tasks: ascending support length inside each batch, or in the whole pool.

        In the whole pool, the batches that it is then cut into come in random order.
        """
        ascending = length.argsort(kind="stable")
        if not self.length_sorted:
            return ascending[(ascending // self.batch_size).argsort(kind="stable")]
        mixed = torch.randperm(self.pool, generator=generator).numpy()
        order: IntArray = ascending.reshape(self.pool, self.batch_size)[mixed].ravel()
        return order

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
        rank: which share of the users to take.
        ranks: how many shares there are; shares may differ by one user, none is taken twice.
        negatives: draws negatives beside the ratings, for a task always the same ones; null: none.
        seed: of the negatives.
    """

    def __init__(
        self,
        tasks: PackedTasks,
        sizes: EpisodeSizes,
        batch_size: int,
        shuffle: bool,
        rank: int = 0,
        ranks: int = 1,
        negatives: Negatives | None = None,
        seed: int = 0,
    ) -> None:
        self.tasks, self.sizes, self.shuffle, self.negatives, self.seed = tasks, sizes, shuffle, negatives, seed
        self.draws = tasks.draws
        number = torch.arange(len(tasks.task))
        self.batches = torch.split(number[number // self.draws % ranks == rank], batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> TaskBatch:
        """Batch `number`."""
        episodes = draw_episodes(self.tasks, self.batches[number], self.sizes, None, self.shuffle)
        if self.negatives is not None:
            draw = (self.batches[number] % self.draws).numpy()
            episodes = self.negatives.added(episodes, episodes.task + (draw << 32), mixed_seed(self.seed, 3))
        return padded(episodes)


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


def mixed_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed out of several whole numbers >= 0."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
