"""What metarec needs, as its own packaging says, and whether a version is in range."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn", "parallel-metalearn": "parallel"}
"""What distributions are imported as, where that is not their name."""

LEARN2LEARN = "learn2learn==0.2.0"
"""What requirements/learn2learn.txt asks for; an installed metarec does not have the file."""

PARSED = re.compile(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*([^;\s]*)\s*(?:;.*extra\s*==\s*['\"](\w+)['\"])?")


class Requirement(NamedTuple):
    """One package that is needed.

    Attributes:
        name: of the distribution.
        ranges: such as ``>=2.10,<2.14``; empty: any version will do.
        extra: the part of metarec that needs it, such as ``figures``; empty: all of it.
    """

    name: str
    ranges: str
    extra: str = ""

    @property
    def module(self) -> str:
        """What it is imported as."""
        return MODULES.get(self.name.lower(), self.name.replace("-", "_"))

    @property
    def text(self) -> str:
        """What to give pip."""
        return f"'{self.name}{self.ranges}'"

    def admits(self, version: str) -> bool:
        """Whether a version is in range; of a version, the numbers count alone."""
        return all(_holds(version, one) for one in self.ranges.split(",") if one)


def requirements(root: Path = Path(__file__).parents[2]) -> tuple[str, list[Requirement]]:
    """What metarec needs: Python's range, and packages.

    A checkout's ``pyproject.toml`` says it, else what the installed distribution notes.

    Args:
        root: the folder that holds the package.

    Raises:
        LookupError: neither can be read.
    """
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == "metarec":
            extras = project.get("optional-dependencies", {})
            of_extras = [f"{one}; extra == '{name}'" for name, needs in extras.items() for one in needs]
            return project["requires-python"], parsed([*project["dependencies"], *of_extras])
    except (OSError, ValueError, KeyError):
        pass  # no checkout
    try:
        noted: Any = importlib.metadata.metadata("metarec")
    except importlib.metadata.PackageNotFoundError as error:
        raise LookupError("metarec's own requirements cannot be found") from error
    return noted.get("Requires-Python", ""), parsed(noted.get_all("Requires-Dist") or [])


def parsed(texts: Iterable[str]) -> list[Requirement]:
    """Requirements as packaging writes them; what metarec's extras need of each other is left out."""
    found = [match for text in texts if (match := PARSED.match(text))]
    return [Requirement(one[1], one[2].rstrip(","), one[3] or "") for one in found if one[1] != "metarec"]


def _holds(version: str, one: str) -> bool:
    """Whether one bound, such as ``>=2.10``, holds."""
    match = re.match(r"(>=|<=|==|!=|<|>|~=)\s*([\d.]+)", one)
    if match is None:
        return True
    given, bound = _numbers(version), _numbers(match[2])
    length = max(len(given), len(bound))
    given, bound = given + (0,) * (length - len(given)), bound + (0,) * (length - len(bound))
    outcomes = {">=": given >= bound, "<=": given <= bound, "==": given == bound, "!=": given != bound}
    return (outcomes | {"<": given < bound, ">": given > bound, "~=": given >= bound})[match[1]]


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
