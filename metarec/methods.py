"""The methods and nets that configurations offer: what each is, read from its fragment and its class."""

import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.algorithms.base import Algorithm
from metarec.allowed import PACKAGES, may_import
from metarec.errors import InputError
from metarec.files import read_yaml
from metarec.nets.base import Net

FOLDERS: dict[str, tuple[str, type]] = {
    "algorithm": ("algorithm", Algorithm),
    "baseline": ("algorithm", Algorithm),
    "net": ("net", Net),
}
"""Folders of fragments, with the component of the model that a fragment there sets, and its base class."""


@dataclass(frozen=True)
class MethodCard:
    """What there is to know of one method.

    Attributes:
        name: of its fragment.
        kind: the room of its class: `gradient`, `closed_form`, `amortised`, `plain`, `baselines` or `nets`.
        order: 2: the outer gradient goes through the inner loop, 1: it does not; null: there is no inner loop of
            gradient steps to go through.
        adapts: what a new user's support set changes; of a net, the groups of parameters that may adapt.
        parameters: settings and their values, those of the fragment over the class's defaults.
        source: paper and arXiv id, as the fragment gives them.
        shows: what it is, in a line.
        class_path: the class.
        fragment: the file.
    """

    name: str
    kind: str
    order: int | None
    adapts: str
    parameters: dict[str, Any]
    source: str
    shows: str
    class_path: str
    fragment: str


def methods(folder: Path) -> list[MethodCard]:
    """All methods that have a fragment, by kind and name, baselines and nets last.

    Args:
        folder: the folder of configurations.

    Raises:
        InputError: there is none, or a fragment names a class that there is not.
    """
    fragments = [
        path for name in FOLDERS for path in sorted((folder / name).glob("*.yaml")) if ".search" not in path.name
    ]
    if not fragments:
        raise InputError(f"{folder}: no fragments in {' or '.join(FOLDERS)}/; give the folder with --configs")
    last = ("baselines", "nets")
    return sorted(map(_card, fragments), key=lambda card: (card.kind in last, card.kind, card.name))


def _card(path: Path) -> MethodCard:
    """The card of one fragment."""
    component, base = FOLDERS[path.parent.name]
    try:
        chosen = read_yaml(path, "model")["model"][component]
        class_path: str = chosen["class_path"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: sets no model.{component}.class_path; a fragment there must") from error
    made = _class(path, class_path, base)
    arguments = _defaults(made) | (chosen.get("init_args") or {})
    title, source = _head(path)
    kind = class_path.split(".")[-3:][0]
    return MethodCard(path.stem, kind, *_adaptation(made, arguments), arguments, source, title, class_path, str(path))


def _adaptation(made: Any, arguments: dict[str, Any]) -> tuple[int | None, str]:
    """Order and what adapts, from the class and its arguments."""
    if issubclass(made, Net):
        return None, ", ".join(made.groups)
    order = made.order if "first_order" not in arguments else 2 - bool(arguments["first_order"])
    return order, ", ".join(arguments["adapts"]) if "adapts" in arguments else made.moves


def _class(path: Path, class_path: str, base: type) -> Any:
    """The class itself, a kind of `base`."""
    module, _, name = class_path.rpartition(".")
    if not may_import(class_path):
        raise InputError(f"{path}: {class_path} is of no package that is imported for a list; name one of {PACKAGES}")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: no class {class_path}; give an import path") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(
            f"{path}: {class_path} is no {base.__name__}; give a class of {base.__module__}.{base.__name__}"
        )
    return found


def _defaults(made: Any) -> dict[str, Any]:
    """The arguments of a class with a default; classes and functions by name."""
    found = {name: parameter.default for name, parameter in inspect.signature(made).parameters.items()}
    plain = {name: value for name, value in found.items() if value is not inspect.Parameter.empty}
    return {name: getattr(value, "__name__", list(value) if isinstance(value, tuple) else value)
            for name, value in plain.items()}  # fmt: skip


def _head(path: Path) -> tuple[str, str]:
    """The first line of a fragment: what it is, and its source, the last of its parts in brackets."""
    line = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").rstrip()
    found = re.fullmatch(r"(?P<title>.*) \((?P<source>[^()]*)\)\.?", line)
    if found is None:
        raise InputError(f"{path}: the first line must say what it is, and its source in brackets at the end")
    return found["title"], found["source"]


def as_json(cards: Sequence[MethodCard]) -> str:
    """A JSON list, an object a method."""
    return json.dumps([dataclasses.asdict(card) for card in cards], indent=2)


def as_table(cards: Sequence[MethodCard]) -> str:
    """Lines for a terminal: name, kind, order, what adapts, settings, source."""
    rows = [("method", "kind", "order", "adapts", "source", "settings")]
    for card in cards:
        settings = ", ".join(f"{name}={_short(value)}" for name, value in card.parameters.items() if name != "adapts")
        rows.append((card.name, card.kind, str(card.order or "-"), card.adapts, card.source, settings))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return value.rpartition(".")[2] if isinstance(value, str) else str(value)
