"""The net of MeLU (Lee et al., KDD 2019, arXiv 1908.00413): concatenated embeddings under dense layers."""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import InputError, at_least
from metarec.nets.base import Encoded, Net, Schema, by_side
from metarec.nets.dense import DenseDecoder, DenseInputs
from metarec.nets.features import AttributeEncoder, Dense


class MeLUEncoder(AttributeEncoder):
    """User and item vectors: the vectors of all attributes, and of the item's id if it has one, side by side."""

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

    After Lee et al. 2019, section 3.2; the paper adapts the group `decision`. Its inputs are gender, age, occupation
    and zip code of users, MPAA rate, genres, directors and actors of items, and no ids; those are the inputs of
    ``configs/net/melu_content.yaml`` on the data of ``configs/data/movielens-1m-melu.yaml``. The defaults are what
    MovieLens' own files hold, and an id vector for each item. Several values of an attribute count as the mean of their
    vectors, as in the paper's code: a linear map without bias of the 0/1 vector, divided by the number of ones.

    Deviations that remain: the global mean rating is added to the output; a value that no user or item of training has
    is left out of the mean, and alone adds nothing, where the code uses its untrained vector; vectors start with
    standard deviation `std`, where those of the code's single-valued attributes start with 1. The code copies its fast
    weights by their values, so that no second-order term reaches the parameters; here it does, unless `first_order`.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use, at least one.
        item_features: item attributes to use, at least one without `item_ids`.
        width: width of the vector of each attribute, >= 1.
        hidden: widths of the dense layers, at least one.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.
        item_ids: whether each item has a vector of its own, which an item that training has not seen lacks.

    Raises:
        InputError: a number is out of range, nothing tells users or items apart, or a feature is not in the data.
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
        item_ids: bool = True,
    ) -> None:
        super().__init__(schema)
        user_features, item_features = by_side(schema, user_features, item_features)
        at_least(1, width=width, hidden=min(hidden, default=0), user_features=len(user_features))
        at_least(0, std=std)
        fields = len(item_features) + item_ids
        if not fields:
            raise InputError("no item_features and item_ids false: nothing tells items apart; give one of them")
        self.encoder = MeLUEncoder(schema, user_features, item_features, width, std, sparse, item_ids)
        self.decoder = MeLUDecoder(len(user_features) * width, fields * width, hidden)
