"""Checks of Python, of metarec itself and of the packages that it needs."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import metarec
from metarec.commit import commit
from metarec.doctor.check import Check, State, one_line
from metarec.doctor.requirements import Requirement

USED_BY = {
    "figures": "`metarec plot` and `metarec report`",
    "dashboard": "`metarec dashboard`",
    "slurm": "`--launcher slurm`",
    "ray": "`--launcher ray`",
}
"""What the extras for users are for; those for who changes or measures metarec are not looked at."""


def own(ranges: str) -> list[Check]:
    """Checks of Python and of metarec.

    Args:
        ranges: the versions of Python that will do.
    """
    version = platform.python_version()
    fits = Requirement("python", ranges).admits(version)
    cure = "" if fits else f"make an environment with a Python {ranges}: make PYTHON=python3.12"
    which = commit()
    where = (
        f"{metarec.__version__}, {f'commit {which}' if which else 'no git checkout'}, {Path(metarec.__file__).parent}"
    )
    python = f"{version}{'' if fits else f', not in {ranges}'}, {platform.system()} {platform.machine()}"
    return [
        Check("versions", "python", "ok" if fits else "problem", python, cure),
        Check("versions", "metarec", "ok", where),
    ]


def needed(needs: Sequence[Requirement]) -> list[Requirement]:
    """Those that every command may need, and those of the extras that are for users."""
    return [one for one in needs if not one.extra or one.extra in USED_BY]


def packages(needs: Sequence[Requirement], found: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """A check of each package.

    Args:
        needs: the packages.
        found: by module, what the probe found.
    """
    broken: dict[str, str] = {}
    checks = []
    for need in needs:
        check = _package(need, found[need.module], broken)
        if found[need.module]["error"]:
            broken.setdefault(need.module, found[need.module]["error"])
        checks.append(check)
    return checks


def _package(need: Requirement, found: Mapping[str, Any], broken: Mapping[str, str]) -> Check:
    """A check of one package.

    Args:
        need: the package.
        found: what the probe found.
        broken: modules before this one that could not be imported, and the errors.
    """
    version = installed(need.name) or found["value"]
    if found["error"] and found["lacks"] == need.module and not version:
        return _missing(need)
    if found["error"]:
        text = f"{version or 'of no known version'}, cannot be imported: {one_line(found['error'])}"
        return Check(_section(need), need.name, _worst(need), text, _cure(need, found, broken))
    if not need.admits(version):
        text = f"{version or 'of no known version'}, not in {need.ranges}"
        return Check(_section(need), need.name, _worst(need), text, f"pip install {need.text}")
    return Check(_section(need), need.name, "ok", version)


def _missing(need: Requirement) -> Check:
    """Of a package that is not installed: a problem, unless an extra alone needs it."""
    if need.extra:
        text = f"not installed; {USED_BY[need.extra]} would need it: pip install 'metarec[{need.extra}]'"
        return Check(_section(need), need.name, "ok", text)
    return Check(_section(need), need.name, "problem", "not installed", f"pip install {need.text}")


def _cure(need: Requirement, found: Mapping[str, Any], broken: Mapping[str, str]) -> str:
    """The cure of a package that is there, and cannot be imported."""
    lacks = str(found["lacks"] or "").partition(".")[0]
    first = lacks if lacks in broken else next((name for name, error in broken.items() if error == found["error"]), "")
    if first:
        return f"mend {first} first, then ask again"
    if lacks and lacks != need.module:
        return f"pip install {lacks}, which {need.name} needs"
    place = hiding(need.name, found["origin"])
    if place:
        return f"rename or remove {place}, which hides the installed {need.name}; or take its folder off PYTHONPATH"
    return f"pip install --force-reinstall --no-deps {need.text}"


def hiding(name: str, origin: str | None) -> str:
    """The file that hides an installed package; empty: none does."""
    try:
        root = Path(str(importlib.metadata.distribution(name).locate_file(""))).resolve()
    except importlib.metadata.PackageNotFoundError:
        return origin or ""
    return origin if origin and not Path(origin).resolve().is_relative_to(root) else ""


def installed(name: str) -> str:
    """The version of a distribution; empty: none is installed."""
    try:
        return str(importlib.metadata.version(name) or "")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _worst(need: Requirement) -> State:
    """What it is if a package does not work: without what an extra needs, most commands work."""
    return "warning" if need.extra else "problem"


def _section(need: Requirement) -> str:
    return "optional packages" if need.extra else "packages"
