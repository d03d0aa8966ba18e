"""Asks `metarec.doctor.probe`, again without what ended it, until all is answered."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

PATIENCE = 120.0
"""Seconds that one import or question may take; torch's first import from a slow disk takes a minute."""


def ask(names: Sequence[str], patience: float = PATIENCE) -> dict[str, dict[str, Any]]:
    """What the probe finds.

    Args:
        names: modules, and keys of `metarec.doctor.probe.QUESTIONS`.
        patience: seconds that one of them may take.

    Returns:
        By name, see `metarec.doctor.probe.Found`.
    """
    found: dict[str, dict[str, Any]] = {}
    while left := [name for name in names if name not in found]:
        answers, end = _answers(left, patience)
        found |= answers
        if len(answers) < len(left):
            guilty = left[len(answers)]
            found[guilty] = {"name": guilty, "error": end, "lacks": None, "origin": None, "value": None}
    return found


def _answers(names: Sequence[str], patience: float) -> tuple[dict[str, dict[str, Any]], str]:
    """Answers of one process, in order, and how it ended before it had given all."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from metarec.doctor.probe import main; main({list(names)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    answers: dict[str, dict[str, Any]] = {}
    try:
        while len(answers) < len(names) and (line := lines.get(timeout=patience)):
            answer = json.loads(line)
            answers[answer["name"]] = answer
        if len(answers) == len(names):
            process.kill()  # what packages have started need not end by itself
        code = process.wait(timeout=patience)
    except (queue.Empty, subprocess.TimeoutExpired):
        return answers, f"does not come to an end in {patience:g} s"
    finally:
        process.kill()
        process.wait()
    return answers, f"ends the process {f'by {signal.Signals(-code).name}' if code < 0 else f'with exit code {code}'}"


def _read(process: "subprocess.Popen[bytes]", lines: "queue.Queue[bytes]") -> None:
    """Pass lines on, at the end an empty one."""
    assert process.stdout
    for line in process.stdout:
        lines.put(line)
    lines.put(b"")
