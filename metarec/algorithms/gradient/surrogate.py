"""Losses whose gradients are put together by hand, for outer steps that automatic optimisation is to take.

The gradient of <theta, g> in theta is g, where g is a constant. A loss to which such products are added, and from
which their values are taken again, shows one thing and pulls the shared parameters another way.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.nets.base import Net
from metarec.nets.features import lookup, patch_names


def settled(net: Net, names: Sequence[str], fast: Fast) -> Fast:
    """Fast weights as constants, tables that they patch among them: no gradient reaches the parameters `names`."""
    tables = {name: net.get_parameter(name) for name in names if name not in fast}
    return {name: weight.detach() for name, weight in (fast | tables).items()}


def weights(names: Sequence[str], fast: Fast) -> list[str]:
    """Under which names `fast` holds what adapts, in the order of the parameters `names`: of a table, the changes."""
    return [name if name in fast else patch_names(name)[1] for name in names]


def pull(net: Net, names: Sequence[str], fast: Fast, pulls: Sequence[Tensor]) -> Tensor:
    """Zeros (T,) whose gradients in the parameters `names` are `pulls`.

    Args:
        net: the net.
        names: parameters.
        fast: the fast weights that `pulls` belong to.
        pulls: constants, (T, ...) each; of a table, one for each row that `fast` holds a change of.
    """
    total = torch.zeros(len(pulls[0]), dtype=pulls[0].dtype, device=pulls[0].device)
    for name, own in zip(names, pulls, strict=True):
        parameter: Tensor = net.get_parameter(name)
        if name not in fast:
            embedder = net.get_submodule(name.rpartition(".table.")[0])
            parameter = lookup(parameter, fast[patch_names(name)[0]], getattr(embedder, "sparse", False))
        total = total + (parameter * own).flatten(1).sum(dim=1)
    return total - total.detach()
