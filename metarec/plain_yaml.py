"""YAML as plain values: no tags that make objects, no key twice, nothing that grows when it is read.

A file is looked at event by event before anything is made of it, so neither depth nor aliases cost memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from metarec.errors import InputError
from metarec.files import require_regular

SIZE, DEPTH, NODES = 1_000_000, 40, 100_000
"""Most characters of a text, levels of its collections, and values once aliases are followed."""

CORE = {None, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))}
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainError(yaml.YAMLError):
    """YAML that is none of ours.

    Attributes:
        what: what was found, and the cure.
        line: where, counted from 1.
    """

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"line {line}: {what}")
        self.what, self.line = what, line


@dataclass
class _Open:
    """A collection whose end is still to come."""

    anchor: str | None
    mapping: bool
    size: int = 1
    at_key: bool = True
    keys: set[str] = field(default_factory=set)


def read(path: Path) -> Any:
    """The plain values of a file.

    Raises:
        InputError: it is no regular file, no UTF-8, no YAML, or none of ours; names the file and the line.
        OSError: it cannot be read.
    """
    return loaded(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of a file, if it is one and not too long.

    Raises:
        InputError: it is not, or is no UTF-8.
        OSError: it cannot be read.
    """
    require_regular(path, "a YAML file")
    if path.stat().st_size > SIZE:
        raise InputError(f"{path}: has {path.stat().st_size} bytes, and {SIZE} are read; give a shorter file")
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is no UTF-8; save it as UTF-8") from error


def loaded(text: str, name: str) -> Any:
    """The plain values of a text.

    Args:
        text: YAML.
        name: where it is from, for the message.

    Raises:
        InputError: it is no YAML, or none of ours; names the line.
    """
    try:
        check(text)
        return yaml.safe_load(text)
    except PlainError as error:
        raise InputError(f"{name}:{error.line}: {error.what}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date that there is not
        raise InputError(f"{name}: not YAML: {' '.join(str(error).split())}") from error


def check(text: str) -> None:
    """Refuse what would make objects, has a key twice, or is or becomes too large.

    Raises:
        PlainError: it does.
        yaml.YAMLError: it is no YAML.
    """
    if len(text) > SIZE:
        raise PlainError(f"has {len(text)} characters, and {SIZE} are read; give less", 1)
    inside: list[_Open] = [_Open(None, False)]
    sizes: dict[str, int] = {}
    events: Any = yaml.parse(text, Loader=LOADER)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            done = inside.pop()
            _add(inside[-1], done.anchor, done.size, sizes, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            _key(inside[-1], None, line)
            _plain(event, line)
            inside.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(inside) > DEPTH + 1:  # the document itself is one
                raise PlainError(f"goes deeper than {DEPTH} levels; give fewer", line)
        elif isinstance(event, yaml.ScalarEvent):
            _key(inside[-1], event.value, line)
            _plain(event, line)
            _add(inside[-1], event.anchor, 1, sizes, line)
        elif isinstance(event, yaml.AliasEvent):
            _key(inside[-1], None, line)
            if any(one.anchor == event.anchor for one in inside):
                raise PlainError(f"*{event.anchor} stands inside itself; write it out", line)
            _add(inside[-1], None, sizes.get(str(event.anchor), 1), sizes, line)


def scalars(text: str) -> Iterator[tuple[str, int]]:
    """Every value and key that is no collection, as text, with its line."""
    events: Any = yaml.parse(text, Loader=LOADER)
    for event in events:
        if isinstance(event, yaml.ScalarEvent):
            mark: Any = event.start_mark
            yield event.value, mark.line + 1


def _plain(event: Any, line: int) -> None:
    """Refuse tags but those of plain values."""
    if event.tag not in CORE:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise PlainError(f"the tag {tag} would make an object; give plain values", line)


def _key(parent: _Open, text: str | None, line: int) -> None:
    """Note a key of a mapping; refuse it the second time, and keys that are no text."""
    if not (parent.mapping and parent.at_key):
        return
    if text is None:
        raise PlainError("a key is no plain value; give a name", line)
    if text in parent.keys:
        raise PlainError(f"the key '{text}' stands there twice; remove one", line)
    parent.keys.add(text)


def _add(parent: _Open, anchor: str | None, size: int, sizes: dict[str, int], line: int) -> None:
    """Count a value that has come to its end."""
    parent.size += size
    parent.at_key = not parent.at_key
    if anchor:
        sizes[anchor] = size
    if parent.size > NODES:
        raise PlainError(f"holds more than {NODES} values once its aliases are followed; write fewer", line)
