"""Weights & Biases: how runs, their files and the tables made of them appear there. Offline unless asked.

Nothing is imported here: configurations name `metarec.tracking.wandb_logger`, which needs Lightning, and who uploads
runs or builds a dashboard should not pay for it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """What configurations name, from the module that has it."""
    if name == "wandb_logger":
        from metarec.tracking.logger import wandb_logger

        return wandb_logger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
