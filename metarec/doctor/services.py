"""Checks of learn2learn, which is installed apart, and of the account at Weights & Biases."""

import math
import os
from collections.abc import Mapping
from typing import Any

from metarec.doctor.check import Check, one_line
from metarec.doctor.packages import hiding, installed
from metarec.doctor.requirements import LEARN2LEARN, parsed

INSTALL = "--no-deps --no-cache-dir --use-pep517 --requirement requirements/learn2learn.txt"
"""How pip installs learn2learn, from the project's folder."""

ADAPTED = (0.2, -0.4)
"""Weight and bias that `metarec.doctor.probe.adapt` must come to: 1 - 0.1 * 8 and 0 - 0.1 * 4."""

MODES = {
    "": "not set: offline with configs/logger/wandb.yaml, `metarec sync` uploads",
    "online": "online",
    "offline": "offline: `metarec sync` uploads",
    "disabled": "disabled: nothing is logged",
    "shared": "shared",
}
"""What WANDB_MODE may be, and what it means."""


def learn2learn(found: Mapping[str, Any], broken: bool) -> list[Check]:
    """Checks that learn2learn is there, and that its MAML adapts as a gradient by hand does.

    Args:
        found: what the probe found when it adapted a tiny net.
        broken: whether torch cannot be imported, without which nothing adapts.
    """
    section, [need] = "learn2learn", parsed([LEARN2LEARN])
    version = installed(need.name)
    if not version:
        cure = f"make install; or, without make: pip install {INSTALL}"
        return [Check(section, "installed", "problem", "not installed", cure)]
    again = f"pip install --force-reinstall {INSTALL}"
    fits = need.admits(version)
    text = version if fits else f"{version}, not in {need.ranges}"
    there = Check(section, "installed", "ok" if fits else "problem", text, "" if fits else again)
    if found["error"]:
        place = hiding(need.name, found["origin"])
        cure = "mend torch first, then ask again" if broken else f"rename or remove {place}" if place else again
        return [there, Check(section, "adapts", "problem", one_line(found["error"]), cure)]
    if not all(math.isclose(*pair, abs_tol=1e-5) for pair in zip(found["value"], ADAPTED, strict=True)):
        text = f"a tiny net adapts to {found['value']}, not to {list(ADAPTED)}"
        return [there, Check(section, "adapts", "problem", text, again)]
    return [there, Check(section, "adapts", "ok", "a tiny net as a gradient by hand does")]


def wandb(found: Mapping[str, Any], broken: bool) -> list[Check]:
    """Checks of W&B's mode and account; nothing is sent, and no key is shown.

    Args:
        found: what the probe's question for an account found.
        broken: whether wandb cannot be imported.
    """
    mode = os.environ.get("WANDB_MODE", "").lower()
    if mode in MODES:
        checks = [Check("W&B", "mode", "ok", MODES[mode])]
    else:
        cure = f"set WANDB_MODE to one of {', '.join(filter(None, MODES))}, or unset it"
        checks = [Check("W&B", "mode", "problem", f"WANDB_MODE={mode} is none", cure)]
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    if found["error"]:
        cure = "see wandb among the packages" if broken else "run `wandb login --relogin`, or set WANDB_API_KEY"
        account = Check("W&B", "account", "warning", f"cannot be told: {one_line(found['error'])}", cure)
    elif found["value"]:
        account = Check("W&B", "account", "ok", f"there is a key for {host}; whether it is valid was not asked")
    elif mode == "online":
        cure = "run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline"
        account = Check("W&B", "account", "warning", f"no key for {host}: runs go on offline", cure)
    else:
        account = Check("W&B", "account", "ok", f"no key for {host}; runs are offline")
    return [*checks, account]
