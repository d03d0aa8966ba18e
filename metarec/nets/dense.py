"""Decoders that are a stack of dense layers: the form that the fused engine has hand-derived gradients for."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.errors import InputError
from metarec.nets.base import Encoded, Net
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


class HeadInput(NamedTuple):
    """What the output layer of a dense decoder is fed, a constant 1 for its bias last, and what it makes of it.

    Attributes:
        input: (T, R, F + 1).
        score: the net's own score, (T, R).
    """

    input: Tensor
    score: Tensor


def head_input(net: Net, task: Tensor, item: Tensor) -> HeadInput:
    """What the output layer of the net's dense decoder is fed for the items `item` (T, R) of the users `task` (T,)."""
    decoder: DenseDecoder = net.decoder  # type: ignore[assignment]
    inputs = decoder.inputs(net.encoder(task, item))
    hidden = decoder.hidden(inputs, len(decoder.layers))
    score = decoder.head(hidden).squeeze(-1) + inputs.offset
    return HeadInput(torch.cat([hidden, torch.ones_like(hidden[..., :1])], dim=-1), score)


def head_width(net: Net, asking: str) -> int:
    """F + 1, the width of what `head_input` gives.

    Args:
        net: the net.
        asking: what needs a net with such an output layer, for the error.

    Raises:
        InputError: the net's decoder is not a stack of dense layers.
    """
    decoder = getattr(net, "decoder", None)
    if not isinstance(decoder, DenseDecoder):
        raise InputError(f"{asking} needs a net whose decoder is a stack of dense layers, such as NeuMF or MeLUNet")
    return decoder.head.in_features + 1
