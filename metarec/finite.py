"""Stops training before a step that is not finite, and says what is at fault."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, distributed
from torch.nn.utils import get_total_norm

from metarec.data.tasks import TaskBatch
from metarec.errors import DivergedError, InputError, at_least
from metarec.judging import adapted
from metarec.optim import clip_norm, gradients

NAMED = 3
"""How many tasks or parameters a message names."""


def spread(loss: Tensor) -> Tensor:
    """The loss; one that is not finite gives gradients that are none, in every process that shares them."""
    return loss * torch.where(loss.isfinite(), 1.0, torch.nan).to(loss.dtype)


class Guard:
    """Refuses optimizer steps whose loss or gradient is not finite, or skips and counts them.

    Args:
        may_skip: how many steps may be skipped, >= 0; one more ends training.
    """

    def __init__(self, may_skip: int = 0) -> None:
        at_least(0, model__may_skip=may_skip)
        self.may_skip, self.skipped = may_skip, 0
        self._batches: list[TaskBatch] = []

    @property
    def counted(self) -> dict[str, int]:
        """How many steps were skipped, if any, as a run tells it."""
        return {"skipped_steps": self.skipped} if self.skipped else {}

    @property
    def batches(self) -> int:
        """How many batches wait for their step."""
        return len(self._batches)

    def note(self, batch: TaskBatch) -> None:
        """Keep a batch until its step."""
        self._batches.append(batch)

    def skips(self, module: Any, total: Tensor) -> bool:
        """Look at a gradient before the step: whether the step is to be skipped.

        Args:
            module: the `MetaModule`.
            total: norm of its gradient, or what else is finite where the step is, a scalar.

        Raises:
            DivergedError: it is not finite, and no more may be skipped; names tasks or parameters.
        """
        batches, self._batches = self._batches, []
        if total.isfinite():
            return False
        why = reason(module, batches)
        step = module.global_step + 1
        if self.skipped >= self.may_skip:
            cure = f"; {self.skipped} steps were skipped before" if self.skipped else ""
            raise DivergedError(f"step {step} is not finite and was not taken: {why}{cure}")
        self.skipped += 1
        _say(f"step {step} is not finite and was skipped ({self.skipped} of {self.may_skip}): {why}")
        return True


def clip(module: Any, optimizer: torch.optim.Optimizer, most: float | None, how: str | None) -> None:
    """Clip as Lightning does, which refuses fused optimizers in mixed precision and sparse gradients; check before.

    In precision 16-mixed a gradient that is not finite is expected now and then, and the scaler skips its step: there,
    the loss is what is looked at.

    Args:
        module: the `MetaModule`.
        optimizer: its optimizer.
        most: largest norm, or value, of the gradient; null or 0: it is not clipped.
        how: `norm` or null, or `value`.

    Raises:
        DivergedError: the gradient is not finite.
        InputError: the optimizer cannot be clipped for.
    """
    if getattr(module.trainer.precision_plugin, "scaler", None) is not None:
        if most and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise InputError("precision 16-mixed: to clip, give --model.optimizer.init_args.fused=false or bf16-mixed")
        module.guard.skips(module, _losses(module))
        module.clip_gradients(optimizer, most, how)
        return
    by_norm, own = how in (None, "norm"), list(module.parameters())
    total = clip_norm(own, most) if most and by_norm else get_total_norm(gradients(own))
    if module.guard.skips(module, total):
        for parameter in own:
            parameter.grad = None
    elif most and not by_norm:
        torch.nn.utils.clip_grad_value_(own, most)


def _losses(module: Any) -> Tensor:
    """The sum of the losses of a step over its batches and processes, a scalar: finite where all of them are."""
    total = torch.stack(module.epoch_log.losses[-module.guard.batches :]).sum()
    if module.trainer.world_size > 1:
        distributed.all_reduce(total)
    return total


@torch.no_grad()
def reason(module: Any, batches: Sequence[TaskBatch]) -> str:
    """What is not finite, and what to do about it.

    Args:
        module: the `MetaModule`, with the gradients of the step.
        batches: what the step was to learn from; with several processes, this one's share.
    """
    if wrong := [name for name, value in module.named_parameters() if not value.isfinite().all()]:
        return f"the weights ({_named(wrong)}) are not; lower the optimizer's lr"
    training = module.training
    module.eval()
    try:
        before = [task for batch in batches for task in _tasks(batch, module.algorithm.predict({}, *_asked(batch)))]
        after = [task for batch in batches for task in _tasks(batch, adapted(module.algorithm, batch))]
    finally:
        module.train(training)
    ids = module._data().ratings.user_ids
    if before:
        return f"what is predicted for {_named([ids[task] for task in before])} before adaptation is not; lower lr"
    if after:
        rate = getattr(getattr(module.algorithm, "inner_loop", None), "inner_lr", None)
        cure = f"inner_lr {rate:g}" if rate is not None else "inner_lr"
        return f"adaptation to {_named([ids[task] for task in after])} diverges; lower the algorithm's {cure}"
    wrong = [
        name
        for name, value in module.named_parameters()
        if not all(bool(gradient.isfinite().all()) for gradient in gradients([value]))
    ]
    what = f"the gradient of {_named(wrong)}" if wrong else "the norm of the gradient, or the loss of another process,"
    return f"{what} is not; lower inner_lr, or the optimizer's lr"


def require_finite(state: dict[str, Tensor], step: int) -> None:
    """Refuse to keep weights that are not finite.

    Args:
        state: weights by name.
        step: after which they are to be kept.

    Raises:
        DivergedError: names the first that is not.
    """
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise DivergedError(
                f"after step {step}, {name} is not finite, so nothing was saved; lower the optimizer's lr"
            )


def _asked(batch: TaskBatch) -> tuple[Tensor, Tensor]:
    return batch.task, batch.query.item


def _tasks(batch: TaskBatch, prediction: Tensor) -> list[int]:
    """The tasks for which a prediction (T, Q) is not finite."""
    wrong = (~prediction.isfinite() & batch.query.mask).any(dim=1)
    found: list[int] = batch.task[wrong].tolist()
    return found


def _named(names: Sequence[str]) -> str:
    """The first few names, and how many there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(str, names[:NAMED])) + more


@rank_zero_only
def _say(what: str) -> None:
    print(f"metarec: {what}", file=sys.stderr, flush=True)
