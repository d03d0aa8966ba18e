"""Adapting and scoring users of a stack of dense layers, without autograd.

For scores alone there is nothing to differentiate twice, so the gradients of the inner loop are written out and no
graph is ever built. A layer with inputs x_s and slopes D_s of the support loss in its outputs changes by
dW = -lr sum_s D_s x_s'; what row x sees of that is -lr sum_s (x . x_s) D_s. Whichever of the two takes fewer products
is used: the second for few rows or few support ratings, the first for a whole catalogue and many.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarec.algorithms.engines.fused import Plan
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import RowLoss, shares
from metarec.data.tasks import Rows
from metarec.nets.base import Encoded
from metarec.recommend.items import ItemIndex


class Layer(NamedTuple):
    """A layer of T tasks: x -> x W' + b + (x X') D.

    Attributes:
        weight: W, shared by the tasks (out, in), or each task's own (T, out, in).
        bias: b, with all else that is the same for all rows of a task, (T, 1, out), or (out,) before the first step.
        input: X, inputs of the support rows, (T, S, in); null where W holds all that has moved.
        slope: D, slopes of the support loss in their outputs, times -lr, (T, S, out); null as well.
    """

    weight: Tensor
    bias: Tensor
    input: Tensor | None = None
    slope: Tensor | None = None

    def __call__(self, x: Tensor, fixed: Tensor | None = None) -> Tensor:
        """Outputs (T, R, out).

        Args:
            x: inputs (T, R, in), or (R, in) where all tasks share them.
            fixed: x W' with a shared W, (T, R, out) or (R, out), if known already.
        """
        if self.weight.dim() == 3:
            rows = x if x.dim() == 3 else x.expand(len(self.weight), -1, -1)
            return torch.baddbmm(self.bias, rows, self.weight.mT)
        if self.input is None or self.slope is None:
            return functional.linear(x, self.weight, self.bias) if fixed is None else fixed + self.bias
        fixed = functional.linear(x, self.weight) if fixed is None else fixed
        return torch.baddbmm(fixed, torch.matmul(x, self.input.mT), self.slope).add_(self.bias)

    def moved(self, input: Tensor, slope: Tensor, constants: Tensor | int) -> "Layer":
        """The layer after one more step on the same inputs.

        Args:
            input: see `input`.
            slope: see `slope`.
            constants: sum of the squares of what is the same in all rows, 1 for a bias; (T, 1, 1) or a number.
        """
        total = slope.sum(dim=1, keepdim=True)
        if isinstance(constants, Tensor):
            bias = torch.addcmul(self.bias, total, constants)
        else:
            bias = torch.add(self.bias, total, alpha=constants)
        return Layer(self.weight, bias, input, slope if self.slope is None else self.slope + slope)

    def formed(self) -> "Layer":
        """The same with a weight for each task."""
        if self.input is None or self.slope is None:
            return self
        return Layer(torch.baddbmm(self.weight, self.slope.mT, self.input), self.bias)

    def settled(self, rows: int, fixed: bool = False, gram: bool = False) -> "Layer | Mix":
        """In the form that takes fewer products to put out `rows` rows a task; `fixed`, `gram`: these are known."""
        if self.input is None or self.slope is None or self.weight.dim() == 3:
            return self.formed()
        support, out, width = self.input.shape[1], *self.weight.shape
        apart = rows * (support * (out + width * (not gram)) + out * width * (not fixed))
        if (rows + support) * out * width < apart:
            return self.formed()
        return Mix(torch.cat([self.slope, self.bias], dim=1)) if gram else self


class Mix(NamedTuple):
    """A layer of T tasks that is given the inner products of rows and support rows: x X' -> x W' + (x X') D + b.

    Attributes:
        slope: D, and b as the slope of an input whose inner product with all rows is 1, (T, S + 1, out).
    """

    slope: Tensor

    def __call__(self, x: Tensor, fixed: Tensor | None = None) -> Tensor:
        """Outputs (T, R, out).

        Args:
            x: the inner products, the last of them 1, (T, R, S + 1).
            fixed: what the layer puts out without the tasks' part, (R, out).
        """
        assert fixed is not None
        return torch.baddbmm(fixed, x, self.slope)


class Fed(NamedTuple):
    """What R rows of T users feed the adapting layers with.

    Attributes:
        user: user part of the lowest layer's input, (T, 1, Du).
        input: the rest of it, (T, R, in), or (R, in) where all tasks share it; what a `Mix` is given, for one.
        fixed: `input` times the shared weight, (T, R, out) or (R, out); null where it is not known.
        extra: first part of the last layer's input, (T, R, G); null where there is none, or `input` has it.
        offset: what is added to the score, (T, R).
    """

    user: Tensor
    input: Tensor
    fixed: Tensor | None
    extra: Tensor | None
    offset: Tensor


class Adapted(NamedTuple):
    """T adapted users.

    Attributes:
        user: their vectors, (T, 1, D).
        support: their support items, (T, S).
        layers: the adapting layers, the lowest first.
    """

    user: Tensor
    support: Tensor
    layers: Sequence[Layer | Mix]


class DenseUsers:
    """Users whose adapting parameters are the dense layers from one of them upwards; see `metarec.recommend.paths`.

    All runs in inference mode, which spares each operation what autograd notes of tensors even where it is off. What
    leaves `metarec.recommend` is copied outside of it, so that it is an ordinary tensor.

    Args:
        index: the item side of the net.
        how: the inner loop; its rule is the plain gradient step.
        plan: which layers adapt.
    """

    def __init__(self, index: ItemIndex, how: InnerLoop, plan: Plan) -> None:
        every, offered = index.every.projected, index.offered
        assert every is not None
        assert offered.projected is not None
        assert offered.input is not None
        assert isinstance(how.loss, RowLoss)
        decoder: Any = index.net.decoder
        self.slope = how.loss.slope
        self.index, self.how, self.start, self.decoder = index, how, plan.start, decoder
        self.projected, self.gram = every, index.gram
        self.offered, self.offered_input = offered.projected, offered.input
        self.layers = [Layer(*layer) for layer in index.layers]
        self.constants = [*[1] * (len(self.layers) - 1 - plan.start), plan.constants]
        self.user_weight, self.item_weight = index.user_weight, index.item_weight

    @torch.inference_mode()
    def adapt(self, task: Tensor, support: Rows, rows: int | None = None) -> Adapted:
        """See `Users.adapt`."""
        user = self.index.net.encode_user(task)
        fed = self._feed(self.index.gather(user, support.item), functional.embedding(support.item, self.projected))
        share = shares(support, self.how.shrinkage) * -self.how.inner_lr
        layers, constants = self._unadapted(fed.user), self._constants(fed.user)
        for step in range(self.how.adaptation_steps):
            if step:
                layers[1:] = [layer.formed() for layer in layers[1:]]
            inputs, score = _forward(layers, fed)
            slopes = _slopes(layers, inputs, self.slope(score, support.rating).mul_(share), fed.extra)
            steps = zip(layers, inputs, slopes, constants, strict=True)
            layers = [layer.moved(input, slope, constant) for layer, input, slope, constant in steps]
        return Adapted(user, support.item, self._settled(layers, rows))

    @torch.inference_mode()
    def score(self, adapted: Adapted, task: Tensor, item: Tensor) -> Tensor:
        """See `Users.score`."""
        fed = self._feed(self.index.gather(adapted.user, item), functional.embedding(item, self.projected))
        return _forward(adapted.layers, fed)[1]

    @torch.inference_mode()
    def block(self, adapted: Adapted, task: Tensor, start: int, stop: int) -> Tensor:
        """See `Users.block`."""
        fed = self._feed(self.index.block(adapted.user, start, stop), self.offered[start:stop])
        if self.start == 0:
            mixes = isinstance(adapted.layers[0], Mix)
            fed = fed._replace(input=self._products(adapted, start, stop) if mixes else self.offered_input[start:stop])
        return _forward(adapted.layers, fed)[1]

    def _products(self, adapted: Adapted, start: int, stop: int) -> Tensor:
        """What a `Mix` is given for the catalogue's ``start .. stop``."""
        assert self.gram is not None
        rows = functional.pad(adapted.support, (0, 1), value=self.index.items)
        return functional.embedding(rows, self.gram[:, start:stop]).mT

    def _feed(self, encoded: Encoded, projected: Tensor) -> Fed:
        """What the adapting layers are fed, from the items' part of the first layer's outputs."""
        user, item, extra, offset = self.decoder.inputs(encoded)
        if self.start == 0:
            return Fed(user, item, projected, extra, offset)
        hidden = (projected + functional.linear(user, self.user_weight, self.layers[0].bias)).relu_()
        for layer in self.layers[1 : self.start]:
            hidden = functional.linear(hidden, layer.weight, layer.bias).relu_()
        if extra is not None and self.start == len(self.layers) - 1:
            hidden, extra = torch.cat([extra, hidden], dim=-1), None
        return Fed(user, hidden, None, extra, offset)

    def _unadapted(self, user: Tensor) -> list[Layer]:
        """The adapting layers before the first step; the user part of the first counts among its biases."""
        layers = self.layers[self.start :]
        if self.start == 0:
            layers[0] = Layer(self.item_weight, functional.linear(user, self.user_weight, self.layers[0].bias))
        return layers

    def _settled(self, layers: list[Layer], rows: int | None) -> Sequence[Layer | Mix]:
        """The adapted layers in the form that suits so many rows; null: the catalogue."""
        gram = rows is None and self.start == 0 and self.gram is not None
        rows = len(self.index.catalogue) if rows is None else rows
        first, *others = layers
        return [first.settled(rows, self.start == 0, gram), *(layer.settled(rows) for layer in others)]

    def _constants(self, user: Tensor) -> list[Tensor | int]:
        """By layer, see `Layer.moved`."""
        if self.start:
            return [*self.constants]
        return [user.square().sum(dim=-1, keepdim=True) + 1, *self.constants[1:]]


def _forward(layers: Sequence[Layer | Mix], fed: Fed) -> tuple[list[Tensor], Tensor]:
    """The inputs of each layer, and the scores (T, R)."""
    inputs, output = [fed.input], layers[0](fed.input, fed.fixed)
    for layer in layers[1:]:
        hidden = output.relu_()
        if layer is layers[-1] and fed.extra is not None:
            hidden = torch.cat([fed.extra, hidden], dim=-1)
        inputs.append(hidden)
        output = layer(hidden)
    return inputs, output.squeeze(-1) + fed.offset


def _slopes(layers: list[Layer], inputs: list[Tensor], slope: Tensor, extra: Tensor | None) -> list[Tensor]:
    """Slopes in the outputs of each layer, (T, S, out), from those in the scores, (T, S)."""
    slopes = [slope.unsqueeze(-1)]
    skip = 0 if extra is None else extra.shape[-1]
    for layer, input in zip(layers[:0:-1], inputs[:0:-1], strict=True):
        back = slopes[-1] @ layer.weight
        if skip:
            back, input, skip = back[..., skip:], input[..., skip:], 0
        slopes.append(torch.ops.aten.threshold_backward(back, input, 0))
    return slopes[::-1]
