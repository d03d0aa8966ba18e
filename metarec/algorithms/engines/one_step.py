"""One inner step on a stack of dense layers, with hand-derived first and second derivatives.

A step changes layer l by -lr sum_s D_s x_s', with x_s the layer's input in support row s and D_s the slope of the
support loss in its output. So a query row with input x_q sees its output change by -lr sum_s (x_q . x_s + 1) D_s:
Gram matrices of query and support rows take the place of fast weights, which are never formed, and all products with
weights are with weights that the tasks share: one flat product over the rows of all tasks. The backward pass goes
down through the query rows, then up and down through the support rows (Pearlmutter, Neural Computation 1994); there
is no graph of the step.

In the code: `grams` are the K = x_q . x_s + 1 of a layer, `products` the P = D_q . D_s, `up` the derivative of the
outer loss in D_s on its way from the first layer to the scores. Through K, that derivative is -lr K' D_q in D_s, and
-lr P' x_q in x_s.

Where the embeddings under the stack adapt as well, they are one more layer below it, whose inputs are one-hot: the
Gram matrices of its parts count the table rows that two rows share, and are given.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.engines.dense_problem import Gradients, Rows, Stack, Steps
from metarec.algorithms.engines.flat import (
    Flat,
    add_products,
    add_shared,
    gated,
    hand_derived,
    inner_products,
    totals,
    transposed,
)


class Layer(NamedTuple):
    """What one layer keeps for the backward pass.

    Attributes:
        weight: (out, in).
        input_s: inputs of the support rows.
        slope_s: slopes D of the support loss in its outputs.
        input_q: inputs of the query rows after the step.
        grams: K by bucket, (T, Q, S).
    """

    weight: Tensor
    input_s: Flat
    slope_s: Flat
    input_q: Flat
    grams: list[Tensor]


class OneStep(torch.autograd.Function):
    """Query scores (all Q,) after one step.

    Arguments: the `Steps`; then the tensors of a `Stack` and of the support and the query `Rows`, in the order in
    which `Gradients.flat` returns their gradients.
    """

    @staticmethod
    def forward(ctx: Any, steps: Steps, *tensors: Tensor | None) -> Tensor:
        """Take the step on the support rows and score the query rows."""
        stack, support, query = Stack.of(tensors)
        inputs, score = stack.forward(support, Flat(support.item, steps.support))
        slopes = stack.slopes(inputs, Flat(steps.slope(score), steps.support))
        walk = Walk(steps, stack)
        scores = walk.query(inputs, slopes, query)
        ctx.save_for_backward(*tensors)  # the copies in `walk` would not notice a change in place
        ctx.walk, ctx.curvature = walk, steps.curvature(score)
        return scores

    @staticmethod
    @hand_derived
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Down through the query rows; in second order also up and down through the support rows."""
        walk: Walk = ctx.walk
        found = Gradients(walk.stack)
        slopes, products = walk.down_query(gradient, found)
        if not walk.steps.first_order:
            score = walk.up_support(slopes, found)
            walk.down_support(score * ctx.curvature, products, found)
        return (None, *found.flat())


