"""Weights as safetensors: a format that others read too, and that can hold nothing but numbers and a note.

The note, JSON under ``metarec`` in the file's metadata, holds what a checkpoint needs beside weights: what they have
seen, how long they were trained, and the arguments of the module. A state of training is left behind.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from metarec import checkpoint
from metarec.errors import InputError
from metarec.files import replacing, require_regular

KEPT = ("epoch", "global_step", "pytorch-lightning_version", "metarec", "hparams_name", "hyper_parameters")
"""Entries of a checkpoint that the note holds; the last two are there where a configuration made the module."""

HEADER = 16 * 2**20
"""Most bytes of a header: names, kinds, shapes and places of the tensors, and the note."""

WANTED = "a .safetensors file that `metarec export` made"


def export_weights(source: str | Path, into: Path, replace: bool = False) -> None:
    """Write the weights of a checkpoint as safetensors, whole or not at all.

    Args:
        source: the checkpoint.
        into: the file to make.
        replace: whether a file that is there may go.

    Raises:
        InputError: the checkpoint is refused, see `metarec.checkpoint.read`, or the file is there or cannot be made.
    """
    content = checkpoint.read(source)
    content["epoch"] = max(0, checkpoint.epochs_begun(content) - 1)  # which is how the loops that are left behind count
    try:
        note = json.dumps({name: content[name] for name in KEPT if name in content}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: its arguments are no plain values ({error}); train again") from error
    weights = {name: value.detach().clone().contiguous() for name, value in content["state_dict"].items()}
    _require_free(into, replace)
    try:
        with replacing(into) as temporary:
            save_file(weights, temporary, {"format": "pt", "metarec": note})
    except (OSError, SafetensorError) as error:
        raise InputError(f"{into}: cannot be written ({error}); name a file that can") from error


def import_weights(source: str | Path, into: Path, replace: bool = False) -> None:
    """Make a checkpoint of a file that `export_weights` made: for tests, predictions and ``--start_from``.

    Args:
        source: the file.
        into: the checkpoint to make, whole or not at all.
        replace: whether a file that is there may go.

    Raises:
        InputError: the file is refused, see `read`, or the checkpoint is there or cannot be made.
    """
    content = read(source)
    _require_free(into, replace)
    try:
        with replacing(into) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{into}: cannot be written ({error}); name a file that can") from error


def read(path: str | Path) -> checkpoint.Content:
    """What a checkpoint of the file holds.

    Raises:
        InputError: it is no regular file, no whole one, none that metarec made, or what it holds is refused as in a
            checkpoint.
    """
    require_regular(path, WANTED)
    try:
        note = json.loads(_header(Path(path))["__metadata__"]["metarec"], object_pairs_hook=_once)
        content = {name: note[name] for name in KEPT if name in note}
        with safe_open(path, framework="pt", device="cpu") as file:
            content["state_dict"] = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give {WANTED}") from error
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no whole safetensors file of metarec ({reason}); give {WANTED}") from error
    return checkpoint.checked(content, path)


def _header(path: Path) -> dict[str, Any]:
    """The header, before anything is made of it: safetensors itself takes the last of two tensors of one name.

    Raises:
        ValueError: it is longer than the file, or than `HEADER`, is no JSON, or has a name twice.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER, path.stat().st_size - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length), object_pairs_hook=_once)
    if not isinstance(header, dict) or "__metadata__" not in header:
        raise ValueError("no metadata")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        ValueError: a name stands there twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands there twice")
    return made


def _require_free(into: Path, replace: bool) -> None:
    """Refuse to write over what is there."""
    if into.is_symlink() or into.exists():
        if into.is_symlink() or not into.is_file():
            raise InputError(f"{into}: is there, and no regular file; name another file")
        if not replace:
            raise InputError(f"{into}: is there; name another file, or replace it with --force")
