"""Ranking over the full catalogue: every test user's relevant items among all items that they have not seen."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from metarec.algorithms.base import Algorithm
from metarec.data.tasks import PackedTasks, Rows, TaskBatch, pack, ratings_of
from metarec.errors import InputError, at_least
from metarec.judging import Columns
from metarec.metrics import catalogue, ranks
from metarec.metrics.ranks import Ranks
from metarec.module import MODES
from metarec.nets.base import NoNet
from metarec.recommend import ItemIndex, score_all

SCORES = 2**22
"""Most user-item scores in memory at once, unless one user has more; some 30 bytes are needed for each."""

METRICS: dict[str, Callable[[Ranks, int], Tensor]] = {
    "ndcg": ranks.ndcg,
    "recall": ranks.recall,
    "precision": ranks.precision,
    "hit": ranks.hit,
    "mrr": ranks.reciprocal_rank,
    "map": ranks.average_precision,
}


class FullCatalogue(Callback):
    """Judges a test over the full catalogue too, zero-shot and adapted, under names of its own: ``full_ndcg@10``.

    Each test user is adapted on their support set, all items of the catalogue are scored, those that the user has rated
    before are left out (the support set, and a known user's other known ratings), and the query items rated `relevant`
    or more are to stand at the top. All else counts as not relevant, unrated items too, so figures are low, and say
    more of popular items than of taste (Cañamares and Castells, SIGIR 2018); among the rated query items they are high,
    and the two are not to be compared. nDCG has gain 1 for a relevant item. Ties are scored by expectation, see
    `metarec.metrics.ranks`.

    Every user's values become columns of ``per_task.parquet``: for each metric and cut-off ``zero_shot/``,
    ``adapted/`` and ``chance/``, what a random order scores on average; ``novelty@K`` in bits; ``full_relevant``, how
    many relevant items there were to find, and ``full_outside``, how many more are no candidates. Their means are
    logged as ``test/...``, with the gains by adaptation, ``coverage@K`` over all test users, and ``full_missing``, the
    number of users without a value: no relevant candidate, or scores that are not finite. Sampled negatives
    (`data.negatives`) are neither seen nor relevant; dislikes of the data themselves are seen.

    A user is scored in blocks of items, and `SCORES` scores at a time are counted, never sorted: memory does not grow
    with the number of users.

    Args:
        k: cut-offs.
        relevant: lowest rating of a relevant item; null: the model's `relevant`, and 1 for clicks.
        items: what the catalogue is: `known` items, those with a training rating; `new` ones, those of the test tasks
            without; or `all` of the data set.
        memory: bytes for adapting and scoring, beyond the scores themselves; null: a quarter of what is free.

    Raises:
        InputError: there is no cut-off, or one is below 1.
    """

    def __init__(
        self,
        k: Sequence[int] = (10, 20),
        relevant: float | None = None,
        items: Literal["known", "new", "all"] = "known",
        memory: int | None = None,
    ) -> None:
        if not k:
            raise InputError("FullCatalogue: k is empty; give cut-offs such as [10, 20]")
        at_least(1, k=min(k), memory=memory)
        if items not in ("known", "new", "all"):
            raise InputError(f"FullCatalogue: items {items!r}; give 'known', 'new' or 'all'")
        self.k, self.relevant, self.items, self.memory = list(k), relevant, items, memory
        self._catalogue: Catalogue | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute what all users share.

        Raises:
            InputError: a cut-off leaves nothing out, no rating is relevant, or no test item is in the catalogue.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        least = self._least(pl_module, data.ratings.scale)
        rated = torch.bincount(data.known_tasks.item, minlength=data.schema["items"])
        rows = self._rows(rated, data.test_tasks.item.unique())
        if max(self.k) >= len(rows):
            raise InputError(f"FullCatalogue: k {max(self.k)}: the catalogue has {len(rows)} items; give a smaller one")
        users = len(data.known_tasks.task.unique())
        information = catalogue.self_information(rated[rows], users)
        algorithm: Any = pl_module.algorithm
        net = getattr(algorithm, "net", None) or NoNet(data.schema)
        index = ItemIndex(net, rows)
        own = information.to(pl_module.device)
        known = _known(data)
        self._catalogue = Catalogue(algorithm, index, own, self.k, least, data.negatives, self.memory, known)

    def _least(self, module: Any, scale: tuple[float, float]) -> float:
        """The lowest rating of a relevant item."""
        least = self.relevant
        if least is None:
            least = 1.0 if module.feedback == "clicks" else float(module.relevant)
        if least > scale[1]:
            raise InputError(
                f"FullCatalogue: relevant {least}: no rating on the scale {list(scale)} is; give a lower one"
            )
        return least

    def _rows(self, rated: Tensor, tested: Tensor) -> Tensor:
        """The item rows of the catalogue, of how often each is rated in training, and of those of the test tasks."""
        if self.items == "all":
            return torch.arange(1, len(rated))
        new = rated[tested] == 0
        if self.items == "known" and new.all():
            raise InputError(
                f"FullCatalogue: items known: none of the {len(tested)} items of the test tasks has a training rating; "
                "give items new, as configs/evaluation/full_catalogue_new_items.yaml does, or all"
            )
        if self.items == "new" and not new.any():
            raise InputError(
                "FullCatalogue: items new: every item of the test tasks has a training rating; give items known"
            )
        return tested[new] if self.items == "new" else rated.nonzero().flatten()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: TaskBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Give the users of the batch their columns."""
        assert self._catalogue is not None
        found = self._catalogue.judged(batch)
        pl_module.per_task[-1].update({name: column.cpu() for name, column in found.items()})  # type: ignore[index, union-attr]

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log means over the users that have a value, gains by adaptation, and coverage."""
        assert self._catalogue is not None
        batches: Any = pl_module.per_task
        modes = [f"{mode}/{name}" for mode in (*MODES, "chance") for name in names(self.k)]
        columns = [name for name in [*modes, "full_relevant", "full_outside"] if not name.startswith("chance/novelty")]
        means, missing = _means(trainer, pl_module, batches, columns)
        pl_module.log_dict({f"test/{name}": mean for name, mean in means.items()})
        pl_module.log("test/full_missing", missing)
        for name in names(self.k):
            pl_module.log(f"test/gain/{name}", means[f"adapted/{name}"] - means[f"zero_shot/{name}"])
        for (mode, k), missed in self._catalogue.missed.items():
            total: Any = trainer.strategy.reduce(missed, reduce_op="sum")
            pl_module.log(f"test/{mode}/coverage@{k}", catalogue.coverage(total))
        self._catalogue = None


def names(k: Sequence[int]) -> list[str]:
    """The metrics that `FullCatalogue` gives every user, as tables name them."""
    return [f"full_{name}@{cut}" for cut in k for name in METRICS] + [f"novelty@{cut}" for cut in k]


def names_of_runs(k: Sequence[int]) -> list[str]:
    """The metrics of which `FullCatalogue` gives a run one value, over all of its users."""
    return [f"coverage@{cut}" for cut in k]


class Catalogue:
    """What all test users share, and how a batch of them is judged.

    Args:
        algorithm: the algorithm, in evaluation mode.
        index: the item side of its net; its `catalogue` is what is ranked, C items.
        information: their self-information in bits, (C,), on the device of the batches.
        k: cut-offs, below C.
        relevant: lowest rating of a relevant item.
        negatives: how many sampled negatives, which nobody has seen, stand behind each rating of a support set.
        memory: see `FullCatalogue`.
        known: what users have rated before the test, a task a user; null: their support sets are all.

    Attributes:
        missed: by mode and cut-off, the sum over users of `log_missed`, (C,).
    """

    def __init__(
        self,
        algorithm: Algorithm,
        index: ItemIndex,
        information: Tensor,
        k: Sequence[int],
        relevant: float,
        negatives: int = 0,
        memory: int | None = None,
        known: PackedTasks | None = None,
    ) -> None:
        self.algorithm, self.index, self.information, self.k = algorithm, index, information, k
        self.relevant, self.negatives, self.memory, self.known = relevant, negatives, memory, known
        self.place = torch.full((index.items,), -1, device=information.device)
        self.place[index.catalogue.to(self.place)] = torch.arange(len(information), device=information.device)
        self.missed = {(mode, cut): torch.zeros_like(information) for mode in MODES for cut in k}

    def judged(self, batch: TaskBatch) -> Columns:
        """The columns of a batch, a few users at a time."""
        size = max(1, SCORES // len(self.information))
        parts = []
        for start in range(0, len(batch.task), size):
            support, query = (Rows(*(column[start : start + size] for column in rows)) for rows in batch[1:3])
            parts.append(self._judged(batch.task[start : start + size], support, query))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _judged(self, task: Tensor, support: Rows, query: Rows) -> Columns:
        """The columns of some users, all of whose scores are in memory."""
        relevant = query.mask & (query.rating >= self.relevant)
        found: Columns = {}
        for mode, rows in zip(MODES, (None, support), strict=True):
            scores, sound = self._scores(task, rows, support)
            stand = catalogue.catalogue_ranks(scores, self.place[query.item], relevant, sound)
            found |= self._of_ranks(mode, stand)
            for k in self.k:
                likely = catalogue.chosen(scores, k).masked_fill_(~sound[:, None], 0.0)
                self.missed[mode, k] += catalogue.log_missed(likely)
                found[f"{mode}/novelty@{k}"] = catalogue.novelty(likely, self.information, k)
        found |= self._of_ranks("chance", ranks.by_chance(stand._replace(sound=torch.ones_like(stand.sound))))
        there = stand.relevant.sum(1)
        return found | {"full_relevant": there, "full_outside": relevant.sum(1) - there}

    def _of_ranks(self, mode: str, stand: Ranks) -> Columns:
        return {f"{mode}/full_{name}@{k}": metric(stand, k) for k in self.k for name, metric in METRICS.items()}

    def _scores(self, task: Tensor, adapts_on: Rows | None, support: Rows) -> tuple[Tensor, Tensor]:
        """Scores (T, C), minus infinity for what the users have seen, and whose were finite, (T,)."""
        scores = score_all(self.algorithm, self.index, task, adapts_on, self.memory)
        if scores.element_size() < 4:
            scores = scores.float()
        sound = scores.isfinite().all(1)
        scores.masked_fill_(~sound[:, None], 0.0)
        rated = torch.arange(support.mask.shape[1], device=task.device) % (1 + self.negatives) == 0
        seen = support.mask & rated
        owner = torch.arange(len(task), device=task.device)[:, None].expand_as(seen)
        self._leave_out(scores, owner[seen], support.item[seen])
        if self.known is not None:
            self._leave_out(scores, *(column.to(task.device) for column in ratings_of(self.known, task.cpu())))
        return scores, sound

    def _leave_out(self, scores: Tensor, owner: Tensor, item: Tensor) -> None:
        """Make items (N,) of the rows `owner` (N,) of the scores (T, C) no candidates."""
        column = self.place[item]
        scores[owner[column >= 0], column[column >= 0]] = -torch.inf


def _known(data: Any) -> PackedTasks:
    """The ratings known before the test, a task a user: of training, and whatever else the test may adapt to."""
    support = data.split.support.get("test")
    return data.train_tasks if support is None else pack(data.ratings, np.union1d(data.split.train, support))


def _means(
    trainer: Trainer, module: LightningModule, batches: Sequence[Columns], names: Sequence[str]
) -> tuple[dict[str, Tensor], Tensor]:
    """Means of columns over the users of all processes that have a value, and how many have no adapted nDCG."""
    sums = torch.zeros(3, len(names), dtype=torch.float64)
    for batch in batches:
        values = torch.stack([batch[name].double() for name in names])
        finite = values.isfinite()
        sums += torch.stack([values.nan_to_num().sum(1), finite.sum(1).double(), (~finite).sum(1).double()])
    reduced: Any = trainer.strategy.reduce(sums.to(module.device), reduce_op="sum")
    first = next(place for place, name in enumerate(names) if name.startswith("adapted/full_ndcg"))
    return dict(zip(names, reduced[0] / reduced[1], strict=True)), reduced[2, first]
