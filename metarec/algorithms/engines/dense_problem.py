"""What the hand-derived engines are given: a stack of dense layers, the rows that it scores, and how it adapts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarec.algorithms.engines.flat import Flat, Shapes, add_products, gated, own_times
from metarec.algorithms.losses import RowLoss


class Steps(NamedTuple):
    """How a stack adapts, and to what; nothing in here gets a gradient.

    Attributes:
        inner_lr: step size.
        adaptation_steps: number of steps, >= 1.
        first_order: whether the inner gradients count as constants.
        loss: the loss of one row.
        target: of the support rows, (all S,).
        share: weight of each support row in its task's loss, (all S,); 0 where padded.
        support: tasks and support rows a task, of each bucket.
        query: tasks and query rows a task, of each bucket.
        constants: how many adapting parameters are added to the score: the last layer's bias, and equal ones beside it.
        blocks: where the stack's inputs adapt too, widths of the item vector's parts, one an embedding table.
        overlaps_s: by part and bucket, how many table rows two support rows share, (T, S, S).
        overlaps_q: the same for query and support rows, (T, Q, S).
    """

    inner_lr: float
    adaptation_steps: int
    first_order: bool
    loss: RowLoss
    target: Tensor
    share: Tensor
    support: Shapes
    query: Shapes
    constants: int = 1
    blocks: tuple[int, ...] = ()
    overlaps_s: Sequence[Sequence[Tensor]] = ()
    overlaps_q: Sequence[Sequence[Tensor]] = ()

    def slope(self, score: Tensor) -> Tensor:
        """Derivative of the tasks' support losses in the scores, (all S, 1)."""
        return self.loss.slope(score, self.target).mul_(self.share).unsqueeze(-1)

    def curvature(self, score: Tensor) -> Tensor:
        """Second derivative, (all S, 1)."""
        return self.loss.curvature(score, self.target).mul_(self.share).unsqueeze(-1)

    def mix(self, into: Flat, rows: Flat, overlaps: Sequence[Sequence[Tensor]]) -> None:
        """Move each part of the rows `into` by -lr times its table's overlaps with the other rows, in place."""
        start = 0
        for width, own in zip(self.blocks, overlaps, strict=True):
            moved, others = ([part[..., start : start + width] for part in each.parts] for each in (into, rows))
            add_products(moved, own, others, -self.inner_lr)
            start += width


class Rows(NamedTuple):
    """The inputs of rows, or the gradients in them.

    Attributes:
        item: second part of the first layer's input, (rows, Di).
        extra: first part of the last layer's input, (rows, G); null where there is none.
        offset: what is added to the score, (rows,).
    """

    item: Any
    extra: Tensor | None
    offset: Any

    def joined(self, hidden: Tensor, last: bool) -> Tensor:
        """The input of a layer whose lower layer puts out `hidden`."""
        return torch.cat([self.extra, hidden], dim=-1) if last and self.extra is not None else hidden

    def with_extra(self, gradient: Tensor, extra: int) -> tuple["Rows", Tensor]:
        """Divide the gradient in a layer's input between the extra part, which is added to this, and the hidden one."""
        if not extra:
            return self, gradient
        own = gradient[:, :extra]
        return self._replace(extra=own if self.extra is None else self.extra + own), gradient[:, extra:]


