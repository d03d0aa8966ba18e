"""Several inner steps on a stack of dense layers, with hand-derived first and second derivatives.

The lowest adapting layer, the base, is never stored per task: with inputs x and output slopes D, the steps so far
change what row r sees of it by -lr sum_s (x_r . x_s + 1) SD_s, where SD is the running sum of D and the Gram matrices
stay the same. The layers above it keep their fast weights per task. The backward pass goes down through the query
rows and then, a step at a time, up and down through the support rows: one Hessian-vector product a step, in closed
form (Pearlmutter, Neural Computation 1994). There is no graph of the steps.

With V the derivative of the outer loss in a layer's weights after a step (`Outer.weights`) and T the one in SD
(`turn`), a step with weights W, inputs h, slopes D and rate lr goes back so, R marking what is found on the way:

    up      Rh_0 = gate T;  Ra = Rh W' - lr h V';  Rh = gate Ra           (`turns`, from the base to the scores)
    scores  RD = loss'' Ra
    down    back = RD W - lr D V;  V += RD' h + D' Rh;  RD = gate back    (`slope`, from the scores to the base)
    base    T -= lr K_ss RD;  the rows' own gradient += RD

V and T begin as the query rows' gradients; biases go like weights with an input that is always 1.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.engines.bases import Base, DenseBase, EmbeddingBase, Sums
from metarec.algorithms.engines.dense_problem import Gradients, Stack, Steps
from metarec.algorithms.engines.flat import Flat, add_products, gated, hand_derived, own_times, transposed


class Moment(NamedTuple):
    """What a step keeps for the backward pass.

    Attributes:
        above: the layers above the base before the step, with weights (all T, out, in), shared before the first one.
        inputs: of each layer, (all S, in).
        slopes: of the support loss in each layer's outputs, (all S, out).
        curvature: of the support loss in the scores, (all S, 1).
        total: the base's running sums before the step.
    """

    above: Stack
    inputs: list[Flat]
    slopes: list[Flat]
    curvature: Tensor
    total: Sums | None


class ManySteps(torch.autograd.Function):
    """Query scores (all Q,) after the steps; arguments as those of `OneStep`."""

    @staticmethod
    def forward(ctx: Any, steps: Steps, *tensors: Tensor | None) -> Tensor:
        """Take the steps on the support rows and score the query rows."""
        stack, support, query = Stack.of(tensors)
        base: Base = (EmbeddingBase if steps.blocks else DenseBase)(steps, stack, support, query)
        moments: list[Moment] = []
        above, total = base.above, None
        for _ in range(steps.adaptation_steps):
            hidden, user = base.outputs(total, query=False)
            above = above._replace(user=user)
            inputs, score = above.forward(support, hidden)
            slopes = above.slopes(inputs, hidden.like(steps.slope(score)))
            if not steps.first_order:
                moments.append(Moment(above, inputs, slopes, steps.curvature(score), total))
            slope = base.slope(*_back(above, slopes[0]), hidden.all)
            total = slope if total is None else total.plus(slope)
            above = _stepped(steps, above, inputs, slopes)
        hidden, user = base.outputs(total, query=True)
        above = above._replace(user=user)
        inputs, scores = above.forward(query, hidden)
        ctx.save_for_backward(*tensors)  # the copies in `kept` would not notice a change in place
        ctx.kept = steps, stack, base, moments, above, inputs, total
        return scores

    @staticmethod
    @hand_derived
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Down through the query rows; in second order also back through the steps, the last one first."""
        steps, stack, base, moments, above, inputs, total = ctx.kept
        found = Gradients(stack, len(stack.weights) - len(above.weights))
        slopes = above.slopes(inputs, inputs[0].like(gradient.unsqueeze(-1)))
        outer = Outer(steps, above, inputs, slopes)
        extra = slopes[-1].times(above.weights[-1][..., : above.width]) if above.width else None
        found.query = found.query._replace(offset=gradient, extra=extra)
        slope = base.slope(*_back(above, slopes[0]), above.hidden(0, inputs[0].all))
        turn = base.leave_query(slope, total, found)
        if not steps.first_order:
            for moment in reversed(moments):
                turn = outer.through(base, moment, turn, found)
            base.finish(found)
        outer.into(found)
        return (None, *found.flat())


def _back(above: Stack, slope: Flat) -> tuple[Flat, Tensor | None]:
    """Slopes in what the first layer is fed, hidden and user part, from those in its outputs."""
    if not above.weights:
        return slope, None
    user = None if above.user_weight is None else own_times(slope.sums(), above.user_weight)
    return slope.like(slope.times(above.hidden(0, above.weights[0]))), user


def _stepped(steps: Steps, above: Stack, inputs: list[Flat], slopes: list[Flat]) -> Stack:
    """The layers above the base after a step."""
    weights, biases, rate = [], [], -steps.inner_lr
    for number, (weight, bias) in enumerate(zip(above.weights, above.biases, strict=True)):
        slope, input = slopes[number], inputs[number]
        constant = steps.constants if number == len(above.weights) - 1 else 1
        total = slope.sums()
        weights.append(_moved(weight, slope, input, rate))
        biases.append(torch.add(bias, total, alpha=rate * constant))
        if number == 0 and above.user is not None:
            above = above._replace(user_weight=above.user_weight + rate * total.unsqueeze(2) * above.user.unsqueeze(1))
    return above._replace(weights=weights, biases=biases)


