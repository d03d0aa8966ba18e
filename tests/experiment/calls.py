"""Functions that tests have called in children of a warm process, which imports this module by name."""

import atexit
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

LEFT: list[str] = []
"""What calls leave in memory, here or in children."""


def mark(word: str) -> int:
    LEFT.append(word)
    return 0


def refuse() -> None:
    raise ValueError


def show(file: Path) -> int:
    """Write down what this process sees, and add to what it has in memory."""
    threads = [thread.name for thread in threading.enumerate()]
    leader = os.getpgid(0) == os.getpid()
    file.write_text(repr((list(LEFT), os.environ.get("OMP_NUM_THREADS"), threads, leader)))
    LEFT.append("by a child")
    return 0


def leave(code: int) -> int:
    return code


def stop() -> int:
    sys.exit(3)


def never_clean(file: Path) -> int:
    """Register what an ordinary exit does, and begin what it waits for."""
    atexit.register(file.write_text, "cleaned")
    threading.Thread(target=lambda: (time.sleep(0.2), file.with_suffix(".done").touch())).start()
    return 0


def temporary(file: Path) -> int:
    file.write_text(tempfile.gettempdir())
    return 0


def linger(file: Path) -> int:
    """Start a process of its own and wait long."""
    if os.fork() == 0:
        time.sleep(60)
    file.with_suffix(".pid").write_text(str(os.getpid()))
    file.with_suffix(".pid").rename(file)
    time.sleep(60)
    return 0


def end_parent(file: Path) -> int:
    """Kill the warm process, and wait long."""
    os.kill(os.getppid(), 9)
    return linger(file)
