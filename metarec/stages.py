"""What training, validation and test consist of, in numbers: tasks, sizes, who is known, and when."""

from typing import Any

import numpy as np
import torch

from metarec.audit import audit_settled, audit_split, audit_tasks
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.draws import draw_episodes
from metarec.data.ratings import IntArray
from metarec.data.tasks import EpisodeSizes, PackedTasks, require

Numbers = dict[str, Any]


def describe(data: EpisodeDataModule) -> Numbers:
    """Sum up the three stages in plain numbers, ready for JSON.

    Args:
        data: the data; what a fit's audit checks of ratings, scale and ranges is checked here as well.

    Returns:
        The data set, the scenario, who was left out, and for `train`, `val` and `test` what `of_stage` gives.

    Raises:
        InputError: tasks are too small for their sizes, or a rating leaks.
    """
    audit_split(data.given, data.split)
    audit_tasks(data.ratings, data.split, data.train_tasks)
    audit_settled(data)
    split = data.split
    return {
        "data": data.ratings.name,
        "scenario": type(data.scenario).__name__,
        "tasks": data.tasks,
        "split": split.digest,
        "train": of_stage(data, "train", data.train_tasks, data.train_sizes, split.train),
        "val": of_stage(data, "val", data.val_tasks, data.eval_sizes, split.val),
        "test": of_stage(data, "test", data.test_tasks, data.eval_sizes, split.test),
        "left_out": split.left_out,
    }


def of_stage(data: EpisodeDataModule, name: str, tasks: PackedTasks, sizes: EpisodeSizes, rows: IntArray) -> Numbers:
    """One stage in numbers.

    Args:
        data: the data.
        name: the stage.
        tasks: its packed tasks.
        sizes: its support and query sizes.
        rows: its ratings; of known users those that are held out.

    Returns:
        Tasks, ratings, fewest, median and most ratings of a support and a query set (of training: one episode of each
        task), users and items with and without a training rating, and the first and last time (null: no times).
    """
    require(tasks, sizes, {"train": "training", "val": "validation"}.get(name, name))
    generator = torch.Generator().manual_seed(data.seed) if name == "train" else None
    every = torch.arange(0, len(tasks.task), tasks.draws)
    episodes = draw_episodes(tasks, every, sizes, generator, data.train_shuffle if name == "train" else data.shuffle)
    given, train = data.given, data.split.known
    counts: Numbers = {"tasks": len(every), "ratings": len(rows)}
    counts |= {"support": _spread(episodes.support_size), "query": _spread(episodes.query_size)}
    for side in ("user", "item"):
        column = getattr(given, side)
        met = np.unique(column[rows])
        known = int(np.isin(met, column[train]).sum())
        counts |= {f"known_{side}s": known, f"new_{side}s": len(met) - known}
    span = (int(given.time[rows].min()), int(given.time[rows].max())) if given.timed else (None, None)
    return counts | {"first_time": span[0], "last_time": span[1]}


def as_table(numbers: Numbers) -> str:
    """The three stages side by side, a line a number, and below who was left out.

    Args:
        numbers: what `describe` returns.
    """
    stages = {name: numbers[name] for name in ("train", "val", "test")}
    lines = [["", *stages]]
    lines += [[key.replace("_", " "), *(_text(stage[key]) for stage in stages.values())] for key in stages["train"]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head = f"{numbers['data']}, {numbers['scenario']}, tasks are {numbers['tasks']}, split {numbers['split'][:12]}"
    body = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    left_out = [f"left out: {reason}: {count}" for reason, count in numbers["left_out"].items() if count]
    return "\n".join([head, *body, *left_out])


def _spread(sizes: IntArray) -> list[float]:
    """The least, the median and the most of some sizes."""
    return [int(sizes.min()), float(np.median(sizes)), int(sizes.max())]


def _text(value: Any) -> str:
    """A number, or a spread, for people to read."""
    if isinstance(value, list):
        low, middle, high = value
        return f"{low:g}" if low == high else f"{low:g} .. {middle:g} .. {high:g}"
    return "-" if value is None else f"{value}"
