"""What is measured on: the data set, the net, the tasks, and the cells of the grid."""

import dataclasses
import itertools
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from metarec.algorithms.engines import EngineName
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.update_rules import GradientStep, MakeRule
from metarec.benchmark.batching import draw_pool, log_uniform
from metarec.data import sources
from metarec.data.draws import Episodes
from metarec.data.episodes import POOL
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, pack
from metarec.errors import InputError
from metarec.nets.melu import MeLUNet

INNER_LR = 0.01
"""Learning rate of all inner steps."""

QUERY = 10
"""Ratings of each task's query set."""

SHORTEST, LONGEST = 5, 90
"""Fewest and most ratings of a support set."""

USER_FEATURES = ("age_group", "gender", "occupation", "zip")
"""Attributes that the net knows of users, as far as the data set has them: those that MeLU reads."""

DATA: Mapping[str, tuple[str, str, Callable[[str | None], Ratings]]] = {
    "movielens-1m": ("ml-1m", "ratings.dat", sources.movielens_1m),
    "movielens-100k": ("ml-100k", "u.data", sources.movielens_100k),
}
"""Data sets: the folder in METAREC_DATA, a file that is there if the set is, and the function that reads it."""


class Cell(NamedTuple):
    """What an inner loop does: which parameters adapt, of which order the outer gradient is, how many steps."""

    adapts: str
    order: int
    steps: int


GRID = [Cell(*cell) for cell in itertools.product(("decision", "all", "head"), (2, 1), (1, 5))]


class Setting(NamedTuple):
    """A run of the benchmark.

    Attributes:
        ratings: the data set.
        tasks: all its ratings, one task a user.
        device: where everything is computed.
        threads: threads of torch.
        rounds: rounds of each measurement.
        quick: a smoke run: few small batches, one cell, short growth.
    """

    ratings: Ratings
    tasks: PackedTasks
    device: torch.device
    threads: int
    rounds: int
    quick: bool

    @property
    def size(self) -> int:
        """Tasks a batch."""
        return 8 if self.quick else 32

    @property
    def least(self) -> float:
        """Seconds that a contender is measured for in each round, at least."""
        return 0.02 if self.quick else 0.1

    @property
    def cells(self) -> list[Cell]:
        """The cells of the grid."""
        return GRID[:1] if self.quick else GRID

    @property
    def where(self) -> str:
        """Data set, device and versions."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else _processor()
        versions = f"Python {platform.python_version()}, torch {torch.__version__}"
        return f"{self.ratings.name}, {device}, {versions}{', a smoke run of small batches' * self.quick}"

    def pool(self) -> Episodes:
        """Episodes with support sizes log-uniform from 5 to 90 (mean 30) and ten queries."""
        sizes = log_uniform(POOL * self.size, SHORTEST, LONGEST, seed=0)
        return draw_pool(self.tasks, sizes, QUERY, seed=0)

    def net(self, items: int | None = None, sparse: bool = False) -> MeLUNet:
        """The benchmark's net, always with the same weights: 224 -> 64 -> 64 -> 1 where users have four attributes.

        Args:
            items: number of items, for growth; null: those of the data set.
            sparse: whether tables have sparse gradients.
        """
        torch.manual_seed(0)
        schema, ratings = self.ratings.schema, self.ratings
        if items is not None:
            schema, ratings = {**schema, "items": items + 1}, _stretched(ratings, items)
        there = schema["user_features"]["categorical"]
        net = MeLUNet(schema, [name for name in USER_FEATURES if name in there], sparse=sparse)
        net.prepare(ratings, self.tasks if items is None else _all_rated(self.tasks, items))
        return net.to(self.device)

    def algorithm(
        self, engine: EngineName, cell: Cell, net: MeLUNet | None = None, rule: MakeRule = GradientStep
    ) -> MAML:
        """MAML around such a net, or around the given one."""
        net, first = net or self.net(), cell.order == 1
        return MAML(net, [cell.adapts], INNER_LR, cell.steps, first_order=first, engine=engine, update_rule=rule)


def _processor() -> str:
    """Name and cores of the processor, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _stretched(ratings: Ratings, items: int) -> Ratings:
    """The data set with as many items, whose attributes are those of the real ones again and again."""
    again = np.arange(items + 1) % len(ratings.item_ids)
    return dataclasses.replace(ratings, item_ids=("",) * (items + 1), item_features=ratings.item_features.at(again))


def _all_rated(tasks: PackedTasks, items: int) -> PackedTasks:
    """The tasks with every item rated, for a net to know them all; only for its statistics."""
    return tasks._replace(item=torch.arange(1, items + 1))


def movielens(name: str | None) -> Ratings:
    """The data set of that name, out of METAREC_DATA if it is there, else fetched.

    Args:
        name: a key of `DATA`; null: MovieLens 1M where METAREC_DATA has it, else MovieLens 100K.

    Raises:
        InputError: there is no such data set, or it cannot be had.
    """
    if name is not None and name not in DATA:
        raise InputError(f"data {name}: not measured on; give {' or '.join(DATA)}")
    kept = Path(os.environ.get("METAREC_DATA", "absent"))
    here = {known: str(kept / folder) for known, (folder, file, _) in DATA.items() if (kept / folder / file).exists()}
    name = name or ("movielens-1m" if "movielens-1m" in here else "movielens-100k")
    return DATA[name][2](here.get(name))


def prepared(data: str | None, device: str | None, threads: int, rounds: int, quick: bool) -> Setting:
    """A setting from plain words.

    Args:
        data: as `movielens` takes it.
        device: such as `cpu` or `cuda`; null: a GPU where there is one.
        threads: threads of torch.
        rounds: rounds of each measurement.
        quick: a smoke run.

    Raises:
        InputError: the data cannot be had, or the device is none.
    """
    try:
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device}: {str(error).splitlines()[0]}; give cpu, or cuda where there is a GPU"
        ) from error
    ratings = movielens(data)
    return Setting(ratings, pack(ratings, np.arange(len(ratings))), where, threads, rounds, quick)
