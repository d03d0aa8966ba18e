"""Fields side by side: what nets with a linear part say of users and items (FM, DeepFM, wide and deep)."""

from typing import Any

import torch
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks
from metarec.nets.base import Encoded, Schema, known_rows
from metarec.nets.features import AttributeEncoder, Embedder, named_tables


class FieldEncoder(AttributeEncoder):
    """Vectors of all fields, one beside the other, and the linear weights of their features.

    A field is an attribute, or the item's id. Its feature of value v is x_v = 1, of a multi-hot attribute with n values
    x_v = 1/n each; its vector is sum_v x_v V_v, and it adds sum_v x_v w_v to the score.

    Args:
        schema: counts and attribute sizes of the data.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: D, of the vector of a field.
        std: standard deviation of the initial vectors; the linear weights start at 0.
        sparse: whether tables have sparse gradients.
    """

    def __init__(self, schema: Schema, user_features: Any, item_features: Any, *options: Any) -> None:
        super().__init__(schema, user_features, item_features, *options)
        sparse, sizes = self.item.sparse, (schema["user_features"], schema["item_features"])
        self.user_linear = Embedder(schema["users"], sizes[0], user_features, 1, False, 0.0, sparse)
        self.item_linear = Embedder(schema["items"], sizes[1], item_features, 1, True, 0.0, sparse)

    def encode_user(self, task: Tensor) -> Tensor:
        """Of users (T,): the vectors of their fields, and last what they add to the score, (T, 1, fields * D + 1)."""
        vectors, score = self.side(self.user, self.user_linear, task[:, None])
        return torch.cat([vectors, score], dim=-1)

    def forward(self, task: Tensor, item: Tensor) -> Encoded:
        """Encode users (T,), see `encode_user`, and items (T, R), what these add to the score being their bias."""
        vectors, score = self.side(self.item, self.item_linear, item)
        return Encoded(self.encode_user(task), vectors, score.squeeze(-1))

    def side(self, embedder: Embedder, linear: Embedder, index: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of all fields (T, R, fields * D), and what they add to the score by themselves (T, R, 1)."""
        none = torch.zeros(*index.shape, 0, device=index.device)
        return torch.cat([none, *embedder.parts(index)], dim=-1), linear(index)

    def tables(self, task: Tensor, item: Tensor) -> dict[str, Tensor]:
        """What `Net.table_rows` returns."""
        return super().tables(task, item) | named_tables(self, {"user_linear": task[:, None], "item_linear": item})

    def fill(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the attributes of the training tasks' users and items."""
        super().fill(ratings, train)
        self.user_linear.fill(ratings.user_features, known_rows(len(ratings.user_ids), train.task))
        self.item_linear.fill(ratings.item_features, known_rows(len(ratings.item_ids), train.item))


def total(fields: Tensor, width: int) -> Tensor:
    """The sum (T, R, D) of the vectors of all fields (T, R, fields * D)."""
    return fields.reshape(*fields.shape[:-1], fields.shape[-1] // width, width).sum(dim=-2)


def with_prior(prior: Tensor, fields: Tensor) -> Tensor:
    """The user prior, (D,) or (T, D), as one more field before those of users (T, 1 or R, fields * D)."""
    first = prior.reshape(-1, 1, prior.shape[-1])
    return torch.cat([first.expand(*fields.shape[:2], -1), fields], dim=-1)
