"""Decoders that are a stack of dense layers: the form that the fused engine has hand-derived gradients for."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.nets.base import Encoded, Linear
from metarec.nets.features import Dense, dense


class DenseInputs(NamedTuple):
    """What a stack of dense layers is fed, for R rows of each of T tasks.

    Where the rows of all tasks stand in one, (1, rows, ...) takes the place of (T, R, ...) in all but the user part.

    Attributes:
        user: first part of the first layer's input, the same for all rows of a task, (T, 1, Du).
        item: second part of it, (T, R, Di).
        extra: first part of the last layer's input, (T, R, G); null where there is none.
        offset: what is added to the score, (T, R).
    """

    user: Tensor
    item: Tensor
    extra: Tensor | None
    offset: Tensor


def by_row(user: Tensor, task: Tensor | None) -> Tensor:
    """What users have once, (T, 1, D), for each of their rows.

    Args:
        user: as it is, it broadcasts over rows (T, R, ...).
        task: position of each row's user, (rows,), for rows that stand in one; null: they do not.

    Returns:
        (T, 1, D), or (1, rows, D) with `task`.
    """
    return user if task is None else functional.embedding(task, user.squeeze(1)).unsqueeze(0)


class DenseDecoder(nn.Module):
    """score = offset + head([extra, ReLU layers([user, item])]).

    Attributes:
        layers: the dense layers, at least one, each followed by a ReLU.
        head: the last layer, of one output.
        user_width: Du.
        dropout: what training drops of the inputs.
        constants: names of parameters of shape (1,) that are added to the score, within the offset.
    """

    layers: nn.ModuleList
    head: Dense
    user_width: int
    constants: ClassVar[tuple[str, ...]] = ()

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """What the layers are fed.

        Args:
            encoded: users, and their items and biases; or items (1, rows, D) and biases (1, rows) of all users in one.
            task: position of each of these rows' users, (rows,); see `by_row`.
        """
        raise NotImplementedError

    def hidden(self, inputs: DenseInputs, depth: int, task: Tensor | None = None) -> Tensor:
        """The input (T, R, D) of a layer above the first one.

        Args:
            inputs: what the first layer is fed.
            depth: number of the layer, >= 1; the last one's is ``len(layers)``.
            task: see `inputs`.
        """
        first: Any = self.layers[0]
        user = dense(inputs.user, first.weight[..., : self.user_width], first.bias)
        hidden = torch.relu(dense(inputs.item, first.weight[..., self.user_width :]) + by_row(user, task))
        for number in range(1, depth):
            hidden = torch.relu(self.layers[number](hidden))
        if depth == len(self.layers) and inputs.extra is not None:
            hidden = torch.cat([inputs.extra, hidden], dim=-1)
        return hidden

    def forward(self, encoded: Encoded) -> Tensor:
        """Scores (T, R)."""
        inputs = self.inputs(encoded)
        scores: Tensor = self.head(self.hidden(inputs, len(self.layers))).squeeze(-1)
        return scores + inputs.offset

    @property
    def linear_width(self) -> int:
        """Inputs of the output layer, and a constant."""
        return self.head.in_features + 1

    def linear(self, encoded: Encoded) -> Linear:
        """The output layer: what it is fed, and what it makes of it."""
        inputs = self.inputs(encoded)
        hidden = self.hidden(inputs, len(self.layers))
        score = self.head(hidden).squeeze(-1) + inputs.offset
        return Linear(torch.cat([hidden, torch.ones_like(hidden[..., :1])], dim=-1), score)
