"""Generalised matrix factorisation, one branch of neural collaborative filtering alone (He et al., WWW 2017)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import at_least, below_one
from metarec.nets.base import Encoded, Linear, Net, Schema, by_side
from metarec.nets.features import Dense
from metarec.nets.ncf import NeuMFEncoder


class GMFDecoder(nn.Module):
    """score = mean + item bias + user bias + h . ((prior + u) * i), with h the output layer.

    Args:
        width: width of the user and the item vector.
        dropout: share of the item vector's entries that training drops.
        std: standard deviation of the initial user prior.
    """

    mean: Tensor

    def __init__(self, width: int, dropout: float, std: float) -> None:
        super().__init__()
        self.width, self.dropout, self.linear_width = width, nn.Dropout(dropout), width + 1
        self.user_prior = nn.Parameter(torch.randn(width) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        self.head = Dense(width, 1, bias=False)
        self.register_buffer("mean", torch.zeros(()))
        nn.init.ones_(self.head.weight)  # start as a plain inner product

    def forward(self, encoded: Encoded) -> Tensor:
        """Scores (T, R)."""
        return self._score(encoded.user, self.dropout(encoded.item), encoded.bias)

    def _score(self, user: Tensor, item: Tensor, bias: Tensor) -> Tensor:
        """Scores (T, R), after dropout."""
        scores: Tensor = self.head((user + self.user_prior.reshape(-1, 1, self.width)) * item).squeeze(-1)
        return scores + bias + self.user_bias.reshape(-1, 1) + self.mean

    def linear(self, encoded: Encoded) -> Linear:
        """User vector and bias: multiplied with the weighted item vector and 1."""
        item = self.dropout(encoded.item)
        vector = item * self.head.weight[0]
        score = self._score(encoded.user, item, encoded.bias)
        return Linear(torch.cat([vector, torch.ones_like(vector[..., :1])], dim=-1), score)


class GMF(Net):
    """Generalised matrix factorisation: an output layer on the product of user and item vector, entry by entry.

    After He et al. 2017 (arXiv 1708.05031), section 3.2: score = h . (p_u * q_i). Deviations: the user vector is a
    prior that all users share plus attribute vectors, not a row per user; item vectors add attribute vectors; item
    bias, user bias and global mean are added to the output, which is a rating, not a probability. The group `decision`
    is the output layer h, the only dense one; `head` adds the user bias.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: width of the user and the item vector, >= 1.
        dropout: share of the item vector's entries that training drops, >= 0 and < 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, or a feature is not in the data.
    """

    encoder: NeuMFEncoder
    decoder: GMFDecoder
    groups: ClassVar[dict[str, list[str]]] = {
        "all": ["*"],
        "decision": ["decoder.head.*"],
        "head": ["decoder.head.*", "decoder.user_bias"],
        "user_prior": ["decoder.user_prior", "decoder.user_bias"],
    }

    def __init__(
        self,
        schema: Schema,
        user_features: Sequence[str] = ("age_group", "gender", "occupation"),
        item_features: Sequence[str] = ("year", "genre"),
        width: int = 16,
        dropout: float = 0.0,
        std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__(schema)
        user_features, item_features = by_side(schema, user_features, item_features)
        at_least(1, width=width)
        at_least(0, std=std)
        below_one(dropout=dropout)
        self.encoder = NeuMFEncoder(schema, user_features, item_features, width, std, sparse)
        self.decoder = GMFDecoder(width, dropout, std)
