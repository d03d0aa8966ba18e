"""Layers whose weights may carry a leading task dimension, and the embedding of users and items.

A weight of one dimension more than usual belongs to T tasks, one slice each: that is how all tasks of a batch
adapt in one call.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.data.ratings import FeatureTable, Ratings
from metarec.data.tasks import PackedTasks
from metarec.errors import InputError
from metarec.nets import lists
from metarec.nets.base import known_rows


def lookup(table: Tensor, index: Tensor, sparse: bool = False, padding: int | None = None) -> Tensor:
    """Rows of a table, or of each task's own table.

    Args:
        table: (rows, D), or (T, rows, D).
        index: (T, R), int64.
        sparse: whether the gradient of a shared table holds the rows in use only.
        padding: row of a shared table that gets no gradient, which saves the time for it.

    Returns:
        (T, R, D).
    """
    if table.dim() == 2:
        return functional.embedding(index, table, padding, sparse=sparse)
    return table[torch.arange(len(table), device=table.device)[:, None], index]


def patch_names(table: str) -> tuple[str, str]:
    """Under which names an encoder takes rows and change of a `Patch` of the table of that name."""
    embedder, name = table.rsplit("table.", 1) if "table." in table else (table, "")
    return f"{embedder}rows_{name}", f"{embedder}change_{name}"


class Patch(NamedTuple):
    """What T tasks add to rows of a table that they share: the adapted rows, without a copy of the table for each.

    Attributes:
        rows: rows in use, ascending, (T, U); of equal ones only the first counts.
        change: what is added to them, (T, U, D).
    """

    rows: Tensor
    change: Tensor

    def at(self, index: Tensor) -> Tensor:
        """What is added to the rows `index` (T, R), shape (T, R, D); 0 for rows that are not in use."""
        place = torch.searchsorted(self.rows, index.contiguous()).clamp(max=self.rows.shape[1] - 1)
        found = self.rows.gather(1, place) == index
        added = self.change.gather(1, place[..., None].expand(-1, -1, self.change.shape[-1]))
        return added * found[..., None]


def dense(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map (T, R, in) to (T, R, out) with weights (out, in) or (T, out, in), biases (out,) or (T, out)."""
    if weight.dim() == 2:
        return functional.linear(input, weight, bias)
    if bias is None:
        return torch.bmm(input, weight.mT)
    return torch.baddbmm(bias.unsqueeze(1), input, weight.mT)


class Dense(nn.Linear):
    """A linear layer that also takes weights (T, out, in) and biases (T, out)."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (T, R, in) to (T, R, out)."""
        return dense(input, self.weight, self.bias)


def _require_names(features: Sequence[str], there: Sequence[str]) -> None:
    """Refuse features that are not there or come twice, and names that a table, a parameter of torch, cannot have.

    Raises:
        InputError: names them.
    """
    unknown = [name for name in features if name not in there]
    if unknown:
        raise InputError(f"features {unknown} are not in the data; there are {there}")
    if len(set(features)) < len(features):
        raise InputError(f"features {list(features)}: one comes twice; give each once")
    taken = nn.ParameterDict()
    wrong = [name for name in features if name in ("", "id") or "." in name or hasattr(taken, name)]
    if wrong:
        which = "`id`, one with a dot, or a word of torch's"
        raise InputError(f"features {wrong}: a net's table cannot have that name ({which}); rename them in the data")


