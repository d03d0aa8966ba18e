"""Which processes are at a study: each holds a lock of its own, which falls open when it ends, however it ends."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class Workers:
    """The processes that add trials to one study.

    Args:
        folder: where their locks lie; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Be one of them for the length of this block."""
        lock = FileLock(self._path(self.own))
        with self.alone():  # nobody may look between making the file and locking it
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
            self._path(self.own).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the others waiting for the length of this block."""
        with FileLock(self.folder / "study.lock"):
            yield

    def alive(self, name: str) -> bool:
        """Whether the process of this name is still at the study; to be asked in a block of `alone`."""
        path = self._path(name)
        if name == self.own or not path.exists():
            return name == self.own
        try:
            with FileLock(path, blocking=False):
                path.unlink(missing_ok=True)
            return False
        except Timeout:
            return True

    def others(self) -> int:
        """How many other processes are at the study; to be asked in a block of `alone`."""
        names = {path.stem for path in self.folder.glob("*.worker")} - {self.own}
        return sum(map(self.alive, sorted(names)))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.worker"
