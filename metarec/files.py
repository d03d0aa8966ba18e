"""Writing files whole or not at all, and reading what people write."""

import csv
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metarec.errors import InputError
from metarec.messages import did_you_mean

RESULTS = ("metrics.json", "per_task.parquet", "predictions.parquet", "k_shot.json", "k_shot.parquet", "k_shot.png")
"""Files of a run folder that belong to the weights of one fit."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; renamed to `path` if nothing went wrong, else removed.

    Args:
        path: the final name; its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, name):  # its reader knows the file by its final name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def require_regular(path: str | Path, wanted: str) -> None:
    """Refuse what is no regular file with content: an address, a folder, a pipe, a device; nothing is opened.

    Args:
        path: the file.
        wanted: what it should be, such as "a .ckpt file", for the message.

    Raises:
        InputError: names the file and the cure.
    """
    if not str(path):
        raise InputError(f"the name of a file is empty; give {wanted}")
    hindrance = _hindrance(path)
    if hindrance and re.match(r"[A-Za-z][\w+.-]+:", str(path)) and not Path(path).exists():
        raise InputError(f"{path}: is an address; download it, and give {wanted}")
    if hindrance:
        raise InputError(f"{path}: cannot be read ({hindrance}); give {wanted}")
    if not Path(path).stat().st_size:
        raise InputError(f"{path}: is empty; give {wanted}")


def require_file(path: Path) -> None:
    """Refuse what cannot be read as a file of data; one that is empty is for its reader to refuse.

    Raises:
        InputError: there is nothing, or a folder, pipe or device.
    """
    if hindrance := _hindrance(path):
        raise InputError(f"cannot read {path} ({hindrance}); check the path")


def _hindrance(path: str | Path) -> str:
    """Why a path is no file that ends: a pipe would be waited for, a device such as /dev/zero never ends."""
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - a Path would shorten an address
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    if stat.S_ISREG(kind):
        return ""
    return "it is a folder" if stat.S_ISDIR(kind) else "it is no regular file"


def write_json(path: Path, content: Any) -> None:
    """Write plain JSON, indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of ours holds; nothing where it was damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def as_csv(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Records as CSV: a line with the fields, then a line a record, without a newline at the end."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def read_yaml(path: Path, keys: str) -> dict[str, Any]:
    """Read a YAML file that holds keys.

    Args:
        path: the file.
        keys: which keys it could begin with, for the message.

    Raises:
        InputError: it is missing, is no YAML, or holds no keys; names the file and, where there is one, the line.
    """
    from metarec import plain_yaml  # which stands on this module

    try:
        path.stat()
        content = plain_yaml.read(path)
    except OSError as error:
        beside = [file.stem for file in path.parent.glob("*.yaml")]
        cure = did_you_mean(path.stem, beside) or "; give a YAML file"
        raise InputError(f"{path}: cannot be read ({error.strerror}){cure}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no keys; begin with one of {keys}")
    return content


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` in a text file.

    Raises:
        InputError: the file has no such block.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin not in text or end not in text:
        raise InputError(f"{path}: no block {begin} ... {end}; add these two lines where the table is to stand")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    write_text(path, f"{before}{begin}\n{content}\n{end}{after}")
