"""The lowest adapting layer of a stack, whose changes are kept as running sums of slopes and never as weights.

With inputs x of its rows and slopes D of the support loss in its outputs, the steps so far change what row r sees of
the layer by -lr sum_s K_rs SD_s, with K_rs = x_r . x_s (+ 1 for a bias) and SD the running sum of D.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from metarec.algorithms.engines.dense_problem import Gradients, Rows, Stack, Steps
from metarec.algorithms.engines.flat import Flat, add_products, add_shared, gated, inner_products, totals, transposed


class Sums(NamedTuple):
    """Values of a base: slopes, running sums of them, or derivatives of the outer loss in those.

    Attributes:
        rows: of the rows, (rows, out).
        user: of the user part, (all T, Du); null where the base has none.
    """

    rows: Flat
    user: Any

    def plus(self, other: "Sums") -> "Sums":
        """Both added up."""
        user = None if self.user is None else self.user + other.user
        return Sums(self.rows.like(self.rows.all + other.rows.all), user)


class Base(Protocol):
    """What `ManySteps` needs of a base; `above` are the layers over it, as all tasks share them."""

    above: Stack

    def outputs(self, total: Sums | None, query: bool) -> tuple[Flat, Tensor | None]:
        """What the layer above is fed after steps with these sums: hidden part (rows, in) and user part (all T, Du)."""

    def slope(self, back: Flat, user: Tensor | None, hidden: Tensor) -> Sums:
        """Slopes in the base's outputs, from those in what the layer above is fed."""

    def turned(self, turn: Sums, hidden: Tensor) -> Tensor:
        """The derivative of the outer loss in the slopes that reach `hidden`, from the one in the sums."""

    def leave_query(self, slope: Sums, total: Sums, found: Gradients) -> Sums:
        """Begin anew with the query rows' gradients; returns the derivative of the outer loss in the sums."""

    def leave_support(self, slope: Sums, total: Sums | None, turn: Sums) -> Sums:
        """Note the support rows' gradients at one step; returns the derivative in the sums before that step."""

    def finish(self, found: Gradients) -> None:
        """Add the support rows' gradients of all steps."""


class DenseBase:
    """A dense layer, followed by a ReLU unless it gives the score."""

    def __init__(self, steps: Steps, stack: Stack, support: Rows, query: Rows) -> None:
        self.steps, self.stack, self.rate = steps, stack, -steps.inner_lr
        self.above = Stack(None, None, stack.weights[1:], stack.biases[1:], stack.width)
        self.items = [Flat(support.item, steps.support), Flat(query.item, steps.query)]
        self.starts = [item.like(stack.output(0, item, stack.user)) for item in self.items]
        self.grams = [self._gram(item) for item in self.items]

    def _gram(self, item: Flat) -> list[Tensor]:
        """Inner products with the inputs of the support rows, constant ones among them, by bucket."""
        constants = 1 if self.above.weights else self.steps.constants
        shared = None if self.stack.user is None else self.stack.user.square().sum(dim=-1)
        return add_shared(inner_products(item, self.items[0]), item, shared, constants)

    def outputs(self, total: Sums | None, query: bool) -> tuple[Flat, Tensor | None]:
        """See `Base`."""
        output = self.starts[query].like(self.starts[query].all.clone())
        if total is not None:
            add_products(output.parts, self.grams[query], total.rows.parts, self.rate)
        if self.above.weights:
            output.all.relu_()
        return output, None

    def slope(self, back: Flat, user: Tensor | None, hidden: Tensor) -> Sums:
        """See `Base`."""
        return Sums(back.like(gated(back.all, hidden)) if self.above.weights else back, None)

    def turned(self, turn: Sums, hidden: Tensor) -> Tensor:
        """See `Base`."""
        return gated(turn.rows.all, hidden) if self.above.weights else turn.rows.all

    def leave_query(self, slope: Sums, total: Sums, found: Gradients) -> Sums:
        """See `Base`."""
        self.gram_s: list[Tensor] = []
        self.found: Any = None
        found.add(0, slope.rows.all, self.items[1].all)
        self.gram_q = [gram.mul_(self.rate) for gram in inner_products(slope.rows, total.rows)]
        item = slope.rows.like(slope.rows.times(self.stack.weights[0]))
        add_products(item.parts, self.gram_q, self.items[0].parts)
        found.query = found.query._replace(item=item.all)
        if self.stack.user is not None:
            shared = totals(self.gram_q) * (1 if self.steps.first_order else 2)
            found.user = found.add_user(slope.rows.sums(), self.stack.user).addcmul_(shared, self.stack.user)
        turn = self.starts[0].like(torch.empty_like(self.starts[0].all))
        add_products(turn.parts, transposed(self.grams[1]), slope.rows.parts, self.rate, fresh=True)
        return Sums(turn, None)

    def leave_support(self, slope: Sums, total: Sums | None, turn: Sums) -> Sums:
        """See `Base`."""
        self.found = slope.rows.all if self.found is None else self.found + slope.rows.all
        if total is None:
            return turn
        if self.gram_s:
            add_products(self.gram_s, slope.rows.parts, transposed(total.rows.parts), self.rate)
        else:
            self.gram_s = [gram.mul_(self.rate) for gram in inner_products(slope.rows, total.rows)]
        add_products(turn.rows.parts, self.grams[0], slope.rows.parts, self.rate)
        return turn

    def finish(self, found: Gradients) -> None:
        """See `Base`."""
        found.add(0, self.found, self.items[0].all)
        item = self.starts[0].like(self.found @ self.stack.weights[0])
        add_products(item.parts, transposed(self.gram_q), self.items[1].parts)
        both = [gram + gram.transpose(1, 2) for gram in self.gram_s]
        if both:
            add_products(item.parts, both, self.items[0].parts)
        found.support = found.support._replace(item=item.all)
        if self.stack.user is not None:
            found.user = found.user + found.add_user(item.like(self.found).sums(), self.stack.user)
            if both:
                found.user = found.user + totals(both) * self.stack.user


