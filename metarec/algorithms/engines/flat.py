"""Rows of many tasks in one flat tensor, and the products that hand-derived engines take of them.

All rows of all tasks lie one after the other; tasks of similar length stand in buckets, in which each task has equally
many rows, padded ones among them. What the tasks share is computed in one flat product, what they have each on their
own in one batched product a bucket.
"""

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Shapes = tuple[tuple[int, int], ...]
"""Tasks and rows a task, of each bucket."""


class Flat:
    """Rows of all tasks.

    Args:
        all: one row after the other, (rows, D).
        shapes: how they are divided into buckets.
    """

    def __init__(self, all: Tensor, shapes: Shapes) -> None:
        self.all, self.shapes = all, shapes

    @cached_property
    def parts(self) -> list[Tensor]:
        """Views of the rows, one a bucket, (T, R, D)."""
        width = self.all.shape[-1]
        parts = torch.split_with_sizes(self.all, [tasks * rows for tasks, rows in self.shapes])
        return [part.view(*shape, width) for part, shape in zip(parts, self.shapes, strict=True)]

    def like(self, all: Tensor) -> "Flat":
        """Other values for the same rows."""
        return Flat(all, self.shapes)

    def add(self, own: Tensor) -> None:
        """Add, in place, to each row what its task has once, (all T, D)."""
        for part, once in zip(self.parts, self.by_bucket(own), strict=True):
            part += once.unsqueeze(1)

    def sums(self) -> Tensor:
        """Sums (all T, D) over each task's rows."""
        return torch.cat([part.sum(dim=1) for part in self.parts])

    def by_bucket(self, own: Tensor) -> Sequence[Tensor]:
        """What each task has once, (all T, ...), by bucket."""
        return torch.split_with_sizes(own, [tasks for tasks, _ in self.shapes])

    def times(self, weight: Tensor) -> Tensor:
        """The rows times weights (D, out), or (all T, D, out)."""
        if weight.dim() == 2:
            return self.all @ weight
        product = self.all.new_empty(len(self.all), weight.shape[2])
        for into, part, own in zip(self.like(product).parts, self.parts, self.by_bucket(weight), strict=True):
            torch.bmm(part, own, out=into)
        return product


def add_products(
    into: Sequence[Tensor], left: Sequence[Tensor], right: Sequence[Tensor], rate: float = 1.0, fresh: bool = False
) -> None:
    """Add rate * left @ right to the matrices of each bucket, in place; `fresh` writes over what is there."""
    for part, first, second in zip(into, left, right, strict=True):
        part.baddbmm_(first, second, beta=0 if fresh else 1, alpha=rate)


def inner_products(rows: Flat, others: Flat) -> list[Tensor]:
    """Inner products of each task's rows (T, R, D) with its other rows (T, S, D), by bucket, (T, R, S)."""
    return [torch.bmm(part, other) for part, other in zip(rows.parts, transposed(others.parts), strict=True)]


def add_shared(grams: list[Tensor], rows: Flat, user: Tensor | None, constants: int) -> list[Tensor]:
    """Add, in place, to inner products of inputs what all rows of a task have in common.

    Args:
        grams: inner products of `rows` with others, by bucket.
        rows: the rows.
        user: inner products of the user parts, (all T,); null where there are none.
        constants: number of inputs that are always 1.
    """
    if user is None:
        return [gram.add_(constants) for gram in grams]
    own = rows.by_bucket(user + constants)
    return [gram.add_(shared[:, None, None]) for gram, shared in zip(grams, own, strict=True)]


def totals(grams: Sequence[Tensor]) -> Tensor:
    """Sum of each task's entries, (all T, 1)."""
    return torch.cat([gram.sum(dim=(1, 2)) for gram in grams]).unsqueeze(1)


def transposed(parts: Sequence[Tensor]) -> list[Tensor]:
    """Each matrix transposed."""
    return [part.transpose(1, 2) for part in parts]


def gated(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient in the input of a ReLU, from the one in its output."""
    gate: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return gate


def hand_derived(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward function in closed form: not to be differentiated again, and untouched by mixed precision around it.

    What the context saved is asked for first, which raises where a tensor has been changed in place, or freed.
    """

    @once_differentiable
    @functools.wraps(backward)
    def wrapped(ctx: Any, gradient: Tensor) -> Any:
        _ = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            return backward(ctx, gradient)

    decorated: Callable[..., Any] = wrapped
    return decorated


def own_times(own: Tensor, weight: Tensor) -> Tensor:
    """What each task has once, (all T, D), times weights (D, out) or (all T, D, out)."""
    return own @ weight if weight.dim() == 2 else torch.bmm(own.unsqueeze(1), weight).squeeze(1)
