"""Checks of what the machine computes with."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarec.doctor.check import Check, one_line

LEAST_MEMORY = 2.0
"""GiB below which training on MovieLens 1M may not fit."""


def machine(found: Mapping[str, Any]) -> list[Check]:
    """Checks of processor, memory and accelerators.

    Args:
        found: what the probe's question for devices found.
    """
    return [_processor(found["value"] or {}), _memory(), *_accelerators(found)]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor(found: Mapping[str, Any]) -> Check:
    """Cores, and how many threads torch takes."""
    threads, asked = found.get("threads"), os.environ.get("OMP_NUM_THREADS")
    text = f"{cores()} cores" + (f", threads of torch: {threads}" if threads else "")
    text += f" (OMP_NUM_THREADS={asked})" if asked else ""
    if threads and threads > cores():
        return Check(
            "devices", "cpu", "warning", text, f"set OMP_NUM_THREADS={cores()}: more threads than cores are slow"
        )
    return Check("devices", "cpu", "ok", text)


def _memory(table: Path = Path("/proc/meminfo")) -> Check:
    """Memory that is free."""
    try:
        rows = dict(line.split(":", 1) for line in table.read_text(encoding="ascii").splitlines() if ":" in line)
        whole, free = (int(rows[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return Check("devices", "memory", "ok", "this system does not say")
    text = f"{free:.1f} of {whole:.1f} GiB free"
    if free < LEAST_MEMORY:
        return Check("devices", "memory", "warning", text, "end what else runs, or give a smaller --data.batch_size")
    return Check("devices", "memory", "ok", text)


def _accelerators(found: Mapping[str, Any]) -> list[Check]:
    """CUDA and MPS, where torch can say."""
    if found["error"]:
        text = f"torch cannot say: {one_line(found['error'])}"
        return [Check("devices", "cuda, mps", "warning", text, "see torch among the packages")]
    value = found["value"]
    names, built_for = value["cuda"], value["built_for"]
    text = ", ".join(names) or f"none; torch is built {f'for CUDA {built_for}' if built_for else 'without CUDA'}"
    unused = not names and (Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"))
    cure = "install a torch for its CUDA version, see https://pytorch.org/get-started" if unused else ""
    text = f"there is a GPU that torch does not find ({text})" if unused else text
    mps = Check("devices", "mps", "ok", "there" if value["mps"] else "none")
    return [Check("devices", "cuda", "warning" if unused else "ok", text, cure), mps]
