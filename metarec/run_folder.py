"""What a run leaves behind: files in its folder."""

import itertools
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from metarec import __version__
from metarec.callbacks import SelectAdaptation
from metarec.commit import commit
from metarec.data.unseen import APART, unseen_values
from metarec.files import RESULTS, replacing, write_json
from metarec.judging import Columns


class RunFolder(Callback):
    """Writes ``metrics.json``, ``per_task.parquet`` and ``predictions.parquet``.

    The run folder is the trainer's `default_root_dir`. All files are written whole or not at all.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = 0.0
        self._commit = commit()  # now: files may change while a run goes on
        self._commits = [self._commit]
        self._before: dict[str, Any] = {}
        self._predictions: list[Columns] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; results of an earlier run in this folder are not of these weights."""
        before = self._before if trainer.ckpt_path is not None else {}
        self._commits = list(dict.fromkeys([*before.get("commits", []), self._commit]))
        self._started = time.perf_counter() - before.get("fit_seconds", 0.0)
        if trainer.is_global_zero:
            for name in RESULTS:
                (Path(trainer.default_root_dir) / name).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """How long the fit has taken so far, and of which commits, oldest first."""
        return {"fit_seconds": time.perf_counter() - self._started, "commits": self._commits}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint says for a fit that goes on from it."""
        self._before = state_dict

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self.seconds["fit_seconds"] = time.perf_counter() - self._started

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock, before other callbacks judge what they judge after a test."""
        self.seconds["test_seconds"] = time.perf_counter() - self._started

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the results of the test."""
        columns = gathered(pl_module.per_task)  # type: ignore[arg-type]
        if not trainer.is_global_zero:
            return
        table = frame(columns, trainer)
        table.insert(1, "draw", table.groupby([name for name in ("user", "window") if name in table]).cumcount())
        folder = Path(trainer.default_root_dir)
        with replacing(folder / "per_task.parquet") as temporary:
            table.to_parquet(temporary, index=False)
        write_json(folder / "metrics.json", self._summary(trainer, pl_module, table))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the predictions of an earlier call."""
        self._predictions.clear()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions."""
        self._predictions.append({name: column.cpu() for name, column in outputs.items()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions, one row a user and item."""
        columns = gathered(self._predictions)
        if trainer.is_global_zero:
            with replacing(Path(trainer.default_root_dir) / "predictions.parquet") as temporary:
                frame(columns, trainer).to_parquet(temporary, index=False)

    def _summary(self, trainer: Trainer, module: Any, table: pd.DataFrame) -> dict[str, Any]:
        """What `metrics.json` holds."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        means = {name: _plain(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        select = next((callback for callback in callbacks if isinstance(callback, SelectAdaptation)), None)
        return {
            "metarec": __version__,
            "torch": torch.__version__,
            "commit": self._commit,
            "commits": self._commits,
            "data": {"name": data.ratings.name, "source": data.ratings.source, "digest": data.ratings.digest},
            "split": {"digest": data.split.digest, "left_out": data.split.left_out, "unseen": data.split.unseen},
            "unseen_values": unseen_values(data.ratings, data.split.known, data.split.test),
            "episodes": {"digest": data.test_digest, "negatives": data.negatives, "draws": data.test_draws},
            "seed": data.seed,
            "tasks": len(table),
            "apart": _apart(table),
            "new_tasks": len(np.setdiff1d(data.test_tasks.task.numpy(), data.known.user)),
            "users": table["user"].nunique(),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            **{"epochs": 0, "steps": 0, **module.weights},
            **module.algorithm.remarks(),
            "adaptation": select.chosen if select else {},
            "metrics": means,
            **{name: round(value, 3) for name, value in self.seconds.items()},
            "select_seconds": round(select.seconds, 3) if select else 0.0,
            "peak_memory_mb": _peak_memory(),
        }


def _apart(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """By what is judged apart, how many query ratings it has and there are, and tasks with it and with others."""
    sizes = {part: table[f"{part}_size"] for part in APART if f"{part}_size" in table}
    return {
        part: {
            "ratings": int(own.sum()),
            "of": int(table["query_size"].sum()),
            "tasks": int((own > 0).sum()),
            "tasks_with_others": int((own < table["query_size"]).sum()),
        }
        for part, own in sizes.items()
    }


def _plain(value: Any) -> float | None:
    """A number that JSON can hold; null for one that is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None


def _peak_memory() -> int:
    """The process's largest resident memory so far, in MiB."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(largest / (2**20 if sys.platform == "darwin" else 2**10))


def gathered(batches: list[Columns]) -> Columns:
    """The columns of all batches of all processes, one after the other."""
    if distributed.is_available() and distributed.is_initialized():
        everyone: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(everyone, batches)
        batches = list(itertools.chain.from_iterable(everyone))
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def frame(columns: Columns, trainer: Trainer) -> pd.DataFrame:
    """A data frame with original ids, sorted by user row; where users are windows, `user` is whose they are."""
    ratings = trainer.datamodule.ratings  # type: ignore[attr-defined]
    table = pd.DataFrame({name: column.numpy() for name, column in columns.items()})
    table = table.sort_values("user", kind="stable", ignore_index=True)
    for name, ids in (("user", ratings.user_ids), ("item", ratings.item_ids)):
        if name in table:
            table[name] = [ids[row] for row in table[name]]
    if ratings.person is not None:
        people = dict(zip(ratings.user_ids, (ratings.people[row] for row in ratings.person), strict=True))
        table.insert(1, "window", table["user"])
        table["user"] = [people[window] for window in table["window"]]
    return table
