"""Optimiser steps that touch only the rows in use of large embedding tables."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from metarec.errors import InputError


class RowAdamW(torch.optim.Optimizer):
    """AdamW whose steps on a table with sparse gradients cost as much as the rows in use, however large the table.

    Dense parameters: torch's own AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101). Sparse gradients, of nets
    with ``sparse: true``: the same formula on the rows that have a gradient; the moments and the decay of all other
    rows stand still, and bias correction counts the table's steps, as in torch's `SparseAdam`.

    Args:
        params: parameters, or groups of them.
        lr: step size, > 0.
        betas: decay of the two moments, each in [0, 1).
        eps: what is added to the denominator, > 0.
        weight_decay: decoupled decay, >= 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        if not (lr > 0 and eps > 0 and weight_decay >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise InputError(
                f"RowAdamW: lr {lr}, betas {betas}, eps {eps}, weight_decay {weight_decay}; give "
                "lr and eps > 0, weight_decay >= 0 and betas in [0, 1)"
            )
        # fused: where torch puts the step counts when it loads them
        super().__init__(
            params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "fused": True}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; returns the loss where a closure computes it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            used = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._dense(group, [parameter for parameter in used if not parameter.grad.is_sparse])
            for parameter in used:
                if parameter.grad.is_sparse:
                    self._rows(group, parameter)
        return loss

    def _moments(self, parameter: Tensor) -> dict[str, Any]:
        """The state of a parameter."""
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state

    def _dense(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Torch's own step, in one fused call."""
        if not parameters:
            return
        states = [self._moments(parameter) for parameter in parameters]
        step: Any = adamw
        step(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _rows(self, group: dict[str, Any], parameter: Tensor) -> None:
        """The same step on the rows that have a gradient."""
        assert parameter.grad is not None
        gradient, state, (first, second) = parameter.grad.coalesce(), self._moments(parameter), group["betas"]
        rows, values = gradient.indices()[0], gradient.values()
        state["step"] += 1
        mean = state["exp_avg"][rows].lerp_(values, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(values, values, value=1 - second)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        size = group["lr"] / (1 - first ** state["step"])
        denominator = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter[rows] = parameter[rows] * (1 - group["lr"] * group["weight_decay"]) - size * mean / denominator


def decay_groups(module: nn.Module, undecayed: Sequence[str]) -> list[Any]:
    """The trained parameters of a module, for an optimizer: those that its weight decay leaves alone in a group apart.

    Args:
        module: the module.
        undecayed: patterns on names of parameters; where none matches, there are no groups.
    """
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    still = {name for name in named if any(fnmatchcase(name, pattern) for pattern in undecayed)}
    if not still:
        return list(named.values())
    return [
        {"params": [parameter for name, parameter in named.items() if name not in still]},
        {"params": [named[name] for name in named if name in still], "weight_decay": 0.0},
    ]


SPARSE = (RowAdamW, torch.optim.SGD, torch.optim.SparseAdam, torch.optim.Adagrad)
"""Optimizers that take sparse gradients, those of torch where they are not fused."""


def require_rows(module: nn.Module, optimizer: torch.optim.Optimizer, processes: int) -> None:
    """Refuse tables with sparse gradients where the optimizer or several processes cannot deal with them.

    Raises:
        InputError: names the cure.
    """
    if not any(getattr(part, "sparse", False) for part in module.modules()):
        return
    fused = optimizer.defaults.get("fused") and not isinstance(optimizer, RowAdamW)
    if fused or not isinstance(optimizer, SPARSE):
        name = f"{type(optimizer).__name__}{'(fused=True)' * bool(fused)}"
        raise InputError(f"sparse: true with the optimizer {name}; use metarec.optim.RowAdamW, or sparse: false")
    if processes > 1:
        raise InputError(f"sparse: true in {processes} processes; use one process, or sparse: false")


def clip_norm(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale all gradients down to a total norm of `most`, in place; sparse ones too, which torch's own refuses.

    Returns:
        The total norm before, a scalar.
    """
    values = gradients(parameters)
    total = torch.nn.utils.get_total_norm(values)
    scale = (most / (total + 1e-6)).clamp(max=1.0)
    for value in values:
        value.mul_(scale)
    return total


def gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """Gradients, those of sparse ones by the rows that they have; what is changed in them is changed in place."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        if parameter.grad is not None:
            values.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
    return values
