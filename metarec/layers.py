"""The layers of configuration and the options that a command line names, looked at before they are parsed."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from metarec import plain_yaml
from metarec.errors import InputError
from metarec.files import read_yaml

_as_installed = get_loader("yaml")


def check_layers(arguments: Sequence[str]) -> None:
    """Refuse layers and options that are no plain YAML of ours; from now on the parser does, wherever it reads some.

    Args:
        arguments: the command line that names them.

    Raises:
        InputError: names the file and the line, or the option.
    """
    set_loader("yaml", _load, (yaml.YAMLError,))
    for layer in _layers(arguments):
        _check_layer(layer)
    for word in arguments:
        _check_option(word)


def _load(text: str) -> Any:
    """As jsonargparse loads YAML, plain values alone."""
    plain_yaml.check(text)
    return _as_installed(text)


def _layers(arguments: Sequence[str]) -> list[Path]:
    """The configuration files that a command line names."""
    after = [value for flag, value in itertools.pairwise(arguments) if flag in ("-c", "--config")]
    joined = [value.split("=", 1)[1] for value in arguments if value.startswith(("-c=", "--config="))]
    return [Path(name) for name in after + joined]


def _check_layer(path: Path) -> None:
    """Refuse a layer that is no YAML of ours, naming the file, which jsonargparse would not.

    Raises:
        InputError: it is missing, is no YAML, asks for other values, or holds a plain value where a component has its
            keys.
    """
    content = read_yaml(path, "seed_everything, trainer, model, data")
    for name in ("trainer", "model", "data"):
        if name in content and not isinstance(content[name], dict):
            raise InputError(f"{path}: {name} is {content[name]!r}; give it keys, such as those in configs/")
    for text, line in plain_yaml.scalars(plain_yaml.text_of(path)):
        if "${" in text:
            raise InputError(f"{path}:{line}: {text}: layers have no interpolation; give the value itself")


def _check_option(word: str) -> None:
    """Refuse an option whose value is YAML that is none of ours; what is no YAML may be a text.

    Raises:
        InputError: names the option.
    """
    name, _, value = word.partition("=") if word.startswith("-") else ("an option", "", word)
    try:
        plain_yaml.check(value)
    except plain_yaml.PlainError as error:
        raise InputError(f"{name}: {error.what}") from error
    except UnicodeError as error:
        raise InputError(f"{name}: is no text in UTF-8; write it so") from error
    except yaml.YAMLError:  # the parser has its say about what should be more than a text
        return
