"""How much memory there is, how much a piece of work takes, and how many users fit into a chunk."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metarec.errors import InputError, at_least

SHARE = 0.25
"""How much of the free memory is used unless told otherwise."""

UNKNOWN = 2**30
"""Bytes that count as free where the system does not say."""

ROWS = 8192
"""Most rows in a chunk, support and query together: with more, its tensors leave a CPU's caches and nothing is won."""

MEMINFO = Path("/proc/meminfo")

CONTAINERS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Where control groups, version 2 and 1, note limit, use, and what of it is cache that can go."""


class Report(NamedTuple):
    """What a call in chunks took.

    Attributes:
        chunk: most users adapted at once.
        estimated: bytes that a chunk was expected to take at most: what one user alone took, times `chunk`.
        measured: the highest peak seen, in bytes; chunks are measured as they grow.
        budget: bytes that a chunk was allowed.
        seconds: wall-clock time.
        reason: why adaptation was not by hand-derived gradients; empty where it was.
    """

    chunk: int
    estimated: int
    measured: int
    budget: int
    seconds: float
    reason: str


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a device, in a container no more than its limit leaves; 1 GiB where nothing tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = []
    with contextlib.suppress(OSError, KeyError):
        free.append(_table(MEMINFO)["MemAvailable"] * 1024)
    for folder, limit, used, cache in CONTAINERS:
        with contextlib.suppress(OSError, ValueError, KeyError):  # no such file, or no limit: the word "max"
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            free.append(left + _table(folder / "memory.stat")[cache])
    return max(0, min(free, default=UNKNOWN))


def _table(path: Path) -> dict[str, int]:
    """Numbers by name, of a file with one pair a line."""
    lines = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value, *_ in lines}


def budget_of(memory: int | None, device: torch.device) -> int:
    """Bytes that may be used: those asked for, or a share of what is free.

    Raises:
        InputError: none at all.
    """
    at_least(1, memory=memory)
    return int(free_bytes(device) * SHARE) if memory is None else memory


class Chunks(NamedTuple):
    """How work was divided, and what it took; see `Report`."""

    size: int
    estimated: int
    measured: int


def in_chunks(work: Callable[..., None], lengths: Tensor, budget: int, most: int | None = None) -> Chunks:
    """Do the work for all tasks, a chunk at a time, those with most rows first.

    The first task is done alone, as wide as the widest: its peak bounds what each further one adds. A chunk has as
    many tasks as such peaks fit into the budget, but no more than make `ROWS` rows.

    Args:
        work: called with positions of tasks (C,), and the width of each of their parts.
        lengths: rows of each task in each part, (T, parts).
        budget: bytes.
        most: most tasks in a chunk; null: any number.

    Raises:
        InputError: one task alone takes more than the budget.
    """
    if not len(lengths):
        return Chunks(0, 0, 0)
    order = lengths.sum(dim=1).argsort(descending=True, stable=True)
    alone = measured = _alone(lambda: work(order[:1], *lengths.amax(dim=0).tolist()), budget, lengths.device)
    parts = _parts(order, lengths, min(budget // max(1, alone), most or len(lengths)))
    seen = 1
    for part in parts:
        job = functools.partial(work, part, *lengths[part].amax(dim=0).tolist())
        if len(part) < 2 * seen:
            job()
        else:  # larger than any so far: see what it takes
            measured, seen = max(measured, peak_bytes(job, lengths.device)), len(part)
    largest = max(map(len, parts), default=1)
    return Chunks(largest, alone * largest, measured)


def _parts(order: Tensor, lengths: Tensor, fits: int) -> list[Tensor]:
    """The order without its first task in parts of at most `fits` tasks, and `ROWS` rows where they are several."""
    totals = lengths.sum(dim=1)[order].tolist()
    sizes, start = [], 1
    while start < len(order):
        size = max(1, min(fits, ROWS // max(1, totals[start]), len(order) - start))
        sizes.append(size)
        start += size
    return list(torch.split(order[1:], sizes))


def _alone(work: Callable[[], None], budget: int, device: torch.device) -> int:
    """The peak of work for one task."""
    try:
        peak = peak_bytes(work, device)
    except torch.OutOfMemoryError as error:
        raise InputError("one user alone takes more memory than the device has; give fewer ratings") from error
    if peak > budget:
        raise InputError(f"memory: one user alone takes {peak} bytes of {budget}; allow as many, or give fewer ratings")
    return peak


def peak_bytes(work: Callable[[], None], device: torch.device) -> int:
    """Do the work; returns how many bytes of tensors it held at its peak beyond those that were there before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return int(torch.cuda.max_memory_allocated(device)) - before
    storages = _Storages()
    with storages:
        work()
    return storages.peak


class _Storages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages that operations make, until they are freed; those an autograd graph keeps count as well."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: dict[int, Any] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self.live:
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def freed(_: object) -> None:
            if self.live.pop(key, None) is not None:
                self.now -= size

        self.live[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
