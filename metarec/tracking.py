"""Weights & Biases: how a run appears there. Offline unless asked, so no account and no network is needed."""

import os
from collections.abc import Sequence

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger


def wandb_logger(
    project: str = "metarec",
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    offline: bool = True,
    save_dir: str | None = None,
) -> WandbLogger:
    """A W&B logger whose run is grouped by experiment and typed by method.

    Args:
        project: W&B project.
        name: what the run is called; null: W&B makes a name up.
        group: the experiment the run belongs to.
        job_type: the method it runs.
        tags: words to find it by.
        offline: write to disk only; `wandb sync FOLDER` uploads it later.
        save_dir: folder for W&B's files; null: the run folder.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    logger = WandbLogger(
        project=project,
        name=name,
        group=group,
        job_type=job_type,
        tags=list(tags),
        offline=offline,
        save_dir=save_dir or ".",
    )
    logger._wandb_init.pop("anonymous", None)  # W&B warns of it in every run, and Lightning always passes it
    return logger


def wandb_loggers(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers among the trainer's loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
