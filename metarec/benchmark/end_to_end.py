"""Training end to end: a MetaModule under a Lightning Trainer that logs and shows progress, and what that adds."""

import contextlib
import copy
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from metarec.algorithms.engines import EngineName
from metarec.algorithms.gradient.maml import MAML
from metarec.benchmark.records import Record
from metarec.benchmark.setting import LONGEST, QUERY, SHORTEST, Cell, Setting
from metarec.benchmark.timing import finish_queued_work, middle, quartiles, ratio
from metarec.callbacks import ProgressBar
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.splits import UserCold
from metarec.module import MetaModule

WARM = 3
"""Steps before the clock starts."""


class Way(NamedTuple):
    """An engine, and whether batches are filled with tasks of similar length."""

    engine: EngineName
    length_sorted: bool


WAYS = (Way("loop", False), Way("batched", False), Way("fused", False), Way("fused", True))

Seconds = dict[tuple[Way, bool], list[float]]
"""Seconds a step in each round, under the trainer (False) and without it (True)."""


def adam(parameters: Any) -> torch.optim.Optimizer:
    """The outer optimizer, in one kernel for all parameters."""
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


class Clock(Callback):
    """Seconds a step, from the start of step `WARM` to the end of the fit."""

    started = 0.0
    stopped = 0.0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock after the first steps."""
        if trainer.global_step == WARM:
            finish_queued_work(module.device)
            self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop it."""
        finish_queued_work(module.device)
        self.stopped = time.perf_counter()


def end_to_end(setting: Setting) -> list[Record]:
    """Seconds of a training step with each engine, under the trainer and as a plain loop over the same batches."""
    cell, data = Cell("decision", 2, 1), {way: data_module(setting, way.length_sorted) for way in WAYS}
    steps = WARM + (5 if setting.quick else 50)
    runs = [(way, plain) for way in WAYS for plain in (False, True)]
    seconds: Seconds = {run: [] for run in runs}
    random = np.random.default_rng(0)
    for _ in range(setting.rounds):
        for place in random.permutation(len(runs)):
            way, plain = runs[place]
            work = _plain_loop if plain else _under_trainer
            algorithm = setting.algorithm(way.engine, cell)
            seconds[way, plain].append(work(setting, algorithm, copy.copy(data[way]), steps))
    return [_record(setting, cell, way, seconds) for way in WAYS]


def _record(setting: Setting, cell: Cell, way: Way, seconds: Seconds) -> Record:
    """What one engine took, against the loop under the same trainer, and the trainer's share of it."""
    own, plain = seconds[way, False], seconds[way, True]
    extra = quartiles([one - other for one, other in zip(own, plain, strict=True)])
    low, median, high = (f"{1e3 * part:.1f}" for part in extra)
    quotient = ratio(seconds[WAYS[0], False], own)
    spread = quotient.low, quotient.high
    batching = "task by task" if way.engine == "loop" else "length-sorted" if way.length_sorted else "buckets"
    return Record(
        "end-to-end", way.engine, *cell, batching, setting.threads,
        ratio=quotient.median, spread=spread, against="loop under the same Trainer",
        value=1e3 * middle(own), unit="ms/step", rounds=len(own), to_loop=quotient.median, loop_spread=spread,
        where=setting.where,
        note=f"Trainer, logging and bar {median} [{low}, {high}] ms of it, {extra[1] / middle(own):.0%}",
    )  # fmt: skip


def data_module(setting: Setting, length_sorted: bool = False) -> EpisodeDataModule:
    """The project's own data path, with support sizes drawn evenly from 5 to 90 or what a user has."""
    needed = QUERY + SHORTEST
    return EpisodeDataModule(
        setting.ratings,
        UserCold(min_ratings=needed + 1, train_min_ratings=needed + 1),
        train_support=(SHORTEST, LONGEST),
        train_query=QUERY,
        eval_support=needed,
        batch_size=setting.size,
        length_sorted=length_sorted,
    )


def _under_trainer(setting: Setting, algorithm: MAML, data: EpisodeDataModule, steps: int) -> float:
    """Seconds a step of a fit with CSV logging and a progress bar."""
    clock = Clock()
    module = MetaModule(data.schema, lambda _: algorithm.net, lambda _: algorithm, adam)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        trainer = Trainer(
            max_steps=steps,
            devices=1,
            accelerator="cuda" if setting.device.type == "cuda" else "cpu",
            logger=CSVLogger(folder),
            callbacks=[clock, ProgressBar()],
            log_every_n_steps=10,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            inference_mode=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=data)
    return (clock.stopped - clock.started) / (steps - WARM)


def _plain_loop(setting: Setting, algorithm: MAML, data: EpisodeDataModule, steps: int) -> float:
    """Seconds a step of the same training without a trainer."""
    optimizer, started = adam(algorithm.parameters()), 0.0
    batches = iter(data.train_dataloader())
    for number in range(steps):
        if number == WARM:
            finish_queued_work(setting.device)
            started = time.perf_counter()
        batch = data.transfer_batch_to_device(next(batches), setting.device, 0)
        optimizer.zero_grad()
        algorithm.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    finish_queued_work(setting.device)
    return (time.perf_counter() - started) / (steps - WARM)


@contextlib.contextmanager
def _quiet() -> Any:
    """Let the trainer write its bar and warnings to nowhere."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with Path(os.devnull).open("w") as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
    finally:
        log.setLevel(level)
