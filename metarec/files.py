"""Writing files whole or not at all, and reading what people write."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

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
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        beside = [file.stem for file in path.parent.glob("*.yaml")]
        cure = did_you_mean(path.stem, beside) or "; give a YAML file"
        raise InputError(f"{path}: cannot be read ({error.strerror}){cure}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
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
