"""Dense layers on user and item vector, one branch of neural collaborative filtering alone (He et al., WWW 2017)."""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import at_least, below_one
from metarec.nets.base import Encoded, Net, Schema, by_side
from metarec.nets.dense import DenseDecoder, DenseInputs
from metarec.nets.features import Dense
from metarec.nets.ncf import NeuMFEncoder


class MLPDecoder(DenseDecoder):
    """score = mean + item bias + user bias + head(layers([prior + u, i])).

    Args:
        width: width of the user and the item vector.
        hidden: widths of the layers.
        dropout: share of the item vector's entries that training drops.
        std: standard deviation of the initial user prior.
    """

    constants: ClassVar[tuple[str, ...]] = ("user_bias",)
    mean: Tensor

    def __init__(self, width: int, hidden: Sequence[int], dropout: float, std: float) -> None:
        super().__init__(dropout)
        self.user_width = width
        self.user_prior = nn.Parameter(torch.randn(width) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        widths = [2 * width, *hidden]
        self.layers = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.head = Dense(widths[-1], 1)
        self.register_buffer("mean", torch.zeros(()))

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """Both vectors, and all biases."""
        user = encoded.user + self.user_prior.reshape(-1, 1, self.user_width)
        offset = encoded.bias + self.user_bias.reshape(-1, 1) + self.mean
        return DenseInputs(user, self.dropout(encoded.item), None, offset)


class MLP(Net):
    """Dense ReLU layers on user and item vector, one beside the other, under an output layer.

    After He et al. 2017 (arXiv 1708.05031), section 3.3, equation 10. Deviations: the user vector is a prior that all
    users share plus attribute vectors, not a row per user; item vectors add attribute vectors; item bias, user bias
    and global mean are added to the output, which is a rating, not a probability. The group `head` is the output layer
    and the user bias.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: width of the user and the item vector, >= 1.
        hidden: widths of the dense layers, at least one.
        dropout: share of the item vector's entries that training drops, >= 0 and < 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, or a feature is not in the data.
    """

    encoder: NeuMFEncoder
    decoder: MLPDecoder
    groups: ClassVar[dict[str, list[str]]] = {
        "all": ["*"],
        "decision": ["decoder.layers.*", "decoder.head.*"],
        "head": ["decoder.head.*", "decoder.user_bias"],
        "user_prior": ["decoder.user_prior", "decoder.user_bias"],
    }

    def __init__(
        self,
        schema: Schema,
        user_features: Sequence[str] = ("age_group", "gender", "occupation"),
        item_features: Sequence[str] = ("year", "genre"),
        width: int = 16,
        hidden: Sequence[int] = (32, 16),
        dropout: float = 0.0,
        std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__(schema)
        user_features, item_features = by_side(schema, user_features, item_features)
        at_least(1, width=width, hidden=min(hidden, default=0))
        at_least(0, std=std)
        below_one(dropout=dropout)
        self.encoder = NeuMFEncoder(schema, user_features, item_features, width, std, sparse)
        self.decoder = MLPDecoder(width, hidden, dropout, std)
