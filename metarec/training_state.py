"""What a checkpoint holds of training beside weights, checked before a fit goes on from it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from metarec import epoch_log
from metarec.checkpoint import KINDS, Content, is_count, weight_faults
from metarec.errors import InputError

PARTS: dict[str, type] = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}
PARTS |= {"epoch_log": dict}
"""What training goes on from, and of which kind each is."""

STEPS = ("epoch_loop.automatic_optimization.optim_progress", "optimizer", "step", "total", "completed")
EPOCHS = ("epoch_progress", "current", "completed")
"""Where Lightning counts, among what it holds of the loop of a fit."""

CURE = "give last.ckpt of the same configuration, or begin anew, with --start_from where the weights are earlier ones"


def resumable(content: Content, path: str | Path) -> Content:
    """A checkpoint, if training can go on from it: it holds all that is needed, and counts that agree.

    Args:
        content: a checkpoint that `metarec.checkpoint.checked` let through.
        path: where it is from.

    Returns:
        The checkpoint.

    Raises:
        InputError: names the path and the part.
    """
    if fault := next(_faults(content), None):
        raise InputError(f"{path}: training cannot go on from it: {fault}; {CURE}")
    return content


@contextmanager
def restoring(trainer: Trainer) -> Iterator[None]:
    """Say in one line what a checkpoint's state leads Lightning into before it has taken it over; later faults pass.

    Raises:
        InputError: names the path.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if not trainer._checkpoint_connector._loaded_checkpoint:  # given up when all is taken over
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"{trainer.ckpt_path}: its state cannot be restored ({reason}); {CURE}") from error


def require_states(saved: Sequence[Any] | None, trainer: Trainer, like: Callable[[Any], Optimizer]) -> None:
    """Refuse states that are none of these optimizers, before they are loaded: torch would notice in a later step.

    Args:
        saved: a state for each, as a checkpoint has them; null: nothing is to be loaded.
        trainer: its optimizers are as configured, before their first step.
        like: makes one of the same kind for other parameters.

    Raises:
        InputError: names the path, and says what is odd.
    """
    if saved is None:
        return
    fault, optimizers = None, trainer.optimizers
    if len(saved) != len(optimizers):
        fault = f"{len(saved)} optimizers, in the configuration {len(optimizers)}"
    sample = _sample(like) if saved else None
    for state, optimizer in zip(saved, optimizers, strict=False):
        fault = fault or next(_state_faults(state, optimizer, sample), None)
    if fault:
        raise InputError(f"{trainer.ckpt_path}: does not fit the optimizer ({fault}); {CURE}")


def _faults(content: Content) -> Iterator[str]:
    """What is wrong with the training that a checkpoint holds; as much as is asked for."""
    for name, kind in PARTS.items():
        if not isinstance(content.get(name), kind):
            yield f"its {name} are missing, or are no {kind.__name__}"
    fit = content["loops"].get("fit_loop")
    if not isinstance(fit, dict) or not _counts(content["loops"]):
        yield "its loops have other values than counts"
    for name, path in (("global_step", STEPS), ("epoch", EPOCHS)):
        if _at(fit, path) != content[name]:
            yield f"its {name} is {content[name]}, and its loops have counted {_at(fit, path)}"
    if any(not isinstance(state, dict) for state in (*content["callbacks"].values(), *content["lr_schedulers"])):
        yield "a state of its callbacks or lr_schedulers is none"
    if "current_model_state" in content:
        yield from weight_faults(dict(content["current_model_state"]))
    yield from epoch_log.faults(content["epoch_log"])
    yield from _odd_tensors(content)


def _counts(node: Any) -> bool:
    """Whether nested mappings have counts at their ends, or truth values."""
    if isinstance(node, dict):
        return all(isinstance(name, str) and _counts(value) for name, value in node.items())
    return isinstance(node, bool) or is_count(node)


def _at(node: Any, path: Sequence[str]) -> Any:
    """What stands at a path in nested mappings; null: nothing."""
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _odd_tensors(node: Any, name: str = "") -> Iterator[str]:
    """Names of nested tensors that are not dense, not here, or larger than what is stored of them."""
    if isinstance(node, Tensor):
        strange = node.layout != torch.strided or node.device.type != "cpu" or node.dtype not in KINDS
        if strange or node.untyped_storage().nbytes() < node.numel() * node.element_size():
            yield f"its {name.lstrip('.')} is a strange tensor"
    elif isinstance(node, dict | list | tuple):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _odd_tensors(value, f"{name}.{key}")


def _sample(like: Callable[[Any], Optimizer]) -> dict[str, Any] | None:
    """The state that a step leaves of a parameter of two rows and three columns; null: it needs more than gradients."""
    parameter = nn.Parameter(torch.zeros(2, 3))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = like([parameter])
    try:
        optimizer.step()
    except (RuntimeError, TypeError):  # those that take sparse gradients alone, or compute the loss themselves
        return None
    return dict(optimizer.state[parameter])


def _state_faults(state: Any, optimizer: Optimizer, sample: dict[str, Any] | None) -> Iterator[str]:
    """What is odd about the state of one optimizer."""
    own = optimizer.state_dict()["param_groups"]
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not isinstance(groups, list) or not isinstance(state.get("state"), dict):
        yield "a state is none"
    elif len(groups) != len(own) or not all(map(_alike, groups, own)):
        yield "its groups have other parameters or settings"
    else:
        shapes = dict(enumerate(value.shape for group in optimizer.param_groups for value in group["params"]))
        for number, values in state["state"].items():
            if number not in shapes or not isinstance(values, dict) or (sample and values.keys() != sample.keys()):
                yield f"the state of parameter {number} is none of {type(optimizer).__name__}"
            elif not all(_fits(value, shapes[number], (sample or {}).get(name)) for name, value in values.items()):
                yield f"the state of parameter {number} has another shape, or is not finite"


def _alike(saved: Any, own: Any) -> bool:
    """Whether settings are of the same kind: texts, numbers that are finite, as many of them, under the same names."""
    if isinstance(own, dict):
        return (
            isinstance(saved, dict)
            and saved.keys() == own.keys()
            and all(_alike(saved[name], own[name]) for name in own)
        )
    if isinstance(own, list | tuple):
        return isinstance(saved, list | tuple) and len(saved) == len(own) and all(map(_alike, saved, own))
    if isinstance(own, int | float | Tensor) and not isinstance(own, bool):
        return isinstance(saved, int | float | Tensor) and not isinstance(saved, bool) and math.isfinite(saved)
    return isinstance(saved, type(own) if own is not None else bool | None)


def _fits(value: Any, shape: torch.Size, sample: Any) -> bool:
    """Whether a value of a state is finite and, where the sample's has the parameter's shape, has it too."""
    if not isinstance(value, Tensor):
        return value is None or (isinstance(value, int | float) and math.isfinite(value))
    whole = isinstance(sample, Tensor) and sample.shape == (2, 3)
    single = isinstance(sample, Tensor) and sample.numel() == 1
    right = value.shape == shape if whole else value.numel() == 1 if single else True
    return right and bool(value.isfinite().all())
