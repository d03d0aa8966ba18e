"""The net of MeLU (Lee et al., KDD 2019, arXiv 1908.00413): concatenated embeddings under dense layers."""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import at_least
from metarec.nets.base import Encoded, Net, Schema
from metarec.nets.dense import DenseDecoder, DenseInputs
from metarec.nets.features import AttributeEncoder, Dense


class MeLUEncoder(AttributeEncoder):
    """User and item vectors: the vectors of all attributes, and of the item's id, one beside the other."""

    def encode_user(self, task: Tensor) -> Tensor:
        """User vectors (T, 1, D) alone."""
        return torch.cat(self.user.parts(task[:, None]), dim=-1)

    def forward(self, task: Tensor, item: Tensor) -> Encoded:
        """Encode users (T,) and items (T, R)."""
        vectors = torch.cat(self.item.parts(item), dim=-1)
        bias = torch.zeros(item.shape, dtype=vectors.dtype, device=item.device)
        return Encoded(self.encode_user(task), vectors, bias)


class MeLUDecoder(DenseDecoder):
    """Dense layers on user and item vector; score = mean + head(layers([user, item])).

    Args:
        user: width of the user vector.
        item: width of the item vector.
        hidden: widths of the layers.
    """

    mean: Tensor

    def __init__(self, user: int, item: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.user_width = user
        widths = [user + item, *hidden]
        self.layers = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.head = Dense(widths[-1], 1)
        self.register_buffer("mean", torch.zeros(()))

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """Both vectors, and the mean rating."""
        return DenseInputs(encoded.user, encoded.item, None, encoded.bias + self.mean)


class MeLUNet(Net):
    """Embeddings of user and item attributes, concatenated, under dense ReLU layers with one output.

    After Lee et al. 2019, section 3.2; the paper adapts the group `decision`. Deviations: items have an id vector
    beside their attributes, and the global mean rating is added to the output. Attributes are those that the data set
    brings: the paper's MPAA ratings, directors and actors are not in MovieLens' own files; zip codes are not read.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use, at least one.
        item_features: item attributes to use.
        width: width of the vector of each attribute, >= 1.
        hidden: widths of the dense layers, at least one.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, there is no user attribute, or a feature is not in the data.
    """

    encoder: MeLUEncoder
    decoder: MeLUDecoder
    concatenates: ClassVar[bool] = True
    groups: ClassVar[dict[str, list[str]]] = {
        "all": ["*"],
        "decision": ["decoder.layers.*", "decoder.head.*"],
        "head": ["decoder.head.*"],
    }

    def __init__(
        self,
        schema: Schema,
        user_features: Sequence[str] = ("age_group", "gender", "occupation"),
        item_features: Sequence[str] = ("year", "genre"),
        width: int = 32,
        hidden: Sequence[int] = (64, 64),
        std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__(schema)
        at_least(1, width=width, hidden=min(hidden, default=0), user_features=len(user_features))
        at_least(0, std=std)
        self.encoder = MeLUEncoder(schema, user_features, item_features, width, std, sparse)
        self.decoder = MeLUDecoder(len(user_features) * width, (len(item_features) + 1) * width, hidden)
