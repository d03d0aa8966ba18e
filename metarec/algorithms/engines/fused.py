"""Hand-derived gradients where what adapts is a stack of dense layers, with or without the embeddings under it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.engines.base import Engine, require_gradients
from metarec.algorithms.engines.batched import Batched
from metarec.algorithms.engines.dense_problem import Steps
from metarec.algorithms.engines.many_steps import ManySteps
from metarec.algorithms.engines.one_step import OneStep
from metarec.algorithms.inner_loop import InnerLoop
from metarec.algorithms.losses import shares
from metarec.algorithms.update_rules import GradientStep
from metarec.data.tasks import Rows, TaskBatch, parts
from metarec.nets.base import Encoded, Net
from metarec.nets.dense import DenseDecoder, DenseInputs


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
        buckets = parts(batch)
        scores = _scores(net, how, found, batch.task, buckets)
        pairs = zip(scores, buckets, strict=True)
        return torch.cat([how.loss.of_tasks(score, part.query) for score, part in pairs])

    def scores(self, net: Net, how: InnerLoop, task: Tensor, support: Rows, item: Tensor) -> Tensor:
        """See `Engine.scores`."""
        found, how = plan(net, how, net.training), how.first()
        if isinstance(found, str):
            return Batched().scores(net, how, task, support, item)
        query = Rows(
            item, item.new_zeros(item.shape, dtype=support.rating.dtype), torch.ones_like(item, dtype=torch.bool)
        )
        with torch.no_grad():
            [scores] = _scores(net, how, found, task, [TaskBatch(task, support, query)])
        return scores


def _scores(net: Net, how: InnerLoop, found: Plan, task: Tensor, buckets: list[TaskBatch]) -> list[Tensor]:
    """Scores of the query rows of each bucket after adaptation, (T, Q)."""
    first, layers = _layers(net.decoder, found.start)
    function = OneStep if how.adaptation_steps == 1 else ManySteps
    inputs = _inputs(net, found.start, task, buckets)
    tensors = [inputs[0], first, *inputs[1:], *layers]
    with torch.autocast(task.device.type, enabled=False):
        steps = _steps(net, how, found, buckets)
        scores: Tensor = function.apply(steps, *_of_one_type(tensors))  # type: ignore[no-untyped-call]
    parts = torch.split(scores, [part.query.mask.numel() for part in buckets])
    return [score.view_as(part.query.item) for score, part in zip(parts, buckets, strict=True)]


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
    if not how.adaptation_steps:
        return "there is no inner step"
    if training and decoder.dropout.p > 0:
        return "dropout draws anew in each step"
    return _adapting_stack(net, decoder, set(how.names))


def _adapting_stack(net: Net, decoder: DenseDecoder, names: set[str]) -> Plan | str:
    """Which layers adapt, or what stands against a plan."""
    last = len(decoder.layers)
    paths = [*(f"decoder.layers.{number}" for number in range(last)), "decoder.head"]
    start = min((number for number, path in enumerate(paths) if f"{path}.weight" in names), default=None)
    if start is None:
        return "no dense layer adapts"
    constants = {f"decoder.{name}" for name in decoder.constants} & names
    wanted = {f"{path}.{part}" for path in paths[start:] for part in ("weight", "bias")} | constants
    encoder = {f"encoder.{name}" for name, _ in net.encoder.named_parameters()}
    embeddings = start == 0 and encoder <= names and net.concatenates
    if embeddings and net.encoder.user.sets:  # type: ignore[union-attr]
        return "embeddings adapt, and a user attribute has several values"
    odd = (names ^ wanted) - (encoder if embeddings else set())
    if odd:
        return f"{min(odd)} {'adapts' if min(odd) in names else 'does not adapt'}"
    return Plan(start, embeddings, 1 + len(constants))


def encode(net: Net, task: Tensor, buckets: list[TaskBatch]) -> list[Encoded]:
    """Support rows of all buckets, then query rows of all buckets, encoded in one call."""
    items = [part.support.item for part in buckets] + [part.query.item for part in buckets]
    whole = net.encoder(task, torch.cat([item.reshape(-1) for item in items])[None])
    sizes = [item.numel() for item in items]
    vectors = [v.view(*item.shape, -1) for v, item in zip(whole.item[0].split(sizes), items, strict=True)]
    biases = [b.view(item.shape) for b, item in zip(whole.bias[0].split(sizes), items, strict=True)]
    users = torch.split(whole.user, [len(part.task) for part in buckets]) * 2
    return [Encoded(*each) for each in zip(users, vectors, biases, strict=True)]


def _layers(decoder: Any, start: int) -> tuple[Tensor | None, list[Tensor]]:
    """The first layer's columns for the user part, where it has one; weight and bias of each layer from `start` on."""
    layers = [tensor for layer in [*decoder.layers, decoder.head][start:] for tensor in (layer.weight, layer.bias)]
    if start:
        return None, layers
    user = decoder.user_width
    return layers[0][:, :user], [layers[0][:, user:], *layers[1:]]


