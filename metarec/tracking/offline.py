"""Offline runs of W&B: where they lie, and what is in them, read without network or account."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metarec.errors import InputError

HEADER, BLOCK = 7, 32768
"""Bytes before the first block of a file, and bytes of a block."""

RUNNING = 600
"""Seconds since the last write within which a run without an end may still be running."""


def records(path: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file, in order.

    The file is a 7-byte header, then blocks of 32 KiB that hold chunks: a header of seven bytes (CRC-32, length, type,
    little-endian) and as many bytes of a protocol buffer. A chunk is a whole record (type 1) or its first, a middle or
    its last part (2, 3, 4); fewer than seven bytes at the end of a block are padding. What a killed run has not
    written to its end is left out.

    Args:
        path: the file.

    Raises:
        InputError: it is none of W&B.
    """
    from wandb.proto import wandb_internal_pb2

    record: Any = wandb_internal_pb2.Record  # type: ignore[attr-defined]  # made at import time
    content, place, pending = path.read_bytes(), HEADER, b""
    if not content.startswith(b":W&B"):
        raise InputError(f"{path}: no file of Weights & Biases; give the .wandb file of an offline run")
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        if kind == 0 or place + HEADER + length > len(content):
            return
        pending += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):
            yield record.FromString(pending)
            pending = b""


def values(items: Any) -> dict[str, Any]:
    """Items of a history, summary or config record, by name; the parts of a nested name are joined by dots."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def offline_runs(folder: Path) -> list[Path]:
    """The ``.wandb`` files of all offline runs below a folder, the oldest first."""
    found = folder.rglob("wandb/offline-run-*/*.wandb")
    return sorted(found, key=lambda path: (path.parent.name, str(path)))


def is_uploaded(path: Path) -> bool:
    """Whether `wandb sync` has left its mark beside the file."""
    return path.with_suffix(".wandb.synced").exists()


def may_be_running(path: Path) -> bool:
    """Whether the run may still be writing: its file has no end, and was written to in the last minutes."""
    if time.time() - path.stat().st_mtime > RUNNING:
        return False
    return not any(record.HasField("exit") for record in records(path))