def _moved(weight: Tensor, slope: Flat, input: Flat, rate: float) -> Tensor:
    """A weight (all T, out, in) after a step."""
    tasks = sum(count for count, _ in slope.shapes)
    stacked = weight.expand(tasks, *weight.shape[-2:])
    moved = torch.empty(stacked.shape, dtype=weight.dtype, device=weight.device)
    parts = (slope.parts, input.parts, slope.by_bucket(stacked), slope.by_bucket(moved))
    for own, rows, before, after in zip(*parts, strict=True):
        torch.baddbmm(before, own.transpose(1, 2), rows, alpha=rate, out=after)
    return moved


class Outer:
    """Derivatives of the outer loss in the fast weights above the base, while the steps are walked back.

    Attributes:
        weights: (all T, out, in) each.
        biases: (all T, out) each.
        user_weight: (all T, out, Du), null where there is none.
    """

    def __init__(self, steps: Steps, above: Stack, inputs: list[Flat], slopes: list[Flat]) -> None:
        self.steps, self.rate = steps, -steps.inner_lr
        self.weights: list[Tensor] = []
        self.biases = [slope.sums() for slope in slopes] if above.weights else []
        for weight, slope, input in zip(above.weights, slopes, inputs, strict=False):
            self.weights.append(torch.empty_like(weight))
            self._add(self.weights[-1], slope, input, fresh=True)
        self.user_weight: Any = None
        if above.user is not None:
            self.user_weight = self.biases[0].unsqueeze(2) * above.user.unsqueeze(1)

    @staticmethod
    def _add(weight: Tensor, slope: Flat, input: Flat, fresh: bool = False) -> None:
        """Add what rows with these slopes and inputs give for each task's weight, in place."""
        add_products(slope.by_bucket(weight), transposed(slope.parts), input.parts, fresh=fresh)

    def through(self, base: Base, moment: Moment, turn: Sums, found: Gradients) -> Sums:
        """Walk back through one step: a Hessian-vector product of the support loss.

        Args:
            base: the base.
            moment: what the step kept.
            turn: derivative of the outer loss in the base's running sums after the step.
            found: where gradients in the rows are added.

        Returns:
            The derivative in the running sums before the step.
        """
        hidden = moment.above.hidden(0, moment.inputs[0].all)
        turns, score = self._up(moment, base.turned(turn, hidden), turn.user)
        slope = score * moment.curvature
        offset = slope.squeeze(-1)
        before = found.support.offset
        found.support = found.support._replace(offset=offset if before is None else before + offset)
        back, user = self._down(moment, turns, turn.user, slope, found)
        return base.leave_support(base.slope(back, user, hidden), moment.total, turn)

    def _up(self, moment: Moment, turned: Tensor, user: Tensor | None) -> tuple[list[Flat], Tensor]:
        """Derivatives in what the slopes of each layer become on their way down, and in those of the scores."""
        above, turns = moment.above, []
        for number, weight in enumerate(above.weights):
            input = moment.inputs[number]
            turns.append(input.like(turned))
            constant = self.steps.constants if number == len(above.weights) - 1 else 1
            shared = self.biases[number] * (self.rate * constant)
            if number == 0 and above.user is not None and user is not None:
                shared = shared + own_times(user, above.user_weight.mT)
                shared += self.rate * own_times(above.user, self.user_weight.mT)
            up = input.like(turns[number].times(above.hidden(number, weight).mT))
            add_products(up.parts, input.parts, input.by_bucket(self.weights[number].mT), self.rate)
            up.add(shared)
            turned = up.all
            if number < len(above.weights) - 1:
                turned = gated(turned, above.hidden(number + 1, moment.inputs[number + 1].all))
        return turns, turned

    def _down(
        self, moment: Moment, turns: list[Flat], user: Tensor | None, slope: Tensor, found: Gradients
    ) -> tuple[Flat, Tensor | None]:
        """Back through the layers; returns the derivatives in the hidden and the user part that they are fed."""
        above, back_user = moment.above, None
        back = moment.slopes[0].like(slope)
        for number in reversed(range(len(above.weights))):
            rows, input, own = back.like(slope), moment.inputs[number], moment.slopes[number]
            back = rows.like(rows.times(above.weights[number]))
            add_products(back.parts, own.parts, own.by_bucket(self.weights[number]), self.rate)
            total = rows.sums()
            if number == 0 and above.user is not None:
                back_user = self._down_user(moment, user, total)
            if moment.total is None:  # the weights of the first step are shared
                found.add(number + found.base, slope, input.all, bias=False)
                found.add(number + found.base, own.all, turns[number].all, bias=False)
            else:
                self._add(self.weights[number], rows, input)
                self._add(self.weights[number][..., above.extra(number) :], own, turns[number])
            self.biases[number] = self.biases[number] + total
            found.support, hidden = found.support.with_extra(back.all, above.extra(number))
            back = back.like(hidden)
            if number:
                slope = gated(hidden, above.hidden(number, input.all))
        return back, back_user

    def _down_user(self, moment: Moment, turn: Any, total: Tensor) -> Tensor:
        """The same for the user part of the lowest layer, once a task."""
        above, own = moment.above, moment.slopes[0].sums()
        assert above.user is not None
        back = own_times(total, above.user_weight) + self.rate * own_times(own, self.user_weight)
        self.user_weight = torch.addcmul(self.user_weight, total.unsqueeze(2), above.user.unsqueeze(1))
        self.user_weight.addcmul_(own.unsqueeze(2), turn.unsqueeze(1))
        return back

    def into(self, found: Gradients) -> None:
        """Add the derivatives, summed over tasks, to the gradients of the shared weights."""
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=found.base):
            found.weights[number] += weight.sum(dim=0)
            found.biases[number] += bias.sum(dim=0)
        if self.user_weight is not None:
            found.user_weight = self.user_weight.sum(dim=0)
