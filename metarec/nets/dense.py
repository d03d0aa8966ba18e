"""Decoders that are a stack of dense layers: the form that the fused engine has hand-derived gradients for."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarec.nets.base import Encoded
from metarec.nets.features import Dense, dense


class DenseInputs(NamedTuple):
    """What a stack of dense layers is fed, for R rows of each of T tasks.

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

    def inputs(self, encoded: Encoded) -> DenseInputs:
        """What the layers are fed."""
        raise NotImplementedError

    def hidden(self, inputs: DenseInputs, depth: int, task: Tensor | None = None) -> Tensor:
        """The input (T, R, D) of a layer above the first one.

        Args:
            inputs: what the first layer is fed; flat over tasks, user part (T, Du) and all others (rows, ...), where
                `task` is given.
            depth: number of the layer, >= 1; the last one's is ``len(layers)``.
            task: position of each row's task, (rows,).
        """
        first: Any = self.layers[0]
        user = dense(inputs.user, first.weight[..., : self.user_width], first.bias)
        user = user if task is None else user[task]
        hidden = torch.relu(dense(inputs.item, first.weight[..., self.user_width :]) + user)
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
