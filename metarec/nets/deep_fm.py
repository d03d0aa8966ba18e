"""DeepFM (Guo et al., IJCAI 2017, arXiv 1703.04247): a factorisation machine and dense layers on the same vectors."""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import at_least, below_one
from metarec.nets.base import Encoded, Net, Schema, by_side
from metarec.nets.dense import DenseDecoder, DenseInputs
from metarec.nets.features import Dense
from metarec.nets.fields import with_prior
from metarec.nets.fm import FMEncoder, other_pairs


class DeepFMDecoder(DenseDecoder):
    """score = score of the factorisation machine + head(layers([vectors of all fields])).

    Args:
        user: number of user fields besides the prior.
        item: number of item fields.
        width: D, of a field's vector.
        hidden: widths of the layers.
        dropout: share of the entries of the items' vectors that training keeps from the layers.
        std: standard deviation of the initial user prior.
    """

    constants: ClassVar[tuple[str, ...]] = ("user_bias",)
    mean: Tensor

    def __init__(self, user: int, item: int, width: int, hidden: Sequence[int], dropout: float, std: float) -> None:
        super().__init__(dropout)
        self.user_width = (1 + user) * width
        self.user_prior = nn.Parameter(torch.randn(width) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        widths = [self.user_width + item * width, *hidden]
        self.layers = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.head = Dense(widths[-1], 1)
        self.register_buffer("mean", torch.zeros(()))

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """The vectors of all fields, and the score of the factorisation machine."""
        pairs = other_pairs(self.user_prior, encoded.user, encoded.item, task)
        offset = pairs + encoded.bias + self.user_bias.reshape(-1, 1) + self.mean
        user = with_prior(self.user_prior, encoded.user[..., :-1])
        return DenseInputs(user, self.dropout(encoded.item), None, offset)


class DeepFM(Net):
    """Factorisation machine plus dense ReLU layers, both on the same vectors: score = y_FM + y_DNN.

    After Guo et al. 2017, equations 1 to 4; y_FM is that of `metarec.nets.fm.FM`, of degree 2, and y_DNN an output
    layer on dense layers on the vectors of all fields, one beside the other. Deviations: in place of a field of user
    ids stands a prior that all users share; several values of one attribute enter the layers by their mean, pair by
    pair the machine; ratings are predicted, so there is no sigmoid. The group `head` is the output layer of y_DNN and
    the user bias.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: D, of the vector of a field, >= 1.
        hidden: widths of the dense layers, at least one.
        dropout: share of the entries of the items' vectors that training keeps from the layers, >= 0 and < 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, or a feature is not in the data.
    """

    encoder: FMEncoder
    decoder: DeepFMDecoder
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
        self.encoder = FMEncoder(schema, user_features, item_features, width, std, sparse)
        self.decoder = DeepFMDecoder(len(user_features), len(item_features) + 1, width, hidden, dropout, std)
