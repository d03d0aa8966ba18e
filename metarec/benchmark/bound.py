"""The arithmetic bound: how fast an outer step could be if it were matrix products alone.

That is the multiplications it cannot do without, at the rate of a batched product of that size in the same rounds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metarec.benchmark.contenders import Contender
from metarec.benchmark.setting import QUERY, Cell, Setting
from metarec.data.tasks import TaskBatch
from metarec.nets.melu import MeLUNet

ROWS = 32
"""Rows of each product whose rate is measured: about a support set."""


def bound(setting: Setting, cell: Cell, rounds: Sequence[Sequence[TaskBatch]]) -> Contender:
    """A contender that only multiplies matrices, and whose time is scaled to the operations of the cell.

    Args:
        setting: the benchmark's.
        cell: a cell in which the dense layers adapt.
        rounds: the batches of each round; support sets of different length take different numbers of operations.
    """
    net = setting.net()
    (wide, narrow), *_ = _widths(net)
    wide -= net.decoder.user_width
    rows = torch.randn(setting.size, ROWS, wide, device=setting.device)
    weights = torch.randn(setting.size, wide, narrow, device=setting.device)
    out = torch.empty(setting.size, ROWS, narrow, device=setting.device)
    done = setting.size * ROWS * wide * narrow
    shares = [sum(_needed(net, cell, batch) for batch in batches) / len(batches) / done for batches in rounds]

    def step(batch: TaskBatch) -> Tensor:
        return torch.bmm(rows, weights, out=out)

    return Contender("arithmetic bound", "padded", step, None, shares=shares)


def _needed(net: MeLUNet, cell: Cell, batch: TaskBatch) -> float:
    """Multiplications of a batch's outer step."""
    return sum(multiplications(net, cell, size) for size in batch.support.mask.sum(dim=1).tolist())


def multiplications(net: MeLUNet, cell: Cell, support: int, query: int = QUERY) -> float:
    """Scalar multiplications of one task's outer step, of matrix products alone.

    Changes of weights by the inner loop are formed, or stay products of Gram matrices with slopes, whichever takes
    less. The first layer's part for the user is computed once a task. A product of a layer a -> b with s rows takes
    s a b multiplications; the terms below count them in the order of the computation.

    Args:
        net: the net; its dense layers adapt.
        cell: order and number of steps.
        support: support size, s.
        query: query size, q.
    """
    s, q, k, second = float(support), float(query), cell.steps, cell.order == 2
    (wide, out), *above = _widths(net)
    user = float(net.decoder.user_width)
    item = wide - user
    first = min(_formed(s, q, k, second, item * out), _gram(s, q, k, second, item, out)) + 3 * user * out
    return first + sum(_upper(s, q, k, second, a, b) for a, b in above)


def _widths(net: MeLUNet) -> list[tuple[int, int]]:
    """Widths of input and output of each dense layer."""
    return [(layer.weight.shape[1], layer.weight.shape[0]) for layer in (*net.decoder.layers, net.decoder.head)]


def _formed(s: float, q: float, k: int, second: bool, ab: float) -> float:
    """The first layer, its changed weights formed.

    Steps: outputs and weight slopes; query: outputs, weight and input gradients. Second order: outputs and input
    gradients by the direction V of each step, its update between steps, weight and input gradients at the end.
    """
    return (2 * k * s + 3 * q) * ab + (3 * k + 1) * s * ab * second


def _gram(s: float, q: float, k: int, second: bool, a: float, b: float) -> float:
    """The first layer, its change kept as K_qs SD and K_ss SD, with SD the sum of slopes.

    Support outputs, query outputs and both query gradients; K_qs, its product, the query's D SD' and what that says
    of its inputs; between steps K_ss and its products. Second order: weight and input gradients of the support rows,
    the turn K_qs' D, what the query says of their inputs; between steps K_ss RD, RD SD' and what that says.
    """
    found = (s + 3 * q) * a * b + 2 * q * s * (a + b)
    found += (2 * s * a * b + q * s * (a + b)) * second
    between = s * s * a * (k > 1) + (k - 1) * s * s * b
    return found + between + (s * s * a * (k > 1) + 2 * (k - 1) * s * s * b) * second


def _upper(s: float, q: float, k: int, second: bool, a: float, b: float) -> float:
    """A layer above, whose inputs change from step to step.

    Steps: outputs and input slopes, and weight slopes, which the last step may leave as Gram products; query:
    outputs, weight and input gradients. Second order, each step: Rh W', RD W, RD' h and D' Rh, and h V' and D V,
    which the last step may leave as Gram products.
    """
    formed, gram = s * a * b, q * s * (a + b)
    found = 2 * k * formed + 3 * q * a * b + (k - 1) * formed + min(formed, 2 * gram)
    return found + (4 * k * formed + 2 * (k - 1) * formed + min(2 * formed, gram)) * second
