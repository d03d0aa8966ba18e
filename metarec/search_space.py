"""Search spaces: what `metarec tune` varies of a method, read from the files beside its fragments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from metarec.errors import InputError
from metarec.files import read_yaml

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution

Space = dict[str, Distribution]
"""What may vary, by the option's name, such as ``model.algorithm.init_args.inner_lr``."""

FORMS = "give {low: .., high: ..}, with log: true for orders of magnitude, or {choices: [..]}"


def beside(fragment: Path) -> Path:
    """Where the search space of a fragment lies, if it has one: ``maml.search.yaml`` beside ``maml.yaml``."""
    return fragment.with_suffix(".search.yaml")


def search_space(layers: Sequence[str | Path]) -> Space:
    """All that may vary of a configuration with these layers; a later layer's range replaces an earlier one's.

    Raises:
        InputError: a search space is no YAML, or has something else than ranges and choices.
    """
    found: Space = {}
    for path in map(beside, map(Path, layers)):
        if path.is_file():
            found |= {name: _distribution(path, name, entry) for name, entry in read_yaml(path, "model").items()}
    return found


def _distribution(path: Path, name: str, entry: Any) -> Distribution:
    """One option's range or choices.

    Raises:
        InputError: it is neither.
    """
    keys = set(entry) if isinstance(entry, dict) else set()
    try:
        if keys == {"choices"}:
            return CategoricalDistribution(entry["choices"])
        if {"low", "high"} <= keys <= {"low", "high", "log"}:
            low, high, log = entry["low"], entry["high"], entry.get("log", False)
            whole = isinstance(low, int) and isinstance(high, int)
            return IntDistribution(low, high, log) if whole else FloatDistribution(low, high, log)
    except (TypeError, ValueError) as error:  # Optuna on an empty range, or a logarithm of nothing
        raise InputError(f"{path}: {name}: {' '.join(str(error).split())}; {FORMS}") from error
    raise InputError(f"{path}: {name}: {entry!r} is no range; {FORMS}")


def nearest(space: Space, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A configuration's own values of what may vary, each moved to the nearest end of its range where it lies outside.

    Args:
        space: what may vary.
        config: the configuration, nested.

    Returns:
        The values; null where one is missing, or is none of the choices.
    """
    found = {}
    for name, distribution in space.items():
        value = at(config, name)
        if isinstance(distribution, CategoricalDistribution):
            allowed = value in distribution.choices
        else:
            allowed = isinstance(value, int | float)
            value = min(max(value, distribution.low), distribution.high) if allowed else value
        if not allowed:
            return None
        found[name] = value
    return found


def at(config: Mapping[str, Any], name: str) -> Any:
    """An option's value in a nested configuration, ``a.b`` of ``{"a": {"b": 1}}``; null where it is missing."""
    value: Any = config
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a layer of configuration: ``{"a.b": 1}`` becomes ``{"a": {"b": 1}}``."""
    layer: dict[str, Any] = {}
    for name, value in options.items():
        *path, last = name.split(".")
        node = layer
        for key in path:
            node = node.setdefault(key, {})
        node[last] = value
    return layer
