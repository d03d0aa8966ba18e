"""SIGTERM and SIGINT while a model is trained: noted when they come, heeded where nothing is lost."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)
"""What asks a process to end: a scheduler or ``kill``, and Ctrl-C."""


class Stopped(Exception):  # noqa: N818  # no error: it was asked for
    """Training has ended because of a signal.

    Args:
        number: the signal.
        cure: how to go on, for the one line that is printed.
    """

    def __init__(self, number: int, cure: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; {cure}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal has ended."""
        return 128 + self.number


class Signals:
    """Notes the first signal that asks to end; the second ends at once.

    Attributes:
        received: number of the signal that has come; 0: none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over, in place of Lightning's handlers; outside the main thread nothing can."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self.received = 0
            self._before = {number: signal.signal(number, self._note) for number in ENDING}

    def leave(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal."""
        if self.received:
            raise Stopped(number, "what had been saved before is whole")
        self.received = number
        line = f"metarec: {signal.Signals(number).name}: stopping after this step\n"
        with suppress(OSError):  # and not print, which may be at work where the signal came
            os.write(2, line.encode())
