"""Factorisation machine (Rendle, ICDM 2010) on the attributes of users and on items and their attributes."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.errors import at_least
from metarec.nets.base import Encoded, Linear, Net, Schema, by_side
from metarec.nets.dense import by_row
from metarec.nets.features import Embedder, lookup
from metarec.nets.fields import FieldEncoder, total
from metarec.nets.lists import pooled


class FMEncoder(FieldEncoder):
    """Fields of both sides; what a side adds to the score by itself includes the pairs of its own features."""

    def side(self, embedder: Embedder, linear: Embedder, index: Tensor) -> tuple[Tensor, Tensor]:
        """See `FieldEncoder.side`."""
        vectors, score = super().side(embedder, linear, index)
        return vectors, score + own_pairs(embedder, index).unsqueeze(-1)


def own_pairs(embedder: Embedder, index: Tensor) -> Tensor:
    """Sum over pairs of features j < k of x_j x_k V_j . V_k, for each of the rows `index` (T, R), shape (T, R).

    Computed as (|sum_j x_j V_j|^2 - sum_j x_j^2 |V_j|^2) / 2, equation 5 of the paper.
    """
    parts = embedder.parts(index)
    single, several = parts[: len(embedder.codes)], embedder.sets
    shares = [lookup(embedder.get_buffer(f"sets_{name}"), index) for name in several]
    squares = [part.square() for part in single]
    squares += [x.square() @ embedder.table[name].square() for name, x in zip(several, shares, strict=True)]
    entries = (embedder.entries(name, index) for name in embedder.lists)
    squares += [pooled(x.square(), vectors.square()) for x, vectors in entries]
    none = torch.zeros(*index.shape, embedder.width, device=index.device)
    pairs: Tensor = (sum(parts, none).square() - sum(squares, none)) / 2
    return pairs.sum(dim=-1)


def other_pairs(prior: Tensor, user: Tensor, item: Tensor, task: Tensor | None) -> Tensor:
    """What the users' own features and all pairs with a feature of another side add to the score, (T, R).

    The sides are the user prior p, the user's attributes with sum of vectors u, and the item with sum of vectors i.
    With the pairs within each side, p . u + (p + u) . i makes up all pairs.

    Args:
        prior: p, (D,) or (T, D).
        user: what the encoder says of users, (T, 1, fields * D + 1).
        item: what it says of items, (T, R, fields * D), or (1, rows, fields * D) with `task`.
        task: position of each row's user, see `by_row`.
    """
    width = prior.shape[-1]
    own, shared = total(user[..., :-1], width), prior.reshape(-1, 1, width)
    score = user[..., -1:] + (shared * own).sum(dim=-1, keepdim=True)
    joint = (by_row(shared + own, task) * total(item, width)).sum(dim=-1)
    return joint + by_row(score, task).squeeze(-1)


class FMDecoder(nn.Module):
    """score = mean + user bias + all features' weights + all pairs of features.

    Args:
        width: D.
        std: standard deviation of the initial user prior.
    """

    mean: Tensor

    def __init__(self, width: int, std: float) -> None:
        super().__init__()
        self.linear_width = width + 1
        self.user_prior = nn.Parameter(torch.randn(width) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, encoded: Encoded) -> Tensor:
        """Scores (T, R)."""
        pairs = other_pairs(self.user_prior, encoded.user, encoded.item, None)
        return pairs + encoded.bias + self.user_bias.reshape(-1, 1) + self.mean

    def linear(self, encoded: Encoded) -> Linear:
        """The vector and the weight of a user of one's own: multiplied with all other features' vectors, and 1."""
        width = self.linear_width - 1
        vector = total(encoded.item, width) + total(encoded.user[..., :-1], width)
        return Linear(torch.cat([vector, torch.ones_like(vector[..., :1])], dim=-1), self(encoded))


class FM(Net):
    """Factorisation machine of degree 2: score = w_0 + sum_j w_j x_j + sum_{j<k} x_j x_k V_j . V_k.

    After Rendle 2010, equation 1. The features x are: a constant 1 that all users share, whose vector V is the
    `user_prior` and whose weight w is the `user_bias`; the values of the user's attributes; the item's id; the values
    of its attributes. Each is 1 where it applies; n values of one multi-hot attribute are 1/n each. w_0 is the global
    mean rating. Deviation: no feature per user, in whose place the constant stands. There is no output layer, so no
    group `head`; adapting `user_prior` is adapting the vector and the weight that a user of one's own would have.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        width: D, of the vector of a feature, >= 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, or a feature is not in the data.
    """

    encoder: FMEncoder
    decoder: FMDecoder
    groups: ClassVar[dict[str, list[str]]] = {
        "all": ["*"],
        "user_prior": ["decoder.user_prior", "decoder.user_bias"],
    }

    def __init__(
        self,
        schema: Schema,
        user_features: Sequence[str] = ("age_group", "gender", "occupation"),
        item_features: Sequence[str] = ("year", "genre"),
        width: int = 16,
        std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__(schema)
        user_features, item_features = by_side(schema, user_features, item_features)
        at_least(1, width=width)
        at_least(0, std=std)
        self.width = width
        self.encoder = FMEncoder(schema, user_features, item_features, width, std, sparse)
        self.decoder = FMDecoder(width, std)

    @torch.no_grad()
    def start_from_factors(self, vector: Tensor, bias: Tensor) -> None:
        """Take item vectors (items, D) and biases (items, 1) of a matrix factorisation; all other features get 0."""
        for name, parameter in self.named_parameters():
            found = {"encoder.item.table.id": vector, "encoder.item_linear.table.id": bias}.get(name)
            parameter.zero_() if found is None else parameter.copy_(found)
