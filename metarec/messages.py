"""What the parsers of options and configurations refuse, said in plain words with the nearest right name."""

import argparse
import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from metarec.allowed import may_import, refusal
from metarec.errors import InputError

Known = TypeVar("Known")

KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "tuple": "a list",
    "list": "a list",
    "collections.abc.Sequence": "a list",
    "collections.abc.Iterable": "a list",
    "dict": "a mapping",
    "NoneType": "null",
}
"""How a type is called where values are written down."""


def one_of(kind: str, name: str, known: Mapping[str, Known]) -> Known:
    """What a word stands for.

    Raises:
        InputError: nothing; names the nearest words, or all.
    """
    if name not in known:
        raise InputError(f"no {kind} '{name}'" + (did_you_mean(str(name), known) or f"; known are {list(known)}"))
    return known[name]


def did_you_mean(wrong: str, names: Iterable[str], cutoff: float = 0.7) -> str:
    """A hint to add to a message, such as ``; did you mean trainer.max_epochs?``; empty where no name is near.

    Args:
        wrong: the name that was given.
        names: names that would have been right; of dotted ones, the last part may match alone.
        cutoff: similarity below which a name is not near, 0 to 1.
    """
    last = {name.rsplit(".", 1)[-1]: name for name in reversed(list(names))}
    found = difflib.get_close_matches(wrong.rsplit(".", 1)[-1], list(last), n=2, cutoff=cutoff)
    whole = difflib.get_close_matches(wrong, list(last.values()), n=1, cutoff=max(cutoff, 0.8))
    near = list(dict.fromkeys([*whole, *(last[name] for name in found)]))[:2]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def explained(message: str, parser: argparse.ArgumentParser) -> str:
    """A parser's error message in one plain line, with the nearest right name.

    Args:
        message: what argparse or jsonargparse says.
        parser: the parser that says it, whose options and commands are the right names.
    """
    text = _plain(re.sub(r"\s+", " ", message).strip())
    wrong, names = _wrong_name(text)
    return text + (did_you_mean(wrong, names or _options(parser)) if wrong else "")


def _plain(text: str) -> str:
    """One line of jsonargparse without the names of Python's types."""
    key, _, rest = re.sub(r'^Parser key "([^"]+)": ', r"\1\n", text).rpartition("\n")
    rest = re.sub(r"- Expected a path but .*? either not accessible or invalid ", "", rest)
    if denied := re.search(r"Importing '([\w.]+)' is not allowed", text):
        named = re.search(r"(?:class_path='|Got value: |Given value: )([\w.]+)", text)
        path = named.group(1) if named and "." in named.group(1) and may_import(named.group(1)) else denied.group(1)
        return f"{key}: {refusal(path)}" if key else refusal(path)
    absent = re.search(r"module '[\w.]+' has no attribute '\w+'", rest)
    kinds = [_kind(part) for part in re.findall(r"Expected an? (<class '[\w.]+'>|typing\.Literal\[[^]]*\])", rest)]
    if re.search(r"dot import path|Not a valid subclass|callable class|Subclass types", rest):
        kinds.insert(0, "a known class_path")
    given = re.search(
        r"^(?:.*(?:Got value|Given value)|- Expected a dot import path string): (.+?)(?: Subclass types expect .*)?$",
        rest,
    )
    if absent:
        rest = absent.group()
    elif kinds and given:
        value = re.sub(r"^Namespace\(class_path='([\w.]+)'.*", r"\1", given.group(1))
        rest = f"{value!r} is not {' or '.join(dict.fromkeys(kinds))}"
    return f"{key}: {rest}" if key else rest


def _kind(expected: str) -> str:
    """A type's name in plain words; of a Literal, its values."""
    name = re.sub(r"^<class '([\w.]+)'>$|^typing\.Literal\[(.*)\]$", r"\1\2", expected)
    return KINDS.get(name, name if expected.startswith("<class") else f"one of {name}")


def _wrong_name(text: str) -> tuple[str, list[str]]:
    """The name that a message complains of, and right ones that the message itself leads to."""
    if found := re.search(r"'([\w.]+)' is not a known class_path", text):
        return _first_unknown(found.group(1).split("."))
    if found := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        return found.group(2), _names_in(found.group(1))
    if found := re.search(r"'?([^' ]+)'? is not .*?one of (.*)|invalid choice: '(\S+)' \(choose from (.*)\)", text):
        return found.group(1) or found.group(3), re.findall(r"[\w.-]+", found.group(2) or found.group(4))
    if found := re.search(r"[Oo]ption '([\w.]+)'|arguments: -*([\w.-]+)", text):
        return found.group(1) or found.group(2), []
    return "", []


def _first_unknown(path: list[str]) -> tuple[str, list[str]]:
    """The first part of an import path that is not there, and what is there in its place."""
    for number in range(1, len(path)):
        try:
            names = _names_in(".".join(path[:number]))
        except ImportError:
            break
        if path[number] not in names:
            return path[number], names
    return "", []


def _names_in(path: str) -> list[str]:
    """What a module holds, its submodules included; of one that may not be imported nothing."""
    if not may_import(path):
        return []
    module: Any = importlib.import_module(path)
    names = [name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)]
    return [*names, *(entry.name for entry in pkgutil.iter_modules(getattr(module, "__path__", [])))]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Names of the options of a parser and of its commands."""
    names = [name.lstrip("-") for action in parser._actions for name in action.option_strings or [action.dest]]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names += [name for command in action.choices.values() for name in _options(command)]
    return [name for name in dict.fromkeys(names) if not name.endswith("+")]


def of_schema(error: Exception, known: Sequence[str]) -> str:
    """The first line of OmegaConf's message on an experiment file, with the key it is about and the nearest right one.

    Args:
        error: what OmegaConf raised.
        known: the keys that there are.
    """
    line = str(error).splitlines()[0]
    words = line.split("'")
    if line.startswith("Key ") and len(words) > 1:
        return f"unknown key '{words[1]}'" + (did_you_mean(words[1], known, 0.5) or f"; known are {list(known)}")
    if "is not a ListConfig" in line:
        line = "this is no list"
    key = getattr(error, "full_key", None)
    return f"{key}: {line}; give a value as in experiments/movielens-100k-user-cold.yaml" if key else line


def of_making(error: Exception) -> InputError:
    """What jsonargparse says of a class that cannot be made where a configuration could say several things, in a line.

    Args:
        error: what it raised; its cause is what the class said, or that of the first kind of value there could be.
    """
    if isinstance(error.__cause__, InputError):
        return error.__cause__
    reasons, _, value = str(error).partition("\nErrors:\n")[2].partition("\nGiven value type:")
    said = [" ".join(entry.split()) for entry in re.split(r"^  - ", reasons, flags=re.MULTILINE)]
    telling = [entry for entry in said if entry and not entry.startswith(("Expected a", "Not a valid subclass"))]
    made = list(dict.fromkeys(re.findall(r"class_path='([\w.]+)'", value)))
    reason = re.sub(r"^Problem with given class_path '[\w.]+': ", "", (telling or said)[0])
    return InputError(f"{' or '.join(made)}: cannot be made ({reason}); give other arguments, or leave it out")