class EmbeddingBase:
    """All embedding tables under the stack, as one layer without bias and ReLU, whose inputs are one-hot."""

    def __init__(self, steps: Steps, stack: Stack, support: Rows, query: Rows) -> None:
        self.steps, self.above, self.rate = steps, stack, -steps.inner_lr
        self.user: Any = stack.user
        self.items = [Flat(support.item, steps.support), Flat(query.item, steps.query)]

    def outputs(self, total: Sums | None, query: bool) -> tuple[Flat, Tensor | None]:
        """See `Base`."""
        item = self.items[query]
        if total is None:
            return item, self.user
        moved = item.like(item.all.clone())
        self.steps.mix(moved, total.rows, self.steps.overlaps_q if query else self.steps.overlaps_s)
        return moved, torch.add(self.user, total.user, alpha=self.rate)

    def slope(self, back: Flat, user: Tensor | None, hidden: Tensor) -> Sums:
        """See `Base`."""
        return Sums(back, user)

    def turned(self, turn: Sums, hidden: Tensor) -> Tensor:
        """See `Base`."""
        return turn.rows.all

    def leave_query(self, slope: Sums, total: Sums, found: Gradients) -> Sums:
        """See `Base`."""
        self.found: Any = None
        found.query, found.user = found.query._replace(item=slope.rows.all), slope.user
        turn = self.items[0].like(torch.zeros_like(self.items[0].all))
        self.steps.mix(turn, slope.rows, [transposed(own) for own in self.steps.overlaps_q])
        return Sums(turn, slope.user * self.rate)

    def leave_support(self, slope: Sums, total: Sums | None, turn: Sums) -> Sums:
        """See `Base`."""
        self.found = slope if self.found is None else self.found.plus(slope)
        if total is None:
            return turn
        rows = turn.rows.like(turn.rows.all.clone())
        self.steps.mix(rows, slope.rows, self.steps.overlaps_s)
        return Sums(rows, torch.add(turn.user, slope.user, alpha=self.rate))

    def finish(self, found: Gradients) -> None:
        """See `Base`."""
        found.support = found.support._replace(item=self.found.rows.all)
        found.user = found.user + self.found.user
