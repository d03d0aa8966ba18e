"""Which commit of metarec runs."""

import subprocess
from pathlib import Path


def commit(file: Path = Path(__file__)) -> str | None:
    """The commit that a file of the code is checked out from, with ``+`` where tracked files differ from it.

    Args:
        file: the file; by default this one.

    Returns:
        40 digits; null: the file is in no git repository, or lies in one that does not hold it, as an installed package
        in some project's environment does, or there is no git.
    """
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; it writes nothing, not even its index."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