class Walk:
    """The way through the layers; keeps what the way back needs."""

    def __init__(self, steps: Steps, stack: Stack) -> None:
        self.steps, self.stack, self.rate = steps, stack, -steps.inner_lr
        self.layers: list[Layer] = []
        self.user: Any = stack.user
        self.total: Tensor | None = None

    def query(self, inputs: list[Flat], slopes: list[Flat], rows: Rows) -> Tensor:
        """The scores of the query rows, after the step."""
        last = len(self.stack.weights) - 1
        moved = self._moved(slopes[0], Flat(rows.item, self.steps.query))
        for number, weight in enumerate(self.stack.weights):
            output = moved.like(self.stack.output(number, moved, self.user))
            grams = self._grams(number, moved, inputs[number])
            add_products(output.parts, grams, slopes[number].parts, self.rate)
            self.layers.append(Layer(weight, inputs[number], slopes[number], moved, grams))
            if number < last:
                moved = moved.like(rows.joined(output.all.relu_(), number + 1 == last))
        scores: Tensor = output.all.squeeze(-1) + rows.offset
        return scores

    def _moved(self, slope: Flat, item: Flat) -> Flat:
        """The item part of the query rows' first inputs, after a step of the embeddings where they adapt."""
        if not self.steps.blocks:
            return item
        self.total = slope.sums()
        self.user = self.user + self.rate * (self.total @ self.stack.user_weight)
        moved = item.like(item.all.clone())
        pushed = slope.like(slope.times(self.stack.weights[0]))
        self.steps.mix(moved, pushed, self.steps.overlaps_q)
        return moved

    def _grams(self, number: int, query: Flat, support: Flat) -> list[Tensor]:
        """Inner products of a layer's inputs in query and support rows, constant ones among them, by bucket."""
        constants = self.steps.constants if number == len(self.stack.weights) - 1 else 1
        shared = None if number or self.user is None else (self.user * self.stack.user).sum(dim=-1)
        return add_shared(inner_products(query, support), query, shared, constants)

    def down_query(self, gradient: Tensor, found: Gradients) -> tuple[list[Flat], list[list[Tensor]]]:
        """Slopes of the outer loss in the query rows' outputs by layer, and products P of them and the support's."""
        slopes, products, slope = [], [], gradient.unsqueeze(-1)
        found.query = found.query._replace(offset=gradient)
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            found.add(number, slope, layer.input_q.all)
            slopes.append(layer.input_q.like(slope))
            products.append(inner_products(slopes[-1], layer.slope_s))
            back = layer.input_q.like(slope @ layer.weight)
            add_products(back.parts, products[-1], layer.input_s.parts, self.rate)
            if number:
                found.query, hidden = found.query.with_extra(back.all, self.stack.extra(number))
                slope = gated(hidden, self.stack.hidden(number, layer.input_q.all))
        found.query = found.query._replace(item=back.all)
        if self.user is not None:
            self._down_user(slopes[-1], products[-1], found)
        return slopes[::-1], products[::-1]

    def _down_user(self, slope: Flat, products: list[Tensor], found: Gradients) -> None:
        """The same for the user part of the first layer, once a task."""
        shared = totals(products) * self.rate
        found.moved_user = found.add_user(slope.sums(), self.user).addcmul_(shared, self.stack.user)
        found.user = found.moved_user if self.steps.first_order else found.moved_user + shared * self.user

    def up_support(self, slopes: list[Flat], found: Gradients) -> Tensor:
        """Derivative of the outer loss in the support slopes D of the last layer, the scores' own."""
        first = self.layers[0]
        up = self._up_embeddings(found)
        add_products(up.parts, transposed(first.grams), slopes[0].parts, self.rate, fresh=self.total is None)
        for number, layer in enumerate(self.layers[1:], start=1):
            gate = gated(up.all, self.stack.hidden(number, layer.input_s.all))
            found.add(number, layer.slope_s.all, gate, bias=False)
            up = up.like(gate @ self.stack.hidden(number, layer.weight).t())
            add_products(up.parts, transposed(layer.grams), slopes[number].parts, self.rate)
        return up.all

    def _up_embeddings(self, found: Gradients) -> Flat:
        """What the step of the embeddings gives for the derivative in the slopes D of the first layer."""
        first = self.layers[0]
        if self.total is None:
            return first.slope_s.like(torch.empty_like(first.slope_s.all))
        push = first.input_s.like(torch.zeros_like(first.input_s.all))
        overlaps = [transposed(own) for own in self.steps.overlaps_q]
        self.steps.mix(push, first.input_q.like(found.query.item), overlaps)
        found.add(0, first.slope_s.all, push.all, bias=False)
        up = push.like(push.times(first.weight.t()))
        own = found.moved_user * self.rate
        found.user_weight.addmm_(self.total.t(), own)
        up.add(own @ self.stack.user_weight.t())
        return up

    def down_support(self, slope: Tensor, products: list[list[Tensor]], found: Gradients) -> None:
        """Back through the support rows' outputs."""
        found.support = found.support._replace(offset=slope.squeeze(-1))
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            found.add(number, slope, layer.input_s.all)
            back = layer.input_s.like(slope @ layer.weight)
            add_products(back.parts, transposed(products[number]), layer.input_q.parts, self.rate)
            if number:
                found.support, hidden = found.support.with_extra(back.all, self.stack.extra(number))
                slope = gated(hidden, self.stack.hidden(number, layer.input_s.all))
        found.support = found.support._replace(item=back.all)
        if self.stack.user is not None:
            found.user = found.user + found.add_user(back.like(slope).sums(), self.stack.user)
