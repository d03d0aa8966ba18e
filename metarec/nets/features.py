"""Layers whose weights may carry a leading task dimension, and the embedding of users and items.

A weight of one dimension more than usual belongs to T tasks, one slice each: that is how all tasks of a batch
adapt in one call.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.data.ratings import FeatureTable
from metarec.errors import InputError


def lookup(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table, or of each task's own table.

    Args:
        table: (rows, D), or (T, rows, D).
        index: (T, R), int64.

    Returns:
        (T, R, D).
    """
    if table.dim() == 2:
        return functional.embedding(index, table)
    return table[torch.arange(len(table), device=table.device)[:, None], index]


class Dense(nn.Linear):
    """A linear layer that also takes weights (T, out, in) and biases (T, out)."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (T, R, in) to (T, R, out)."""
        if self.weight.dim() == 2:
            return functional.linear(input, self.weight, self.bias)
        return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.transpose(1, 2))


class Embedder(nn.Module):
    """Vectors of users or items: the sum of an id vector and one vector per attribute.

    Multi-hot attributes contribute the mean of their values' vectors. Attributes are looked up by row in
    tables that are buffers here, so that a checkpoint carries them and they live on the device.

    Args:
        rows: number of users or items, the unknown row 0 included.
        schema: sizes of the attributes, as `FeatureTable.schema` gives them.
        features: names of the attributes to use.
        width: D.
        ids: whether each row has a vector of its own; no for users, who are new.
        std: standard deviation of the initial vectors.
    """

    def __init__(
        self,
        rows: int,
        schema: dict[str, dict[str, int]],
        features: Sequence[str],
        width: int,
        ids: bool,
        std: float,
    ) -> None:
        super().__init__()
        sizes = {**schema["categorical"], **schema["multi_hot"]}
        unknown = [name for name in features if name not in sizes]
        if unknown:
            raise InputError(f"features {unknown} are not in the data; there are {sorted(sizes)}")
        self.width = width
        self.codes = [name for name in features if name in schema["categorical"]]
        self.sets = [name for name in features if name in schema["multi_hot"]]
        tables = {name: sizes[name] for name in features} | ({"id": rows} if ids else {})
        self.table = nn.ParameterDict({n: nn.Parameter(torch.randn(size, width) * std) for n, size in tables.items()})
        with torch.no_grad():  # until training says otherwise, an unknown id or value adds nothing
            for name in tables.keys() - set(self.sets):
                self.table[name][0] = 0.0
        self.register_buffer("known", torch.zeros(rows, dtype=torch.bool))
        for name in self.codes:
            self.register_buffer(f"codes_{name}", torch.zeros(rows, dtype=torch.int64))
        for name in self.sets:
            self.register_buffer(f"sets_{name}", torch.zeros(rows, sizes[name]))

    def fill(self, features: FeatureTable, known: Tensor) -> None:
        """Take over the attributes; rows that are not known, and values that no known row has, become unknown.

        Args:
            features: attributes of all rows.
            known: rows seen in training, shape (rows,), bool.
        """
        self.get_buffer("known").copy_(known)
        for name in self.codes:
            codes = torch.from_numpy(features.categorical[name])
            seen = torch.zeros(len(features.values[name]), dtype=torch.bool)
            seen[codes[known]] = True
            self.get_buffer(f"codes_{name}").copy_(codes * seen[codes])
        for name in self.sets:
            sets = torch.from_numpy(features.multi_hot[name])
            sets = sets * (sets[known].sum(dim=0) > 0)
            self.get_buffer(f"sets_{name}").copy_(sets / sets.sum(dim=1, keepdim=True).clamp(min=1))

    def forward(self, index: Tensor) -> Tensor:
        """Vectors (T, R, D) of the rows `index` (T, R)."""
        parts = [lookup(self.table[name], self.get_buffer(f"codes_{name}")[index]) for name in self.codes]
        parts += [self.get_buffer(f"sets_{name}")[index] @ self.table[name] for name in self.sets]
        if "id" in self.table:
            parts.append(lookup(self.table["id"], index * self.get_buffer("known")[index]))
        none = torch.zeros(*index.shape, self.width, device=index.device)
        return functools.reduce(torch.add, parts, none)
