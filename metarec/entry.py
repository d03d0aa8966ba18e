"""The process of ``metarec``: what ends it from outside is one line and an exit code, never a traceback.

Nothing heavy is imported before signals are listened to, so that Ctrl-C is heard while libraries are loaded.
"""

import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make space, or write to another disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "give a place that you may use"),
    errno.EROFS: "write to another place",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files: ulimit -n 4096"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG), "check the path"),
    errno.EIO: "check the disk",
    errno.ENOMEM: "end what else runs",
}
"""What to do about errors of the operating system; others are errors of metarec, and keep their traceback."""


class Ended(SystemExit):
    """SIGTERM has come."""


class Listener:
    """Turns the signals that end a process into exceptions, and remembers that they came.

    While a model is trained, `metarec.signals` has them in its hands.

    Attributes:
        received: the last signal that has come; 0: none.
        listening: whether a signal is turned into an exception.
    """

    received = 0
    listening = False

    def listen(self) -> None:
        """Listen, until `leave`."""
        self._process = os.getpid()
        self.listening = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)
        sys.unraisablehook = self._unraisable

    def leave(self) -> None:
        """From now on a signal ends the process at once: its work is done."""
        self.listening = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """End what runs."""
        if os.getpid() != self._process:  # a child that was forked: it ends as it would without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(128 + number)

    def _unraisable(self, given: "sys.UnraisableHookArgs") -> None:
        """A signal that came where nothing can be raised, such as in a destructor, comes again a moment later."""
        if not issubclass(given.exc_type, KeyboardInterrupt | Ended):
            sys.__unraisablehook__(given)
            return
        from threading import Timer

        Timer(0.01, self._send_again).start()

    def _send_again(self) -> None:
        """Send the signal again, unless its work is done by now."""
        if self.listening:
            os.kill(os.getpid(), self.received)


def main() -> NoReturn:
    """Run the command line of this process, and end it with its exit code."""
    listener = Listener()
    listener.listen()
    code = _code(listener)
    listener.leave()
    sys.exit(code)


def _code(listener: Listener) -> int:
    """Run the command line; its exit code."""
    try:
        code = _run()
        if code in (0, 128 + listener.received):
            return code
    except BaseException as error:
        if not listener.received:
            if isinstance(error, OSError) and error.errno in CURES:
                print(f"metarec: error: {_line(error)}", file=sys.stderr)
                return 1
            raise
        code = 1
    if not listener.received:
        return code
    _end_wandb(128 + listener.received)
    print(f"metarec: {'interrupted' if listener.received == signal.SIGINT else 'ended by SIGTERM'}", file=sys.stderr)
    return 128 + listener.received


def _run() -> int:
    """Run the command line; raises what ended it, but for the end that it chose itself."""
    from metarec import cli

    code = 0
    try:
        cli.main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        _mute()
    except Ended:
        raise
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    _end_wandb(code)
    return code


def _end_wandb(code: int) -> None:
    """Let W&B end its runs now, and not in a hook at exit, where its failure would be a traceback."""
    if "wandb" in sys.modules:
        from metarec.tracking.ending import finish

        finish(code)


def _line(error: OSError) -> str:
    """What was found, where, and the cure."""
    try:
        sys.stdout.flush()
    except OSError:
        _mute()
    return f"{error.filename or 'output'}: {error.strerror}; {CURES[error.errno or 0]}"


def _mute() -> None:
    """Let what cannot be printed go nowhere, so that the end of the process does not try again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
