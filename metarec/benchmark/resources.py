"""Peak memory of an outer step, the share of a step that goes into assembling its batch, and where the time goes."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from metarec.algorithms.engines import EngineName
from metarec.benchmark.batching import rounds_of
from metarec.benchmark.contenders import LEARN2LEARN, Contender, engine
from metarec.benchmark.end_to_end import adam, data_module
from metarec.benchmark.peers import learn2learn_loop
from metarec.benchmark.records import Record
from metarec.benchmark.setting import Cell, Setting
from metarec.benchmark.timing import interleaved, middle, ratio
from metarec.data.episodes import POOL
from metarec.data.tasks import TaskBatch

MEMORY_CELLS = (Cell("decision", 2, 1), Cell("decision", 2, 5), Cell("all", 2, 1), Cell("all", 2, 5))


def data(setting: Setting) -> list[Record]:
    """Assembly of a batch by the data module, against what each engine and the optimizer do with it."""
    cell = Cell("decision", 2, 1)
    ways: list[tuple[EngineName, str]] = [("batched", "buckets"), ("fused", "buckets"), ("fused", "length-sorted")]
    return [_share(setting, cell, *way) for way in ways]


def _share(setting: Setting, cell: Cell, name: EngineName, batching: str) -> Record:
    """Assembly as a share of assembly and training step, batch after batch, a pool of them drawn now and then."""
    module = data_module(setting, batching == "length-sorted")
    fresh = itertools.chain.from_iterable(iter(module.train_dataloader()) for _ in itertools.count())
    batches = [module.transfer_batch_to_device(batch, setting.device, 0) for batch in itertools.islice(fresh, POOL)]
    step = _training_step(engine(setting, cell, name, "padded"), itertools.cycle(batches))
    runs = {name: step, "assembly": lambda _: [next(fresh) for _ in batches]}
    seconds = interleaved(runs, setting.rounds, setting.device, setting.least)
    share = ratio(seconds["assembly"], [a + b for a, b in zip(seconds["assembly"], seconds[name], strict=True)])
    return Record(
        "data", name, *cell, batching, setting.threads, share.median, (share.low, share.high),
        "assembly and training step", 1e3 * middle(seconds["assembly"]) / len(batches), "ms/batch", setting.rounds,
        where=setting.where,
    )  # fmt: skip


def _training_step(contender: Contender, batches: Iterator[TaskBatch]) -> Callable[[int], object]:
    """Outer steps of a contender, and the optimizer's, on as many batches as are drawn together."""
    assert contender.net is not None
    optimizer = adam(contender.net.parameters())
    return lambda _: [(contender.step(batch), optimizer.step()) for batch in itertools.islice(batches, POOL)]


def memory(setting: Setting) -> list[Record]:
    """Peak memory of an outer step beyond the parameters, against learn2learn's loop."""
    batch = rounds_of(setting.pool(), setting.size, 1, setting.device)[0]["buckets"][0]
    found = []
    for cell in MEMORY_CELLS[: 1 if setting.quick else None]:
        own = [engine(setting, cell, name, "buckets") for name in ("loop", "batched", "fused")]
        contenders = [learn2learn_loop(setting, cell), *own]
        peaks = {contender.engine: _peak(contender, batch, setting.device) for contender in contenders}
        for contender in contenders:
            size = peaks[contender.engine]
            quotient = size / peaks[LEARN2LEARN]
            found.append(
                Record(
                    "memory", contender.engine, *cell, contender.batching, setting.threads, quotient,
                    (quotient, quotient), LEARN2LEARN, size / 1e6, "MB", 1, where=setting.where,
                )
            )  # fmt: skip
    return found


def _peak(contender: Contender, batch: TaskBatch, device: torch.device) -> float:
    """Bytes that one step holds at most beyond the parameters, gradients included."""
    contender.step(batch)
    assert contender.net is not None
    contender.net.zero_grad()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        contender.step(batch)
        return torch.cuda.max_memory_allocated(device) - before
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        contender.step(batch)
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return float(max(itertools.accumulate(changes)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what the profiler's C++ part writes there."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def hot_spots(setting: Setting) -> str:
    """By engine, the operations that take most of one outer step (dense layers, second order, one inner step)."""
    batch = rounds_of(setting.pool(), setting.size, 1, setting.device)[0]["buckets"][0]
    names: tuple[EngineName, ...] = ("loop", "batched", "fused")
    texts = []
    for name in names:
        contender = engine(setting, Cell("decision", 2, 1), name, "buckets")
        contender.step(batch)
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (setting.device.type == "cuda")
        with _quiet(), profile(activities=activities) as seen:
            contender.step(batch)
        texts.append(f"{name}\n{seen.key_averages().table(sort_by='self_cpu_time_total', row_limit=15)}")
    return "\n\n".join(texts)
