"""A process that imports everything once and forks a child a job: a job then starts in no time."""

import gc
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import numpy as np

from metarec.experiment.job import end_group

MODULES = (
    *("metarec.training", "metarec.configured", "metarec.cli", "pyarrow.parquet"),
    *("lightning.pytorch.loggers", "wandb", "wandb.sdk.launch"),
)
"""What a job would import; the last is what W&B imports when a run begins, which takes as long as the rest of it."""


def serve(calls: Connection, modules: Sequence[str] = MODULES) -> None:
    """Import, then fork a child for each call that comes in, until the other side hangs up: then all children end.

    A call is ``(number, function, arguments)``: a child is to return the function's exit code. Sends ``(number, pid,
    None)`` when the child begins and ``(number, pid, exit code)`` when it has ended. Without a number, the function is
    called here, for what it leaves in memory; if it fails, no harm is done, and nothing is sent.

    Args:
        calls: the other end of the pipe.
        modules: what to import first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the runner decides
    children: dict[int, ForkProcess] = {}
    with _temporary_files(), suppress(EOFError, ConnectionError):
        for name in modules:
            with suppress(ImportError):  # it may not be installed; who needs it will say so
                importlib.import_module(name)
        try:
            while True:
                _attend(calls, children)
        finally:
            for child in children.values():
                assert child.pid  # it has been started
                end_group(child.pid)


def keep(data: dict[str, Any]) -> None:
    """Read a data set and split it here; see `metarec.configured.keep`."""
    from metarec import configured  # in the warm process it is there; the runner has no need of it

    configured.keep(data)


@contextmanager
def _temporary_files() -> Iterator[None]:
    """Keep temporary files of libraries, which count on an ordinary exit to be removed, in a folder that is."""
    with tempfile.TemporaryDirectory(prefix="metarec-warm-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None


def _attend(calls: Connection, children: dict[int, ForkProcess]) -> None:
    """Wait for the next call or the end of a child, and deal with it; raises when there will be no more calls."""
    ready = wait([calls, *(child.sentinel for child in children.values())])
    for number, child in list(children.items()):
        if child.sentinel in ready:
            child.join()
            calls.send((number, child.pid, child.exitcode))
            del children[number]
    if calls not in ready:
        return
    number, function, arguments = calls.recv()
    if number is None:
        with suppress(Exception, SystemExit):
            function(*arguments)
        return
    gc.freeze()  # what is here stays: a child's collector need not look at it
    child = multiprocessing.get_context("fork").Process(target=_child, args=(calls, function, arguments))
    child.start()
    children[number] = child
    calls.send((number, child.pid, None))


def _child(calls: Connection, function: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    """Be the fresh process that the function expects, and leave without the parent's clean-up.

    What the parent registered to be done at its exit, such as removing W&B's temporary folders, is not for children to
    do: others still use it. So a child ends with `os._exit`, after what an ordinary exit would wait for.
    """
    calls.close()
    tempfile.tempdir = None
    os.setsid()  # a group of its own: it can be ended with all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    np.random.seed()  # noqa: NPY002 - numpy's global state as in a fresh process; Python's own is seeded by fork
    code = 1
    try:
        code = function(*arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
