"""Libraries that compute all tasks of a batch at once by `vmap`: parallel-metalearn and JAX."""

import functools
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarec.benchmark.contenders import Contender, Outcome, by_step
from metarec.benchmark.peers import version
from metarec.benchmark.setting import INNER_LR, Cell, Setting
from metarec.data.tasks import TaskBatch
from metarec.nets.melu import MeLUNet

JAX_BUCKETS, JAX_WIDTHS = 4, 8
"""JAX compiles for each shape, so it gets four buckets of equally many tasks, as wide as a multiple of eight rows."""


class Fed(nn.Module):
    """A module as parallel-metalearn calls it, with options that it does not need."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Tensor, **_: object) -> Tensor:
        """What the module makes of the rows."""
        found: Tensor = self.module(rows)
        return found


class NoStep(torch.optim.SGD):
    """An optimizer that leaves the parameters as they are: optimizer steps are no part of the comparison."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing."""


def parallel_metalearn(setting: Setting, cell: Cell) -> Contender:
    """parallel-metalearn's MAML on a padded batch, with the mask in the loss."""
    library: Any = importlib.import_module("metalearn.algorithms")
    wrapper: Any = importlib.import_module("metalearn.model_wrappers")
    optimizers: Any = importlib.import_module("metalearn.inner_optimizers")
    net = setting.net()
    body = nn.Sequential(*(module for layer in net.decoder.layers for module in (layer, nn.ReLU())))
    model = wrapper.MAML_Model(backbone=Fed(body), head=Fed(net.decoder.head))
    first_order = cell.order == 1
    inner = optimizers.InnerSGD(model.get_fast_weights(), first_order, INNER_LR, cell.steps, learn_lr=False)
    algorithm = library.MAML(
        model=model, optimizer=NoStep(net.parameters(), lr=0.0), inner_optimizer=inner, support_loss_fn=_masked_loss(),
        inner_steps=cell.steps, chunk_size=2 * setting.size, device=setting.device,
    )  # fmt: skip

    def step(batch: TaskBatch) -> float:
        encoded = net.encoder(batch.task, torch.cat([batch.support.item, batch.query.item], dim=1))
        rows = torch.cat([encoded.user.expand(-1, encoded.item.shape[1], -1), encoded.item], dim=2)
        support, query = torch.split(rows, [batch.support.mask.shape[1], batch.query.mask.shape[1]], dim=1)
        wanted = [{"rating": r.rating - net.decoder.mean, "mask": r.mask} for r in (batch.support, batch.query)]
        loss, _ = algorithm.step(iter([(support, wanted[0], query, wanted[1])]))
        return float(loss)

    return by_step("parallel-metalearn", "padded", net, step, version("parallel-metalearn"))


def _masked_loss() -> Any:
    """Mean squared error over a task's real rows, as parallel-metalearn wants losses."""
    base: Any = importlib.import_module("metalearn.loss.base").BaseLoss

    def forward(self: Any, out_dict: Any, targets: Any, model_states: Any = None, **_: object) -> tuple[Tensor, Tensor]:
        error = (out_dict["logits"].squeeze(-1) - targets["rating"]).square() * targets["mask"]
        loss = error.sum() / targets["mask"].sum()
        return loss, loss.detach()

    return type("MaskedError", (base,), {"forward": forward})()


def jax_threads() -> int | None:
    """The number of threads that JAX was started with; null: it was not started."""
    return int(os.environ["NPROC"]) if "jax" in sys.modules and "NPROC" in os.environ else None


