"""Hand-derived gradients where what adapts is a stack of dense layers, with or without the embeddings under it."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.engines.base import Engine, require_gradients
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.engines.dense_problem import Steps
from metarec.algorithms.engines.layout import Layout, layouts
from metarec.algorithms.engines.many_steps import ManySteps
from metarec.algorithms.engines.one_step import OneStep
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import RowLoss, shares
from metarec.algorithms.update_rules import GradientStep
from metarec.data.tasks import Rows, TaskBatch, parts
from metarec.nets.base import Net
from metarec.nets.dense import DenseDecoder


class Plan(NamedTuple):
    """What of a net adapts.

    Attributes:
        start: number of the first adapting layer.
        embeddings: whether everything adapts, the embeddings as well; then each user attribute has one value, so that
            all rows of a task take the same row of each user table, once.
        constants: how many adapting parameters are added to the score, the last layer's bias among them. Each is an
            input that is always 1, so that together they add their number to the inner products of two rows.
    """

    start: int
    embeddings: bool
    constants: int


class Fused(Engine):
    """Meta-gradients by `OneStep` or `ManySteps`; by `Batched`, with a reason, where these do not apply.

    Under mixed precision the layers that adapt are computed in the precision of their weights.
    """

    name = "fused"

    def in_use(self, net: Net, how: InnerLoop) -> str:
        """See `Engine.in_use`."""
        found = plan(net, how, training=True)
        return f"batched instead of fused: {found}" if isinstance(found, str) else self.name

    def adapt(self, net: Net, how: InnerLoop, task: Tensor, support: Rows) -> Fast:
        """See `Engine.adapt`; this engine never forms fast weights, so they come from `Batched`."""
        return Batched().adapt(net, how, task, support)

    def losses(self, net: Net, how: InnerLoop, batch: TaskBatch) -> Tensor:
        """See `Engine.losses`."""
        require_gradients()
        found = plan(net, how, net.training)
        if isinstance(found, str):
            return Batched().losses(net, how, batch)
        return how.loss.of_tasks(_scores(net, how, found, batch), batch.query)

    def scores(self, net: Net, how: InnerLoop, task: Tensor, support: Rows, item: Tensor) -> Tensor:
        """See `Engine.scores`."""
        found, how = plan(net, how, net.training), how.first()
        if isinstance(found, str):
            return Batched().scores(net, how, task, support, item)
        query = Rows(
            item, item.new_zeros(item.shape, dtype=support.rating.dtype), torch.ones_like(item, dtype=torch.bool)
        )
        with torch.no_grad():
            return _scores(net, how, found, TaskBatch(task, support, query))


def _scores(net: Net, how: InnerLoop, found: Plan, batch: TaskBatch) -> Tensor:
    """Scores (T, Q) of the query rows after adaptation; 0 in padding that no bucket has."""
    support, query = layouts(batch)
    first, layers = _layers(net.decoder, found.start)
    function = OneStep if how.adaptation_steps == 1 else ManySteps
    inputs = _inputs(net, found.start, batch, support, query)
    tensors = [inputs[0], first, *inputs[1:], *layers]
    with torch.autocast(batch.task.device.type, enabled=False):
        steps = _steps(net, how, found, batch, support, query)
        return query.padded(function.apply(steps, *_of_one_type(tensors)))  # type: ignore[no-untyped-call]


def _of_one_type(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """All tensors in the precision of the last one, a weight: mixed precision may have lowered some."""
    last = tensors[-1]
    return [tensor if tensor is None or last is None else tensor.to(last.dtype) for tensor in tensors]


def plan(net: Net, how: InnerLoop, training: bool) -> Plan | str:
    """What of the net adapts, or why it has no hand-derived gradient.

    Args:
        net: the net.
        how: the inner loop.
        training: whether dropout is on, if there is any.
    """
    decoder = net.decoder
    if not isinstance(decoder, DenseDecoder):
        return "the decoder is not a stack of dense layers"
    if not isinstance(how.rule, GradientStep):
        return "the update rule is not a plain gradient step"
    if not isinstance(how.loss, RowLoss):
        return "the loss is one of pairs of rows"
    if not how.adaptation_steps:
        return "there is no inner step"
    if training and decoder.dropout.p > 0:
        return "dropout draws anew in each step"
    return _adapting_stack(net, len(decoder.layers), decoder.constants, tuple(how.names))


def _adapting_stack(net: Net, depth: int, constants: tuple[str, ...], names: tuple[str, ...]) -> Plan | str:
    """Which layers adapt, or what stands against a plan."""
    found = _lowest(depth, constants, names)
    if found is None:
        return "no dense layer adapts"
    plan, odd = found
    encoder = _encoder_names(net) if odd and plan.start == 0 else set()
    if encoder and encoder <= odd and net.concatenates:
        if net.encoder.user.sets or net.encoder.user.lists:  # type: ignore[union-attr]
            return "embeddings adapt, and a user attribute has several values"
        plan, odd = plan._replace(embeddings=True), odd - encoder
    if odd:
        return f"{min(odd)} {'adapts' if min(odd) in names else 'does not adapt'}"
    return plan


@functools.lru_cache
def _lowest(depth: int, constants: tuple[str, ...], names: tuple[str, ...]) -> tuple[Plan, frozenset[str]] | None:
    """The plan of the layers from the lowest adapting one upwards, and the names that do not fit; null: none adapts.

    Args:
        depth: number of layers below the head.
        constants: see `DenseDecoder`.
        names: parameters that adapt.
    """
    paths = [*(f"decoder.layers.{number}" for number in range(depth)), "decoder.head"]
    start = min((number for number, path in enumerate(paths) if f"{path}.weight" in names), default=None)
    if start is None:
        return None
    added = {f"decoder.{name}" for name in constants} & {*names}
    wanted = {f"{path}.{part}" for path in paths[start:] for part in ("weight", "bias")} | added
    return Plan(start, False, 1 + len(added)), frozenset(wanted ^ {*names})


def _encoder_names(net: Net) -> set[str]:
    """Names of all parameters of the encoder."""
    return {f"encoder.{name}" for name, _ in net.encoder.named_parameters()}


def _layers(decoder: Any, start: int) -> tuple[Tensor | None, list[Tensor]]:
    """The first layer's columns for the user part, where it has one; weight and bias of each layer from `start` on."""
    layers = [tensor for layer in [*decoder.layers, decoder.head][start:] for tensor in (layer.weight, layer.bias)]
    if start:
        return None, layers
    user = decoder.user_width
    return layers[0][:, :user], [layers[0][:, user:], *layers[1:]]