class Embedder(nn.Module):
    """Vectors of users or items: the sum of an id vector and one vector per attribute.

    Multi-hot attributes and lists contribute the mean of their values' vectors. Attributes are looked up by row in
    tables that are buffers here, so that a checkpoint carries them and they live on the device.

    Args:
        rows: number of users or items, the unknown row 0 included.
        schema: sizes of the attributes, as `FeatureTable.schema` gives them.
        features: names of the attributes to use.
        width: D.
        ids: whether each row has a vector of its own; no for users, who are new.
        std: standard deviation of the initial vectors.
        sparse: whether gradients of tables that are looked up hold the rows in use only; see `metarec.optim`.

    Raises:
        InputError: a feature is not in the data, comes twice, or has a name that no table can have.

    Attributes:
        codes: names of the tables of which a row takes one entry.
        code: which row of each of them a user or item takes, (rows, tables).
        sets: names of the tables of multi-hot attributes.
        lists: names of the tables of attributes that are lists.
    """

    code: Tensor

    def __init__(
        self,
        rows: int,
        schema: dict[str, dict[str, int]],
        features: Sequence[str],
        width: int,
        ids: bool,
        std: float,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        sizes = {**schema["categorical"], **schema["multi_hot"], **schema.get("lists", {})}
        _require_names(features, sorted(sizes))
        self.width, self.sparse = width, sparse
        self.codes = [name for name in features if name in schema["categorical"]] + (["id"] if ids else [])
        self.sets = [name for name in features if name in schema["multi_hot"]]
        self.lists = [name for name in features if name in schema.get("lists", {})]
        tables = {name: sizes[name] for name in features} | ({"id": rows} if ids else {})
        self.table = nn.ParameterDict({n: nn.Parameter(torch.randn(size, width) * std) for n, size in tables.items()})
        with torch.no_grad():  # until training says otherwise, an unknown id or value adds nothing
            for name in self.codes + self.lists:
                self.table[name][0] = 0.0
        self.register_buffer("code", torch.zeros(rows, len(self.codes), dtype=torch.int64))
        for name in self.codes + self.lists:
            self.register_buffer(f"rows_{name}", None, persistent=False)  # the Patch of each task in an inner loop
            self.register_buffer(f"change_{name}", None, persistent=False)
        for name in self.sets:
            self.register_buffer(f"sets_{name}", torch.zeros(rows, sizes[name]))
        for name in self.lists:
            self.register_buffer(f"list_{name}", torch.zeros(rows, schema["longest"][name], dtype=torch.int64))

    def fill(self, features: FeatureTable, known: Tensor) -> None:
        """Take over the attributes; ids of rows that are not known, and values that no known row has, become unknown.

        A row that is not known keeps the values that some known row has: they are what is known of a new user or item.

        Args:
            features: attributes of all rows.
            known: rows seen in training, shape (rows,), bool.
        """
        for name, code in zip(self.codes, self.code.unbind(dim=1), strict=True):
            codes = torch.arange(len(known)) if name == "id" else torch.from_numpy(features.categorical[name])
            code.copy_(self._seen(name, codes, known))
        for name in self.lists:
            codes = torch.from_numpy(features.lists[name])
            self.get_buffer(f"list_{name}").copy_(self._seen(name, codes, known))
        for name in self.sets:
            sets = torch.from_numpy(features.multi_hot[name])
            sets = sets * (sets[known].sum(dim=0) > 0)
            self.get_buffer(f"sets_{name}").copy_(sets / sets.sum(dim=1, keepdim=True).clamp(min=1))

    def _seen(self, name: str, codes: Tensor, known: Tensor) -> Tensor:
        """The codes (rows, ...) of an attribute, 0 in place of those that no known row has."""
        seen = torch.zeros(len(self.table[name]), dtype=torch.bool)
        seen[codes[known]] = True
        return codes * seen[codes]

    def table_rows(self, index: Tensor) -> dict[str, Tensor]:
        """By table that is looked up by row: which of its rows the rows `index` (T, R) take.

        (T, R) each; of a list's table (T, R * L), L being the length of the longest list, and row 0 what fills it up.
        """
        return self._coded(index) | {name: self.listed(name, index).flatten(1) for name in self.lists}

    def _coded(self, index: Tensor) -> dict[str, Tensor]:
        """By table of which a row takes one entry: which one."""
        return dict(zip(self.codes, functional.embedding(index, self.code).unbind(-1), strict=True))

    def listed(self, name: str, index: Tensor) -> Tensor:
        """The lists (T, R, L) of the rows `index` (T, R), see `metarec.nets.lists`."""
        return functional.embedding(index, self.get_buffer(f"list_{name}"))

    def overlaps(self, index: Tensor, other: Tensor) -> list[Tensor]:
        """By table: how much of it the rows `index` (T, Q) have in common with the rows `other` (T, S), (T, Q, S).

        The inner product of what each of two rows takes of the table: 1 or 0 for one of which it takes one entry.
        """
        ours, theirs = self._coded(index), self._coded(other)
        same = {name: (ours[name][:, :, None] == theirs[name][:, None, :]).to(self.table[name].dtype) for name in ours}
        sets = [self.get_buffer(f"sets_{name}") for name in self.sets]
        shared = [torch.bmm(lookup(buffer, index), lookup(buffer, other).mT) for buffer in sets]
        listed = {name: (self.listed(name, index), self.listed(name, other)) for name in self.lists}
        shared += [lists.overlap(*pair, self.table[name].dtype) for name, pair in listed.items()]
        return [*same.values(), *shared]

    def parts(self, index: Tensor) -> list[Tensor]:
        """Vectors (T, R, D) of the rows `index` (T, R), one for each table."""
        tables: dict[str, Any] = self.table._parameters  # a ParameterDict takes as long as the lookup to find one
        parts = [self._looked_up(name, tables[name], rows) for name, rows in self._coded(index).items()]
        parts += [lookup(self.get_buffer(f"sets_{name}"), index) @ tables[name] for name in self.sets]
        return parts + [lists.pooled(*self.entries(name, index)) for name in self.lists]

    def entries(self, name: str, index: Tensor) -> tuple[Tensor, Tensor]:
        """Of the lists of the rows `index` (T, R): what each entry counts (T, R, L), and its vector (T, R * L, D)."""
        codes, table = self.listed(name, index), self.table._parameters[name]
        assert table is not None
        return lists.shares(codes, table.dtype), self._looked_up(name, table, codes.flatten(1), padding=0)

    def _looked_up(self, name: str, table: Tensor, rows: Tensor, padding: int | None = None) -> Tensor:
        """Rows (T, R) of a table, with what the tasks add to them; see `lookup`."""
        vectors = lookup(table, rows, self.sparse, padding)
        used = self._buffers[f"rows_{name}"]
        return vectors if used is None else vectors + Patch(used, self.get_buffer(f"change_{name}")).at(rows)

    def forward(self, index: Tensor) -> Tensor:
        """Vectors (T, R, D) of the rows `index` (T, R): the sum of the parts."""
        none = torch.zeros(*index.shape, self.width, device=index.device)
        return functools.reduce(torch.add, self.parts(index), none)


class AttributeEncoder(nn.Module):
    """Embeds users by their attributes, and items by these and their ids; has what a `Net` asks of its encoder.

    Args:
        schema: counts and attribute sizes of the data.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: width of each vector.
        std: standard deviation of the initial vectors.
        sparse: whether tables have sparse gradients.
        item_ids: whether each item has a vector of its own beside those of its attributes.
    """

    def __init__(
        self,
        schema: dict[str, Any],
        user_features: Sequence[str],
        item_features: Sequence[str],
        width: int,
        std: float,
        sparse: bool = False,
        item_ids: bool = True,
    ) -> None:
        super().__init__()
        self.user = Embedder(schema["users"], schema["user_features"], user_features, width, False, std, sparse)
        self.item = Embedder(schema["items"], schema["item_features"], item_features, width, item_ids, std, sparse)

    def encode_user(self, task: Tensor) -> Tensor:
        """What the encoder says of users (T,) alone, (T, 1, D)."""
        user: Tensor = self.user(task[:, None])
        return user

    def tables(self, task: Tensor, item: Tensor) -> dict[str, Tensor]:
        """What `Net.table_rows` returns."""
        return named_tables(self, {"user": task[:, None], "item": item})

    def fill(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the attributes of the training tasks' users and items."""
        self.user.fill(ratings.user_features, known_rows(len(ratings.user_ids), train.task))
        self.item.fill(ratings.item_features, known_rows(len(ratings.item_ids), train.item))


def named_tables(encoder: nn.Module, index: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `Net.table_rows` returns, for an encoder made of Embedders.

    Args:
        encoder: the encoder.
        index: by name of the Embedder, the rows that it is asked for.
    """
    rows: dict[str, Tensor] = {}
    for name, asked in index.items():
        embedder = encoder.get_submodule(name)
        assert isinstance(embedder, Embedder)
        rows |= {f"encoder.{name}.table.{table}": used for table, used in embedder.table_rows(asked).items()}
    return rows
