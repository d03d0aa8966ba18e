"""The layers of configuration that a command line names."""

import itertools
from pathlib import Path

from metarec.errors import InputError
from metarec.files import read_yaml


def _layers(arguments: list[str]) -> list[Path]:
    """The configuration files that a command line names."""
    after = [value for flag, value in itertools.pairwise(arguments) if flag in ("-c", "--config")]
    joined = [value.split("=", 1)[1] for value in arguments if value.startswith(("-c=", "--config="))]
    return [Path(name) for name in after + joined]


def check_layers(arguments: list[str]) -> None:
    """Refuse layers of configuration that are none; see `_check_layer`.

    Args:
        arguments: the command line that names them.
    """
    for layer in _layers(arguments):
        _check_layer(layer)


def _check_layer(path: Path) -> None:
    """Refuse a layer that is no YAML of ours, naming the file, which jsonargparse would not.

    Raises:
        InputError: it is missing, is no YAML, or holds a plain value where a component has its keys.
    """
    content = read_yaml(path, "seed_everything, trainer, model, data")
    for name in ("trainer", "model", "data"):
        if name in content and not isinstance(content[name], dict):
            raise InputError(f"{path}: {name} is {content[name]!r}; give it keys, such as those in configs/")
