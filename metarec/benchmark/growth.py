"""Growth: what a task costs as batches, item tables, inner loops and support sets grow, where everything adapts."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from metarec.benchmark.batching import batch_of, draw_pool
from metarec.benchmark.contenders import Contender, engine
from metarec.benchmark.peers import learn2learn_loop
from metarec.benchmark.records import Record
from metarec.benchmark.setting import QUERY, Cell, Setting
from metarec.benchmark.timing import interleaved, middle, ratio
from metarec.data.tasks import TaskBatch
from metarec.nets.melu import MeLUNet
from metarec.optim import RowAdamW

SUPPORT = 30
AXES = {
    "tasks": (8, 16, 32, 64, 128, 256),
    "items": (1_000, 10_000, 100_000, 1_000_000),
    "steps": (1, 2, 4, 8),
    "support": (10, 20, 40, 80),
}
LARGEST_COPIED = 100_000
"""Items up to which learn2learn's loop is measured, which copies whole tables for each task."""


def growth(setting: Setting) -> list[Record]:
    """Cost a task along each axis, for our engines and, along items, for learn2learn's loop."""
    found: list[Record] = []
    for axis, points in AXES.items():
        chosen = points[:2] if setting.quick else points
        found += _along(setting, axis, chosen)
    return found


def _along(setting: Setting, axis: str, points: Sequence[int]) -> list[Record]:
    """Records of one axis: the ratio is to the cost of the same contender at the first point."""
    runs: dict[tuple[str, int], Callable[[int], object]] = {}
    tasks: dict[int, int] = {}
    for point in points:
        cell = Cell("all", 2, point if axis == "steps" else 1)
        tasks[point] = point if axis == "tasks" else setting.size
        batch = _batch(setting, tasks[point], point if axis == "support" else SUPPORT)
        items = point if axis == "items" else None
        net = setting.net(items, sparse=True)
        batch = batch if items is None else _spread(batch, items)
        for name, run in _contenders(setting, cell, net, batch, items).items():
            runs[name, point] = run
    seconds = interleaved(runs, setting.rounds, setting.device, setting.least / 2)
    costs = {key: [s / tasks[key[1]] for s in values] for key, values in seconds.items()}
    return [_record(setting, axis, name, point, points[0], costs) for name, point in costs]


def _record(
    setting: Setting, axis: str, name: str, point: int, first: int, costs: dict[tuple[str, int], list[float]]
) -> Record:
    grown = ratio(costs[name, point], costs[name, first])
    return Record(
        "growth", name, "all", 2, point if axis == "steps" else 1, "padded", setting.threads, grown.median,
        (grown.low, grown.high), f"the same with {first} {axis}", 1e3 * middle(costs[name, point]), "ms/task",
        setting.rounds, axis, point, where=setting.where,
    )  # fmt: skip


def _contenders(
    setting: Setting, cell: Cell, net: MeLUNet, batch: TaskBatch, items: int | None
) -> dict[str, Callable[[int], object]]:
    """Outer steps of our engines, with sparse gradients of tables.

    Where tables grow, also with dense ones, of learn2learn's loop, and the optimizer's step that follows.
    """
    steps = [engine(setting, cell, "batched", "padded", net), engine(setting, cell, "fused", "padded", net)]
    found = {contender.engine: _step(contender, batch) for contender in steps}
    if items is None:
        return found
    dense = setting.net(items)
    found["fused, dense gradients"] = _step(engine(setting, cell, "fused", "padded", dense), batch)
    if items <= LARGEST_COPIED:
        found["learn2learn"] = _step(learn2learn_loop(setting, cell, dense), batch)
    return found | {
        "RowAdamW": _update(setting, cell, setting.net(items, sparse=True), batch, RowAdamW),
        "AdamW(fused)": _update(setting, cell, setting.net(items), batch, partial(torch.optim.AdamW, fused=True)),
    }


def _update(
    setting: Setting, cell: Cell, net: MeLUNet, batch: TaskBatch, make: Callable[..., torch.optim.Optimizer]
) -> Callable[[int], object]:
    """The optimizer's step alone, again and again with the gradients of one outer step."""
    optimizer = make(net.parameters())
    engine(setting, cell, "fused", "padded", net).step(batch)
    return lambda _: optimizer.step()


def _step(contender: Contender, batch: TaskBatch) -> Callable[[int], object]:
    return lambda _: contender.step(batch)


def _batch(setting: Setting, tasks: int, support: int) -> TaskBatch:
    """A batch of tasks with equally many ratings, so that nothing is padded."""
    pool = draw_pool(setting.tasks, torch.full((tasks,), support), QUERY, seed=tasks)
    return batch_of(pool, np.arange(tasks), False, setting.device)


def _spread(batch: TaskBatch, items: int) -> TaskBatch:
    """The batch with its items spread over a table of `items` rows."""
    generator = torch.Generator().manual_seed(items)
    support, query = (
        rows._replace(item=torch.randint(1, items + 1, rows.item.shape, generator=generator).to(rows.item.device))
        for rows in (batch.support, batch.query)
    )
    return batch._replace(support=support, query=query)
