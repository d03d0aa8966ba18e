"""The one place that imports learn2learn.

``import learn2learn`` pulls in gym and torchvision, which metarec neither needs nor installs. Its algorithms
themselves depend on torch alone, so the packages above them are put into place as bare names first.
"""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from metarec.errors import InputError


@cache
def learn2learn(module: str) -> Any:
    """A module of learn2learn's own, such as ``algorithms.maml``, ``optim`` or ``nn``.

    Raises:
        InputError: learn2learn is not installed.
    """
    spec = importlib.util.find_spec("learn2learn")
    if spec is None or spec.origin is None:
        raise InputError("learn2learn is not installed; run `make install` in the project's folder")
    root = Path(spec.origin).parent
    for name, folder in (("learn2learn", root), ("learn2learn.algorithms", root / "algorithms")):
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(folder)]
            package.__spec__ = spec
            sys.modules[name] = package
    utils = importlib.import_module("learn2learn.utils")
    for name in ("clone_module", "update_module", "optim"):  # what its modules take from the package itself
        found = getattr(utils, name, None) or importlib.import_module(f"learn2learn.{name}")
        setattr(sys.modules["learn2learn"], name, found)
    return importlib.import_module(f"learn2learn.{module}")
