"""Going on from where a killed run was: what a checkpoint says of its settings, and which may differ."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from metarec.errors import InputError
from metarec.saving import LAST

Settings = dict[str, Any]
"""Values by dotted name, such as ``trainer.max_epochs``."""

COMPARED = ("seed_everything", "trainer", "model", "data")
FREE = (
    *("trainer.default_root_dir", "trainer.logger", "trainer.profiler"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.enable_checkpointing"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "data.num_workers"),
)
"""Where and by how many a run is computed, and what it shows. Other devices sum in another order, and each process
draws its own dropout: with more or fewer of them, a run goes on well, if not bit for bit."""

PLAIN = (str, int, float, NoneType)
"""Kinds of settings; truth values are whole numbers."""

NAMED = 3
"""How many differences a message names."""


def settings_of(config: Mapping[str, Any]) -> Settings:
    """The settings that a resumed run must share with the one before.

    Args:
        config: a configuration as plain values.
    """
    flat = dict(_flat({name: config[name] for name in COMPARED}, ""))
    return {name: value for name, value in flat.items() if not any(_within(name, free) for free in FREE)}


class Recorded(Callback):
    """Writes the settings into every checkpoint, as ``settings``.

    Args:
        settings: what `settings_of` gives.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the settings."""
        checkpoint["settings"] = self.settings


def last_checkpoint(folder: Path, given: str | None) -> str | None:
    """The checkpoint that ``--resume=true`` goes on from; null: the run folder has none, so training begins.

    Args:
        folder: the run folder.
        given: what ``--ckpt_path`` says.

    Raises:
        InputError: both were given.
    """
    if given is not None:
        raise InputError(f"--resume=true goes on from {folder / LAST}; leave out --ckpt_path={given}")
    return str(folder / LAST) if (folder / LAST).exists() else None


def require_settings(path: str, content: Mapping[str, Any], settings: Settings, allow_changes: bool) -> None:
    """Refuse to go on with other settings, or say so where that is asked for.

    Args:
        path: the checkpoint.
        content: what it holds; without settings, nothing is known of them.
        settings: those to go on with.
        allow_changes: whether they may differ.

    Raises:
        InputError: they differ, which names the first few, or the checkpoint's are none.
    """
    before = content.get("settings", settings)
    if not isinstance(before, dict) or not all(isinstance(value, PLAIN) for value in before.values()):
        raise InputError(f"{path}: its settings are none; give a checkpoint as metarec left it, or train again")
    differ = [name for name in sorted(before.keys() | settings.keys()) if before.get(name) != settings.get(name)]
    if not differ:
        return
    shown = ", ".join(f"{name} is {settings.get(name)}, was {before.get(name)}" for name in differ[:NAMED])
    more = f", and {len(differ) - NAMED} more" if len(differ) > NAMED else ""
    if not allow_changes:
        raise InputError(f"{path}: {shown}{more}; give what it was trained with, or --allow_changes=true")
    print(f"metarec: goes on from {path} with changes: {InputError(shown + more)}", flush=True)


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Leaves by dotted name; an empty list or mapping is a leaf."""
    if isinstance(value, (Mapping, list, tuple)) and value:
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in parts:
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, None if value is None else value if isinstance(value, (bool, int, float, str)) else str(value)


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