def _inputs(net: Net, start: int, batch: TaskBatch, support: Layout, query: Layout) -> list[Tensor | None]:
    """The user part, then item part, extra part and offset of support and query rows, as in `dense_problem.Rows`."""
    decoder: Any = net.decoder
    item = torch.cat([support.flat(batch.support.item), query.flat(batch.query.item)])
    task = torch.cat([support.task, query.task])
    fed = decoder.inputs(net.encoder(batch.task, item[None]), task)
    if start:
        hidden = decoder.hidden(fed, start, task)
        fed = fed._replace(item=hidden, extra=None if start == len(decoder.layers) else fed.extra)
    sizes = [len(support.task), len(query.task)]
    divided = [(None, None) if part is None else part.flatten(0, 1).split(sizes) for part in fed[1:]]
    return [None if start else fed.user.squeeze(1), *(part[0] for part in divided), *(part[1] for part in divided)]


def _steps(net: Net, how: InnerLoop, found: Plan, batch: TaskBatch, support: Layout, query: Layout) -> Steps:
    """The inner loop of a batch."""
    assert isinstance(how.loss, RowLoss)
    steps = Steps(
        how.inner_lr,
        how.adaptation_steps,
        how.first_order,
        how.loss,
        support.flat(batch.support.rating),
        support.flat(shares(batch.support, how.shrinkage)),
        support.shapes,
        query.shapes,
        found.constants,
    )
    if not found.embeddings:
        return steps
    embedder: Any = net.encoder.item
    items = [(part.query.item, part.support.item) for part in parts(batch)]
    several = items if how.adaptation_steps > 1 else []
    return steps._replace(
        blocks=(embedder.width,) * len(embedder.table),
        overlaps_s=list(zip(*(embedder.overlaps(own, own) for _, own in several), strict=True)),
        overlaps_q=list(zip(*(embedder.overlaps(*pair) for pair in items), strict=True)),
    )
