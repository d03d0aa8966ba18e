"""Interleaved timing: each round measures every contender once, in shuffled order, and gives a ratio of its own.

A busy machine slows a whole round, so ratios within a round vary far less than times do. The median over rounds
is the result, the quartiles its spread.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

Key = TypeVar("Key")


class Ratio(NamedTuple):
    """A median over rounds, and the quartiles."""

    median: float
    low: float
    high: float


def finish_queued_work(device: torch.device) -> None:
    """Wait for a GPU, so that the clock sees what it has been given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device, least: float = 0.0) -> float:
    """Wall-clock seconds of one call; the mean of as many calls as fit into `least` seconds."""
    finish_queued_work(device)
    started, calls = time.perf_counter(), 0
    while True:
        run()
        calls += 1
        finish_queued_work(device)
        elapsed = time.perf_counter() - started
        if elapsed >= least:
            return elapsed / calls


def interleaved(
    runs: Mapping[Key, Callable[[int], object]],
    rounds: int,
    device: torch.device,
    least: float,
) -> dict[Key, list[float]]:
    """Measure contenders in rounds.

    Args:
        runs: by contender, what it does in a round, given the round's number.
        rounds: how many.
        device: what is waited for before the clock is read.
        least: seconds a contender is measured for in each round, at least; quick ones do their work several times.

    Returns:
        By contender, wall-clock seconds of each round.
    """
    random = np.random.default_rng(0)
    found: dict[Key, list[float]] = {key: [] for key in runs}
    for number in range(rounds):
        for place in random.permutation(len(runs)):
            key = list(runs)[place]
            found[key].append(seconds(lambda key=key, number=number: runs[key](number), device, least))  # type: ignore[misc]
    return found


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Median and quartiles of the rounds' own ratios.

    Args:
        numerator: a value each round, such as the baseline's seconds.
        denominator: a value each round, such as a contender's.
    """
    low, median, high = quartiles(np.asarray(numerator) / np.asarray(denominator))
    return Ratio(median, low, high)


def quartiles(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return low, median, high


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))