def jax_vmap(setting: Setting, cell: Cell) -> Contender:
    """JAX's jit(vmap(grad)): everything compiled, embeddings included."""
    os.environ["NPROC"] = str(setting.threads)  # what its thread pool goes by; read when jax starts
    jax: Any = importlib.import_module("jax")
    net = setting.net()
    weights = {name: _array(parameter) for name, parameter in net.named_parameters()}
    gradient = jax.jit(jax.value_and_grad(functools.partial(_jax_loss, jax, net, cell)))
    kept: dict[int, list[list[Any]]] = {}

    def prepared(batch: TaskBatch) -> list[list[Any]]:
        if id(batch.task) not in kept:
            kept[id(batch.task)] = _jax_buckets(batch)
        return kept[id(batch.task)]

    def step(batch: TaskBatch) -> Any:
        found = [gradient(weights, *bucket) for bucket in prepared(batch)]
        total = functools.reduce(lambda one, other: jax.tree.map(lambda a, b: a + b, one, other), found)
        return jax.block_until_ready(total)

    def outcome(batch: TaskBatch) -> Outcome:
        loss, gradients = step(batch)
        placed = {name: torch.from_numpy(np.array(g)).to(setting.device) for name, g in gradients.items()}
        return Outcome(float(loss) / len(batch.task), {name: g / len(batch.task) for name, g in placed.items()})

    def compile_all(batches: Sequence[TaskBatch]) -> None:
        for batch in batches:
            step(batch)

    return Contender("JAX", "buckets", step, outcome, note=version("jax"), compile=compile_all)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().copy()


def _jax_buckets(batch: TaskBatch) -> list[list[Any]]:
    """The batch in parts of equally many tasks, as arrays whose shapes do not vary much."""
    task, support, query = _array(batch.task), list(map(_array, batch.support)), list(map(_array, batch.query))
    found = []
    for part in np.array_split(np.arange(len(task)), JAX_BUCKETS):
        width = -(-int(support[2][part].sum(axis=1).max()) // JAX_WIDTHS) * JAX_WIDTHS
        columns = [np.pad(c[part][:, :width], ((0, 0), (0, max(0, width - c.shape[1])))) for c in support]
        found.append([task[part], *columns, *(c[part] for c in query)])
    return found


def _jax_loss(jax: Any, net: MeLUNet, cell: Cell, weights: Any, *bucket: Any) -> Any:
    """The sum of the query losses of a bucket."""
    jnp = jax.numpy
    depth = len(net.decoder.layers)
    paths = [*(f"decoder.layers.{number}" for number in range(depth)), "decoder.head"]
    mean = float(net.decoder.mean)
    user, item = (_jax_embedder(jnp, name, net, weights) for name in ("user", "item"))

    def scores(layers: Any, rows: Any) -> Any:
        for number in range(depth):
            rows = jax.nn.relu(rows @ layers[2 * number].T + layers[2 * number + 1])
        return (rows @ layers[-2].T + layers[-1])[:, 0] + mean

    def loss(layers: Any, rows: Any, rating: Any, mask: Any) -> Any:
        return jnp.sum(jnp.square(scores(layers, rows) - rating) * mask) / jnp.sum(mask)

    def of_task(task: Any, *rows: Any) -> Any:
        support, query = rows[:3], rows[3:]
        vector = user(task)
        fed = [jnp.concatenate([jnp.tile(vector, (len(r[0]), 1)), item(r[0])], axis=1) for r in (support, query)]
        layers = [weights[f"{path}.{part}"] for path in paths for part in ("weight", "bias")]
        for _ in range(cell.steps):
            slopes = jax.grad(loss)(layers, fed[0], *support[1:])
            slopes = jax.lax.stop_gradient(slopes) if cell.order == 1 else slopes
            layers = [layer - INNER_LR * slope for layer, slope in zip(layers, slopes, strict=True)]
        return loss(layers, fed[1], *query[1:])

    return jnp.sum(jax.vmap(of_task)(*bucket))


def _jax_embedder(jnp: Any, name: str, net: MeLUNet, weights: Any) -> Callable[[Any], Any]:
    """The encoder's Embedder of users or items, as a function of rows."""
    embedder: Any = net.encoder.get_submodule(name)
    buffers = {key: jnp.asarray(_array(buffer)) for key, buffer in embedder.named_buffers()}

    def vectors(rows: Any) -> Any:
        table = {key: weights[f"encoder.{name}.table.{key}"] for key in embedder.table}
        codes = buffers["code"][rows]
        parts = [table[key][codes[..., number]] for number, key in enumerate(embedder.codes)]
        parts += [buffers[f"sets_{key}"][rows] @ table[key] for key in embedder.sets]
        return jnp.concatenate(parts, axis=-1)

    return vectors
