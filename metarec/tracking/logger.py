"""The W&B logger of a run, and what happens where W&B cannot be had: the run goes on without it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_only

from metarec.tracking.account import has_account
from metarec.tracking.ending import end, is_of_wandb, reason
from metarec.tracking.guarded import GuardedLogger, say
from metarec.tracking.identity import run_id


def wandb_logger(
    project: str = "metarec",
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    offline: bool = True,
    save_dir: str | None = None,
) -> Logger:
    """A W&B logger whose run is grouped by experiment and typed by method.

    The code and what git knows to be changed are never saved with a run: either may hold a secret.

    Args:
        project: W&B project.
        name: what the run is called; null: W&B makes a name up.
        group: the experiment the run belongs to.
        job_type: the method it runs.
        tags: words to find it by.
        offline: write to disk only; `metarec sync FOLDER` uploads it later. Online, a run without account or network
            goes on offline.
        save_dir: folder for W&B's files; null: the run folder.

    Returns:
        The logger; one that logs nothing where the package wandb cannot be imported, or WANDB_MODE is `disabled`.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    if os.environ.get("WANDB_MODE", "").lower() == "disabled":  # which Lightning would take for offline
        say("nothing is logged to Weights & Biases (WANDB_MODE=disabled)")
        return DummyLogger()
    try:
        import wandb  # noqa: F401  # Lightning looks for the package's files alone

        logger = GuardedLogger(
            project=project,
            name=name,
            group=group,
            job_type=job_type,
            tags=list(tags),
            offline=offline,
            save_dir=save_dir or ".",
            settings={"save_code": False},
        )
    except Exception as error:  # a package that is broken may raise anything; `metarec doctor` names its cure
        cure = "pip install wandb, or give --trainer.logger=false"
        say(f"nothing is logged to Weights & Biases ({reason(error)}); {cure}")
        return DummyLogger()
    logger._wandb_init.pop("anonymous", None)  # W&B warns of it in every run, and Lightning always passes it
    return logger


def wandb_loggers(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers among the trainer's loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def runs(trainer: Trainer) -> list[Any]:
    """The W&B runs of a trainer; none on other processes than the first, and none that W&B has failed in."""
    loggers = wandb_loggers(trainer) if trainer.is_global_zero else []
    found = [(logger.experiment, logger) for logger in loggers]
    return [run for run, logger in found if not getattr(logger, "lost", False)]


@rank_zero_only
def join_runs(trainer: Trainer, of: Any) -> None:
    """Put W&B's files into the run folder, and let this run be the one that the folder has for what it runs.

    Where an agent of a W&B sweep has started the process, the run is the one that the agent names. Called before
    anything is logged. An online run that cannot be opened becomes an offline one.

    Args:
        trainer: the trainer.
        of: what the run is a run of, see `metarec.tracking.identity.run_id`.
    """
    folder = Path(trainer.default_root_dir)
    for logger in wandb_loggers(trainer):
        logger._id = os.environ["WANDB_RUN_ID"] if "WANDB_SWEEP_ID" in os.environ else run_id(folder, of)
        logger._save_dir = str(folder) if logger.save_dir == "." else logger.save_dir
        logger._wandb_init |= {"id": logger._id, "dir": logger._save_dir}
        if isinstance(logger, GuardedLogger) and not logger._offline:
            try:
                _open(logger)
            except Exception as error:  # such as a WANDB_MODE that is none
                if not is_of_wandb(error):
                    raise
                logger.lose(error)


def _open(logger: GuardedLogger) -> None:
    """Begin an online run; offline where there is no account, or no network."""
    import wandb

    if has_account():
        try:
            logger.begin()
            return
        except wandb.errors.Error as error:
            why = reason(error)
            end()  # the process of W&B that goes on trying holds the run's id
    else:
        why = "no account: neither `wandb login` nor WANDB_API_KEY"
    say(f"Weights & Biases is offline ({why}); `metarec sync` uploads the run later")
    logger._offline = True
    logger._wandb_init["mode"] = "offline"
