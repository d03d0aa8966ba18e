"""Prediction: one new user adapted and scored on the whole catalogue, and many users with ten queries each."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metarec.algorithms.engines import EngineName
from metarec.algorithms.learn2learn import learn2learn
from metarec.benchmark.batching import batch_of, draw_pool
from metarec.benchmark.contenders import LEARN2LEARN, LOOP
from metarec.benchmark.peers import cut, tasks_of
from metarec.benchmark.records import Record
from metarec.benchmark.setting import INNER_LR, QUERY, Cell, Setting
from metarec.benchmark.timing import interleaved, middle, seconds
from metarec.benchmark.training import judged
from metarec.data.draws import Episodes
from metarec.data.tasks import Rows, TaskBatch, alone
from metarec.errors import InputError
from metarec.recommend import ItemIndex, adapt_and_score, score_all

SUPPORT = 10
CHUNK = 128
"""Users that the batched engine adapts in one call."""

OWN = "metarec.recommend"

Predict = Callable[[TaskBatch], Tensor]


def inference(setting: Setting) -> list[Record]:
    """One user and the whole catalogue; many users one by one and in chunks; and how long all users take."""
    users = 16 if setting.quick else len(setting.tasks.task)
    pool = draw_pool(setting.tasks, torch.full((users,), SUPPORT), QUERY, seed=0)
    found: list[Record] = []
    for cell in [Cell("decision", 2, 1), Cell("decision", 2, 5)][: 1 if setting.quick else 2]:
        found += _catalogue(setting, cell, pool) + _many(setting, cell, pool)
    return found


def _catalogue(setting: Setting, cell: Cell, pool: Episodes) -> list[Record]:
    """One new user: ten ratings to adapt on, all rated items to score; another user each round."""
    items = torch.unique(setting.tasks.item).to(setting.device)[None]
    batches = []
    for number in range(setting.rounds):
        batch = batch_of(pool, np.array([number % len(pool.task)]), False, setting.device)
        whole = Rows(items, torch.zeros(items.shape, device=items.device), torch.ones_like(items, dtype=torch.bool))
        batches.append(batch._replace(query=whole))
    recommend, note = _catalogue_of_one(setting, cell, items[0])
    runs = _predictors(setting, cell) | {OWN: recommend}
    _check(runs, batches[0])
    found = interleaved(
        {name: _rounds(run, batches) for name, run in runs.items()}, setting.rounds, setting.device, setting.least
    )
    record = Record("inference", "", *cell, "one user, all items", setting.threads, where=setting.where)
    records = [_judged(record, name, costs, found, "ms/user") for name, costs in found.items()]
    return [replace(own, note=note) if own.engine == OWN else own for own in records]


def _many(setting: Setting, cell: Cell, pool: Episodes) -> list[Record]:
    """Many users with ten queries each: in chunks, and one by one on as many as one chunk holds."""
    places = np.arange(len(pool.task))
    chunks = [
        batch_of(pool, places[start : start + CHUNK], False, setting.device) for start in range(0, len(places), CHUNK)
    ]
    one_by_one = [alone(chunks[0], number) for number in range(len(chunks[0].task))]
    given = {LOOP: one_by_one, LEARN2LEARN: one_by_one, "batched": chunks, "fused": chunks, OWN: [_whole(chunks)]}
    predictors = _predictors(setting, cell) | {OWN: _many_at_once(setting, cell)}
    _check(predictors, one_by_one[0])
    runs = {name: _each(predictors[name], batches) for name, batches in given.items()}
    found = interleaved(runs, setting.rounds, setting.device, setting.least)
    users = {name: sum(len(batch.task) for batch in batches) for name, batches in given.items()}
    each = {name: [cost / users[name] for cost in costs] for name, costs in found.items()}
    record = Record("inference", "", *cell, "all users, ten queries", setting.threads, where=setting.where)
    records = [_judged(record, name, costs, each, "ms/user") for name, costs in each.items()]
    return [_with_total(own, users[own.engine], len(pool.task)) for own in records]


def _whole(chunks: list[TaskBatch]) -> TaskBatch:
    """All users in one batch; they have equally many ratings."""
    sides = [[getattr(chunk, side) for chunk in chunks] for side in ("support", "query")]
    support, query = (Rows(*(torch.cat(columns) for columns in zip(*rows, strict=True))) for rows in sides)
    return TaskBatch(torch.cat([chunk.task for chunk in chunks]), support, query)


def _catalogue_of_one(setting: Setting, cell: Cell, items: Tensor) -> tuple[Predict, str]:
    """`metarec.recommend.score_all`, the item side computed before the clock runs, and a note of how long that is."""
    algorithm = setting.algorithm("batched", cell).eval()

    def index() -> ItemIndex:
        return ItemIndex(algorithm.net, items)

    once = index()
    built = middle([seconds(index, setting.device, setting.least) for _ in range(setting.rounds)])
    note = f"item side computed before, once for all users, in {1e3 * built:.2f} ms; by the others for each user"
    return lambda batch: score_all(algorithm, once, batch.task, batch.support), note


def _many_at_once(setting: Setting, cell: Cell) -> Predict:
    """`metarec.recommend.adapt_and_score`, which cuts the users into chunks itself."""
    algorithm = setting.algorithm("batched", cell).eval()
    return lambda batch: adapt_and_score(algorithm, batch).scores


def _with_total(record: Record, measured: int, users: int) -> Record:
    """The record with a note of how long all users take, and of how many that is known if not of all."""
    assert record.value is not None
    source = "" if measured == users else f", extrapolated from {measured}"
    return replace(record, note=f"{users} users: {record.value * users / 1e3:.2f} s{source}")


def _judged(record: Record, name: str, costs: list[float], every: dict[str, list[float]], unit: str) -> Record:
    base = {key: every[key] for key in (LOOP, LEARN2LEARN)}
    return replace(judged(replace(record, engine=name), costs, base), unit=unit)


def _rounds(run: Predict, batches: list[TaskBatch]) -> Callable[[int], object]:
    return lambda number: run(batches[number])


def _each(run: Predict, batches: list[TaskBatch]) -> Callable[[int], object]:
    return lambda number: [run(batch) for batch in batches]


def _predictors(setting: Setting, cell: Cell) -> dict[str, Predict]:
    """By name, what scores query rows after adaptation: our engines, and learn2learn by hand; a new way goes here."""
    return {
        LOOP: _engine(setting, cell, "loop"),
        "batched": _engine(setting, cell, "batched"),
        "fused": _engine(setting, cell, "fused"),
        LEARN2LEARN: _learn2learn(setting, cell),
    }


def _engine(setting: Setting, cell: Cell, name: EngineName) -> Predict:
    """One of our engines."""
    algorithm = setting.algorithm(name, cell).eval()

    return lambda batch: algorithm.adapted(batch.task, batch.support, batch.query.item)


def _learn2learn(setting: Setting, cell: Cell) -> Predict:
    """learn2learn's MAML in first order, which gives the same fast weights without a graph of the steps."""
    net = setting.net().eval()
    parts = cut(net, cell.adapts)
    maml = learn2learn("algorithms.maml").MAML(parts.model, lr=INNER_LR, first_order=True)

    def predict(batch: TaskBatch) -> Tensor:
        with torch.no_grad():
            [task] = tasks_of(parts, batch, net.decoder.mean)
        learner = maml.clone()
        for _ in range(cell.steps):
            learner.adapt(torch.nn.functional.mse_loss(learner(task.support), task.support_rating))
        with torch.no_grad():
            scores: Tensor = learner(task.query).T + net.decoder.mean
        return scores

    return predict


def _check(runs: dict[str, Predict], batch: TaskBatch) -> None:
    """Refuse predictors that disagree.

    Raises:
        InputError: names the one that does.
    """
    right = runs[LOOP](batch)
    for name, run in runs.items():
        off = float((run(batch) - right).norm() / right.norm())
        if not off <= 1e-5:
            raise InputError(f"{name} predicts something else than {LOOP}: off by {off:.1e}; its speed means nothing")
