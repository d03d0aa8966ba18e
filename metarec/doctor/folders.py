"""Checks of the folders that metarec writes to, by writing, and of the one that it may read data sets from."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarec.doctor.check import Check, State

LEAST_SPACE = 1.0
"""GiB below which a disk is called nearly full."""

TRIED = 65536
"""Bytes that are written, and removed, to see whether a folder takes them."""

DATA = ("ml-1m", "ml-100k")
"""What METAREC_DATA may hold, as folders or as zip archives."""


def folders(found: Mapping[str, Any]) -> list[Check]:
    """Checks of the run folder, the cache of data sets, W&B's folders, and temporary files.

    Args:
        found: what the probe's question for the cache found.
    """
    cache = os.environ.get("METAREC_CACHE") or found["value"]
    wandb = os.environ.get("WANDB_DIR")
    settings = os.environ.get("WANDB_CONFIG_DIR") or str(Path("~/.config/wandb").expanduser())
    offline = "W&B goes on with a temporary folder; set WANDB_CONFIG_DIR to one that can be written"
    checks = [_writable("run folder", "runs/latest", "give --trainer.default_root_dir=FOLDER, on a disk with space")]
    if cache:
        checks.append(_writable("data cache", cache, "set METAREC_CACHE to a folder that can be written"))
    if wandb:
        checks.append(_writable("W&B folder", wandb, "set WANDB_DIR to a folder that can be written, or unset it"))
    checks.append(_writable("W&B settings", settings, offline, "warning"))
    return [*checks, _temporary(), data_folder(os.environ.get("METAREC_DATA"))]


def data_folder(given: str | None) -> Check:
    """A check of the folder with data sets that METAREC_DATA names.

    Args:
        given: the folder; null or empty: not set.
    """
    section, name = "folders", "METAREC_DATA"
    if not given:
        return Check(section, name, "ok", "not set; data sets are fetched, or given by path")
    cure = f"let it name the folder that holds {' or '.join(DATA)}, or unset it"
    try:
        held = {entry.name for entry in Path(given).expanduser().iterdir()}
    except OSError as error:
        return Check(section, name, "problem", f"{given}: cannot be read ({error.strerror or error})", cure)
    known = [one for one in DATA if {one, f"{one}.zip"} & held]
    if not known:
        return Check(section, name, "warning", f"{given}: holds neither {' nor '.join(DATA)}", cure)
    return Check(section, name, "ok", f"{given}: holds {', '.join(known)}")


def _temporary() -> Check:
    """A check of the folder for temporary files."""
    try:
        folder = tempfile.gettempdir()
    except OSError as error:
        text = f"none can be written ({error.strerror or error})"
        return Check("folders", "temporary", "problem", text, "set TMPDIR to a folder that can be written")
    return _writable("temporary", folder, "set TMPDIR to a folder that can be written")


def _writable(name: str, folder: str, cure: str, worst: State = "problem") -> Check:
    """Whether a folder, or what it would be made in, takes a small file, which is removed again.

    Args:
        name: what the folder is for.
        folder: the folder, which may not be there yet.
        cure: what to do if it cannot be written.
        worst: what it is if it cannot be written.
    """
    try:
        place = there(Path(folder).expanduser().absolute())
        with tempfile.TemporaryFile(prefix=".metarec-doctor-", dir=place) as file:
            file.write(b"\0" * TRIED)
            file.flush()
        free = shutil.disk_usage(place).free / 2**30
    except (OSError, RuntimeError) as error:  # a home that cannot be found is a RuntimeError
        reason = getattr(error, "strerror", None) or error
        return Check("folders", name, worst, f"{folder}: cannot be written ({reason})", cure)
    text = f"{folder}: {'can be written' if Path(folder).expanduser().exists() else 'can be made'}, {free:.1f} GiB free"
    if free < LEAST_SPACE:
        return Check("folders", name, "warning", text, "make space: a full disk ends training")
    return Check("folders", name, "ok", text)


def there(folder: Path) -> Path:
    """The folder, or the nearest above it that is there.

    Raises:
        OSError: what is there is no folder.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(20, f"{folder} is no folder")
    return folder