def _inputs(net: Net, start: int, task: Tensor, buckets: list[TaskBatch]) -> list[Tensor | None]:
    """The user part, then item part, extra part and offset of support and query rows, see `Stack` and `Rows`."""
    decoder: Any = net.decoder
    users, *others = zip(*(decoder.inputs(encoded) for encoded in encode(net, task, buckets)), strict=True)
    flat: Any = DenseInputs(*(_rows(parts) for parts in (users[: len(buckets)], *others)))  # type: ignore[arg-type]
    count = sum(part.support.mask.numel() for part in buckets)
    if start:
        item = decoder.hidden(flat, start, _task_of_row(buckets, flat.item.device))
        flat = flat._replace(item=item, extra=None if start == len(decoder.layers) else flat.extra)
    support = [None if part is None else part[:count] for part in flat[1:]]
    query = [None if part is None else part[count:] for part in flat[1:]]
    return [None if start else flat.user, *support, *query]


def _rows(parts: Sequence[Tensor | None]) -> Tensor | None:
    """(T, R, D) or (T, R) of each bucket as one (rows, D) or (rows,)."""
    present = [part.flatten(0, 1) for part in parts if part is not None]
    return torch.cat(present) if present else None


def _task_of_row(buckets: list[TaskBatch], device: torch.device) -> Tensor:
    """Position of each row's task in the batch, first of all support rows, then of all query rows, (rows,)."""
    tasks = torch.arange(sum(len(part.task) for part in buckets), device=device)
    own = list(zip(torch.split(tasks, [len(part.task) for part in buckets]), buckets, strict=True))
    return torch.cat(
        [numbers[:, None].expand_as(part.support.mask).reshape(-1) for numbers, part in own]
        + [numbers[:, None].expand_as(part.query.mask).reshape(-1) for numbers, part in own]
    )


def _steps(net: Net, how: InnerLoop, found: Plan, buckets: list[TaskBatch]) -> Steps:
    """The inner loop of a batch."""
    steps = Steps(
        how.inner_lr,
        how.adaptation_steps,
        how.first_order,
        how.loss,
        torch.cat([part.support.rating.reshape(-1) for part in buckets]),
        torch.cat([shares(part.support, how.shrinkage).reshape(-1) for part in buckets]),
        tuple(part.support.mask.shape for part in buckets),  # type: ignore[misc]
        tuple(part.query.mask.shape for part in buckets),  # type: ignore[misc]
        found.constants,
    )
    if not found.embeddings:
        return steps
    embedder: Any = net.encoder.item
    items = [(part.query.item, part.support.item) for part in buckets]
    several = items if how.adaptation_steps > 1 else []
    return steps._replace(
        blocks=(embedder.width,) * len(embedder.table),
        overlaps_s=list(zip(*(embedder.overlaps(support, support) for _, support in several), strict=True)),
        overlaps_q=list(zip(*(embedder.overlaps(query, support) for query, support in items), strict=True)),
    )
