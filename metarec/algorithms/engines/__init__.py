"""Engines: how the inner loops of a batch of tasks are computed. All give the same loss and the same gradients."""

from typing import Literal

from metarec.algorithms.engines.base import Engine
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.engines.fused import Fused
from metarec.algorithms.engines.loop import Loop
from metarec.messages import one_of

EngineName = Literal["loop", "batched", "fused"]


def engine_named(name: str | None) -> Engine:
    """The engine of that name; null: `batched`, and by itself `fused` where that applies.

    Raises:
        InputError: there is none.
    """
    known: dict[str, type[Engine]] = {"loop": Loop, "batched": Batched, "fused": Fused}
    return Fused() if name is None else one_of("engine", name, known)()
