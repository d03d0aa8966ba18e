"""The end of W&B in a process, which no run that is done may fail from. Imports nothing."""

import sys
from contextlib import suppress
from typing import Any


def is_of_wandb(error: BaseException) -> bool:
    """Whether an error is W&B's own, or what sockets and files raise, of which W&B's process is the other side."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("wandb", "pydantic_core")


def reason(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def finish(code: int) -> None:
    """Let W&B write what it holds, which it does by itself only at the ordinary exit of a process.

    Where its process has died, a line says so, and that is all: what the run is for lies in its folder.

    Args:
        code: exit code of the run.
    """
    wandb: Any = sys.modules.get("wandb")
    if wandb is None or not hasattr(wandb, "teardown"):
        return
    try:
        wandb.teardown(code)
    except (Exception, SystemExit) as error:  # it exits where its process did not end well
        if not (isinstance(error, SystemExit) or is_of_wandb(error)):
            raise
        why = f"its process ended with {error.code}" if isinstance(error, SystemExit) else reason(error)
        print(f"metarec: Weights & Biases has failed at its end ({why}); `metarec sync` uploads what was logged")


def end() -> None:
    """Have done with a W&B that has failed: nothing of it is left that would fail again at exit."""
    with suppress(Exception, SystemExit):
        sys.modules["wandb"].teardown(1)
