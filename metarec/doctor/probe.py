"""What runs in a process of its own: importing packages, and asking them. Called by `metarec.doctor.asking`."""

import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

Found = dict[str, Any]
"""One answer: `name`, `error` (null: none), `lacks` (a module that is missing), `origin` (file) and `value`."""


def main(names: Sequence[str]) -> None:
    """Look into one thing after another, and print what was found as a line of JSON each.

    All else that is printed goes nowhere. Ends at once, without waiting for what packages have started.

    Args:
        names: modules to import, and keys of `QUESTIONS`.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    for name in names:
        answers.write(json.dumps(look(name)) + "\n")
        answers.flush()
    os._exit(0)


def look(name: str) -> Found:
    """Import a module, or answer a question; what it raises, even to end the process, is the answer."""
    found: Found = {"name": name, "error": None, "lacks": None, "origin": None, "value": None}
    try:
        if name in QUESTIONS:
            found["value"] = QUESTIONS[name]()
            return found
        found["lacks"] = name
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name is no package
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        found |= {"origin": spec.origin, "lacks": None}
        found["value"] = str(getattr(importlib.import_module(name), "__version__", ""))
    except ModuleNotFoundError as error:
        found |= {"error": f"{type(error).__name__}: {error}", "lacks": error.name}
    except BaseException as error:  # a package may end the process while it is imported
        found["error"] = f"{type(error).__name__}: {error}"
    return found


def devices() -> Found:
    """What torch computes on."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "built_for": torch.version.cuda,
        "cuda": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if cuda else [],
        "mps": bool(torch.backends.mps.is_available()),
    }


def adapt() -> list[float]:
    """Weight and bias of a tiny net after one step of learn2learn's MAML, as metarec imports it.

    The net is y = w x + b with w = 1, b = 0, the row x = 2, y = 0, the loss its square, the rate 0.1.
    """
    import torch

    from metarec.algorithms.learn2learn import learn2learn

    net = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(net.weight)
    torch.nn.init.zeros_(net.bias)
    fast = learn2learn("algorithms.maml").MAML(net, lr=0.1).clone()
    fast.adapt(fast(torch.full((1, 1), 2.0)).square().sum())
    return [float(fast.module.weight), float(fast.module.bias)]


def account() -> bool:
    """Whether wandb finds credentials; nothing is sent."""
    from metarec.tracking.account import has_account

    return has_account()


def cache() -> str:
    """Where fetched data sets are kept."""
    from metarec.data.fetch import cache_folder

    return str(cache_folder())


QUESTIONS: dict[str, Callable[[], Any]] = {"?devices": devices, "?adapt": adapt, "?account": account, "?cache": cache}
"""What can be asked beside modules, by a name that no module has."""
