"""Ranking metrics against torchmetrics' retrieval classes, and what ranking over a large catalogue takes."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, retrieval

from metarec.algorithms.base import Algorithm
from metarec.benchmark.batching import batch_of, draw_pool
from metarec.benchmark.records import Record
from metarec.benchmark.setting import QUERY, Cell, Setting
from metarec.benchmark.timing import interleaved, middle, ratio
from metarec.catalogue import Catalogue
from metarec.data.tasks import TaskBatch
from metarec.errors import InputError
from metarec.metrics.functional import auc, ndcg
from metarec.metrics.ranking import average_precision, hit_rate, precision, recall, reciprocal_rank
from metarec.recommend import ItemIndex
from metarec.recommend.memory import peak_bytes

K = 9
"""All of the ten items but the last, which is never relevant here, so that torchmetrics' MAP has our divisor."""

TORCHMETRICS = "torchmetrics"
USERS = 100_000
"""Users that the time for a large catalogue is extrapolated to."""

Function = Callable[[Tensor, Tensor, Tensor], Tensor]


def ranking(setting: Setting) -> list[Record]:
    """Each metric of 5,000 users with ten query items: ours against torchmetrics' class, which loops over users.

    Scores are positive: torchmetrics 1.9 takes a score of 0 or less for an item that was not retrieved.

    Raises:
        InputError: the two values differ.
    """
    users = 200 if setting.quick else 5_000
    random = np.random.default_rng(0)
    score = torch.from_numpy(random.random((users, QUERY)))
    rating = torch.from_numpy(random.integers(1, 6, (users, QUERY)))
    rating.scatter_(1, score.argmin(1, keepdim=True), 1)
    mask = torch.ones_like(rating, dtype=torch.bool)
    query = torch.arange(users).repeat_interleave(QUERY)
    found = []
    for name, (kind, function) in _pairs().items():
        target = rating if name.startswith("ndcg") else rating >= 4
        theirs = partial(_class_value, kind, score.flatten(), target.flatten(), query)
        ours = partial(_function_value, function, score, rating, mask)
        if abs(theirs() - ours()) > 1e-5:
            raise InputError(f"{name}: {ours()} here, {theirs()} by torchmetrics; its speed means nothing")
        runs: dict[str, Callable[[int], object]] = {
            TORCHMETRICS: lambda _, run=theirs: run(),  # type: ignore[misc]
            name: lambda _, run=ours: run(),  # type: ignore[misc]
        }
        seconds = interleaved(runs, min(3, setting.rounds), setting.device, setting.least)
        found.append(_compared(setting, name, users, seconds))
    return found


def _pairs() -> dict[str, tuple[Callable[[], Metric], Function]]:
    """By name, torchmetrics' class and our function, of equal values."""
    skip: dict[str, Any] = {"empty_target_action": "skip"}
    return {
        f"ndcg_linear@{K}": (partial(retrieval.RetrievalNormalizedDCG, top_k=K), partial(ndcg, k=K, gain="linear")),
        f"precision@{K}": (partial(retrieval.RetrievalPrecision, top_k=K, **skip), partial(precision, k=K)),
        f"recall@{K}": (partial(retrieval.RetrievalRecall, top_k=K, **skip), partial(recall, k=K)),
        f"hit@{K}": (partial(retrieval.RetrievalHitRate, top_k=K, **skip), partial(hit_rate, k=K)),
        f"mrr@{K}": (partial(retrieval.RetrievalMRR, top_k=K, **skip), partial(reciprocal_rank, k=K)),
        f"map@{K}": (partial(retrieval.RetrievalMAP, top_k=K, **skip), partial(average_precision, k=K)),
        "auc": (partial(retrieval.RetrievalAUROC, **skip), partial(auc, relevant=4.0)),
    }


def _class_value(kind: Callable[[], Metric], score: Tensor, target: Tensor, query: Tensor) -> float:
    return float(kind()(score, target, indexes=query))


def _function_value(function: Function, score: Tensor, rating: Tensor, mask: Tensor) -> float:
    return float(function(score, rating, mask).nanmean())


def _compared(setting: Setting, name: str, users: int, seconds: dict[str, list[float]]) -> Record:
    speed = ratio(seconds[TORCHMETRICS], seconds[name])
    return Record(
        "ranking", name, threads=setting.threads, ratio=speed.median, spread=(speed.low, speed.high),
        against=TORCHMETRICS, value=1e3 * middle(seconds[name]), unit="ms", rounds=min(3, setting.rounds),
        note=f"{users} users; torchmetrics: {middle(seconds[TORCHMETRICS]):.3g} s", where=setting.where,
    )  # fmt: skip


def catalogue(setting: Setting) -> list[Record]:
    """Users ranked over a synthetic catalogue of a million items, zero-shot and adapted: time and peak memory.

    The items are those of the data set over and over, with weights at random, so what they score means nothing. Once
    with few users and once with four times as many, to see whether memory grows with them.
    """
    items = 5_000 if setting.quick else 1_000_000
    algorithm = setting.algorithm("batched", Cell("decision", 2, 1), setting.net(items)).eval()
    index = ItemIndex(algorithm.net, torch.arange(1, items + 1, device=setting.device))
    sizes = [4, 16]
    pool = draw_pool(setting.tasks, torch.full((sizes[-1],), QUERY), QUERY, seed=0)
    measured = [_ranked(algorithm, index, batch_of(pool, np.arange(users), False, setting.device)) for users in sizes]
    found = []
    for users, (peak, seconds, busy) in zip(sizes, measured, strict=True):
        growth = peak / measured[0][0]
        found.append(Record(
            "catalogue", f"{users} users", threads=setting.threads, ratio=growth, spread=(growth, growth),
            against=f"{sizes[0]} users", value=seconds / users, unit="s/user", rounds=1, axis="items", x=items,
            note=_note(peak, busy / users), where=setting.where,
        ))  # fmt: skip
    return found


def _ranked(algorithm: Algorithm, index: ItemIndex, batch: TaskBatch) -> tuple[int, float, float]:
    """Peak bytes of tensors beyond the item side, seconds, and seconds of the processor, of ranking a batch."""
    information = torch.ones(len(index.catalogue), dtype=torch.float64, device=batch.task.device)
    judge = Catalogue(algorithm, index, information, (10, 20), 4.0)
    started, before = time.perf_counter(), time.process_time()

    def work() -> None:
        judge.judged(batch)

    peak = peak_bytes(work, batch.task.device)
    return peak, time.perf_counter() - started, time.process_time() - before


def _note(peak: int, busy: float) -> str:
    """Peak memory, and how long many users would keep the processor busy, which others on the machine do not change."""
    hours = busy * USERS / 3600
    return (
        f"peak {peak / 1e6:.0f} MB of tensors beyond the item side; {busy:.2f} s of processor a user, {hours:.0f} h "
        f"for {USERS:,} users, extrapolated"
    )
