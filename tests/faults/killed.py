"""A small fit on synthetic data that can be cut off at any moment, as if its process had been killed."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping

from metarec.algorithms.gradient.maml import MAML
from metarec.callbacks import AverageWeights, BestCheckpoint, LearningCurve
from metarec.data.ratings import Ratings
from metarec.learning import LEARNING
from metarec.module import MetaModule
from metarec.optim import RowAdamW
from metarec.run_folder import RunFolder
from metarec.saving import LAST, KeepLast, WholeFiles
from tests.test_module import NET, data_of, trainer_of

MOMENTS = (
    "on_train_batch_start",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_start",
    "on_validation_end",
    "on_train_epoch_end",
)
"""Where a fit is cut off, so that every state it can be in is met."""


class Cut(BaseException):
    """Ends a fit without any of its code being able to save, as SIGKILL would."""


class CutAt(Callback):
    """Counts moments, and cuts the fit off at one of them; the batches that are trained on are noted.

    Args:
        moment: name of a hook.
        number: which time that it is called; null: none, it is only counted.
        batches: gets the tasks of each batch.
    """

    def __init__(self, moment: str, number: int | None, batches: list[list[int]]) -> None:
        self.number, self.count, self.batches = number, 0, batches
        setattr(self, moment, self._hook)

    def _hook(self, *_: Any) -> None:
        self.count += 1
        if self.number is not None and self.count == self.number:
            raise Cut

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        loss = type(pl_module.algorithm).loss

        def noted(batch: Any) -> torch.Tensor:
            step = trainer.fit_loop.epoch_loop.batch_progress.total.ready
            del self.batches[step - 1 :]
            self.batches.append(batch.task.tolist())
            return loss(pl_module.algorithm, batch)

        pl_module.algorithm.loss = noted


Setting = dict[str, Any]
SETTINGS: dict[str, Setting] = {
    "plain": {},
    "accumulated": {"accumulate_grad_batches": 2},
    "validation inside": {"val_check_interval": 2},
    "accumulated over validation": {"accumulate_grad_batches": 3, "val_check_interval": 2},
    "every second epoch": {"check_val_every_n_epoch": 2},
    "stopped early": {"max_epochs": 9, "patience": 1},
    "workers": {"data": {"num_workers": 2}},
    "schedule": {"schedule": True},
    "sparse": {"net": partial(NET, sparse=True), "optimizer": partial(RowAdamW, lr=0.02)},
    "clipped": {"gradient_clip_val": 0.01},
}
"""What a fit may be like: options of the trainer, and what else is not plain."""


def fitted(
    ratings: Ratings, folder: Path, setting: Setting, cut: CutAt, minutes: float = 0.0, more: Sequence[Callback] = ()
) -> dict[str, Any]:
    """Fit, from the last checkpoint of the folder if there is one; everything that must come out the same.

    Args:
        ratings: synthetic.
        folder: run folder.
        setting: one of `SETTINGS`.
        cut: where it is cut off.
        minutes: between two saves.
        more: further callbacks.

    Raises:
        Cut: it was.
    """
    own = ("patience", "data", "schedule", "net", "optimizer", "algorithm")
    options = {name: value for name, value in setting.items() if name not in own}
    watched = EarlyStopping("val/adapted/mae", patience=setting.get("patience", 99))
    keeps = [KeepLast(minutes), cut, RunFolder(), LearningCurve(), BestCheckpoint(), AverageWeights(0.9), watched]
    arguments = {"max_epochs": 3, "callbacks": [*keeps, *more], "plugins": [WholeFiles()], **options}
    trainer, module = trainer_of(folder, **arguments), _module(ratings, setting)
    last = folder / LAST
    data = data_of(ratings, **{"batch_size": 6, "eval_batch_size": 4, **setting.get("data", {})})
    trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    found = {f"weights {name}": value.clone() for name, value in module.state_dict().items()}
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    found |= {f"best {name}": value for name, value in best["state_dict"].items()}
    found |= {f"metric {name}": value for name, value in trainer.callback_metrics.items()}
    found |= {"curve": (folder / LEARNING).read_text(), "steps": trainer.global_step, "epochs": trainer.current_epoch}
    found["logged steps"] = trainer.fit_loop.epoch_loop._batches_that_stepped
    return found | {"best step": best["global_step"], "batches": list(cut.batches)}


def differences(whole: dict[str, Any], resumed: dict[str, Any]) -> list[str]:
    """What a resumed fit left otherwise than an unbroken one, to the last bit."""
    names = whole.keys() | resumed.keys()
    return sorted(name for name in names if not _same(whole.get(name), resumed.get(name)))


def killed_everywhere(
    ratings: Ratings, folder: Path, setting: Setting, moment: str, chosen: Callable[[int], Sequence[int]]
) -> tuple[int, list[str]]:
    """Cut a fit at chosen ones of its moments, each in a folder of its own, and resume it.

    Returns:
        How often it was cut, and what differed.
    """
    counted = CutAt(moment, None, [])
    whole = fitted(ratings, folder / "whole", setting, counted)
    places, odd = chosen(counted.count), []
    for place in places:
        own, batches = folder / str(place), []
        try:
            fitted(ratings, own, setting, CutAt(moment, place, batches))
        except Cut:
            again = fitted(ratings, own, setting, CutAt(moment, None, batches))
            odd += [f"{moment} {place}: {name}" for name in differences(whole, again)]
        else:
            odd.append(f"{moment} {place}: was not cut")
    return len(places), odd


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second)
    return bool(first == second)


def _module(ratings: Ratings, setting: Setting) -> MetaModule:
    seed_everything(0, verbose=False)
    optimizer = setting.get("optimizer", partial(torch.optim.Adam, lr=0.02))
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5) if "schedule" in setting else None
    net = setting.get("net", partial(NET, dropout=0.3))
    return MetaModule(ratings.schema, net, setting.get("algorithm", MAML), optimizer, schedule)