class Stack(NamedTuple):
    """The layers; their weights may carry a leading task dimension.

    Attributes:
        user: first part of the first layer's input, (all T, Du); null where there is none.
        user_weight: the first layer's columns for it, (out, Du).
        weights: of the layers, (out, in); of the first one the columns for the item part.
        biases: of the layers, (out,).
        width: G, of the extra part of the last layer's input.
    """

    user: Any
    user_weight: Any
    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    width: int

    @classmethod
    def of(cls, tensors: Sequence[Tensor | None]) -> tuple["Stack", Rows, Rows]:
        """Stack, support and query rows from the order of `Gradients.flat`."""
        user, user_weight, *rest = tensors
        support, query, layers = Rows(*rest[:3]), Rows(*rest[3:6]), rest[6:]
        width = 0 if query.extra is None else query.extra.shape[-1]
        return cls(user, user_weight, layers[0::2], layers[1::2], width), support, query  # type: ignore[arg-type]

    def extra(self, number: int) -> int:
        """How many inputs of a layer do not come from the layer below."""
        return self.width if number == len(self.weights) - 1 else 0

    def hidden(self, number: int, input: Tensor) -> Tensor:
        """What of a layer's input comes from the layer below, of (rows, in) or of a weight (..., in)."""
        extra = self.extra(number)
        return input[..., extra:] if extra else input

    def output(self, number: int, input: Flat, user: Any) -> Tensor:
        """Outputs (rows, out) of a layer; of the first one with this user part (all T, Du), null where it has none."""
        weight, bias = self.weights[number], self.biases[number]
        with_user = number == 0 and user is not None
        if weight.dim() == 2 and not with_user:
            return functional.linear(input.all, weight, bias)
        output = input.times(weight.mT)
        input.like(output).add(own_times(user, self.user_weight.mT) + bias if with_user else bias)
        return output

    def forward(self, rows: Rows, item: Flat) -> tuple[list[Flat], Tensor]:
        """The inputs of each layer and the scores (rows,), from what the first layer is fed."""
        last = len(self.weights) - 1
        inputs, output = [item if last else item.like(rows.joined(item.all, True))], item.all
        for number in range(last + 1):
            output = self.output(number, inputs[number], self.user)
            if number < last:
                inputs.append(item.like(rows.joined(output.relu_(), number + 1 == last)))
        return inputs, output.squeeze(-1) + rows.offset

    def slopes(self, inputs: list[Flat], slope: Flat) -> list[Flat]:
        """Slopes in the outputs of each layer, from those in the scores, (rows, 1)."""
        slopes = [slope]
        for number in reversed(range(1, len(self.weights))):
            back = slopes[-1].times(self.hidden(number, self.weights[number]))
            slopes.append(slope.like(gated(back, self.hidden(number, inputs[number].all))))
        return slopes[::-1]


class Gradients:
    """What the backward pass has found so far.

    Attributes:
        user: in the stack's user part, (all T, Du).
        moved_user: in the user part after its step, where embeddings adapt.
        user_weight: in the columns for it.
        weights: in the layers' weights.
        biases: in the layers' biases.
        support: in the support rows.
        query: in the query rows.
        base: how many layers stand under those that have fast weights of their own.
    """

    def __init__(self, stack: Stack, base: int = 0) -> None:
        self.user: Any = None
        self.moved_user: Any = None
        self.stack, self.base = stack, base
        self.user_weight: Any = None if stack.user_weight is None else torch.zeros_like(stack.user_weight)
        self.weights = [torch.zeros_like(weight) for weight in stack.weights]
        self.biases = [torch.zeros_like(bias) for bias in stack.biases]
        self.support, self.query = Rows(None, None, None), Rows(None, None, None)

    def add(self, number: int, slope: Tensor, input: Tensor, bias: bool = True) -> None:
        """Add what rows with these slopes and inputs give for a layer; the input may lack the extra part."""
        self.weights[number][:, -input.shape[-1] :].addmm_(slope.t(), input)
        if bias:
            self.biases[number] += slope.sum(dim=0)

    def add_user(self, total: Tensor, user: Tensor) -> Tensor:
        """Add what tasks with these sums of slopes give for the user columns; returns the slope in the user part."""
        self.user_weight.addmm_(total.t(), user)
        user_slope: Tensor = total @ self.stack.user_weight
        return user_slope

    def flat(self) -> tuple[Tensor | None, ...]:
        """All in the order in which the functions take the tensors themselves."""
        layers = [gradient for pair in zip(self.weights, self.biases, strict=True) for gradient in pair]
        return (self.user, self.user_weight, *self.support, *self.query, *layers)
