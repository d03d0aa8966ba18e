"""Wide and deep (Cheng et al., DLRS 2016, arXiv 1606.07792): a linear model with crossed features, and dense layers."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks
from metarec.errors import InputError, at_least, below_one
from metarec.nets.base import Encoded, Net, Schema, by_side, known_rows
from metarec.nets.dense import DenseDecoder, DenseInputs, by_row
from metarec.nets.features import Dense, Embedder, lookup, named_tables
from metarec.nets.fields import FieldEncoder, with_prior


class WideDeepEncoder(FieldEncoder):
    """Fields of both sides, and both sides of the crosses: each user's weight of each item value, and items' values.

    Args:
        schema: counts and attribute sizes of the data.
        user_features: user attributes to use.
        item_features: item attributes to use.
        cross: item attributes that are crossed with each user attribute.
        options: the rest of those of `FieldEncoder`.
    """

    def __init__(
        self, schema: Schema, user_features: Sequence[str], item_features: Any, cross: Sequence[str], *options: Any
    ) -> None:
        super().__init__(schema, user_features, item_features, *options)
        sizes = schema["item_features"]["categorical"] | schema["item_features"]["multi_hot"]
        self.crossed = {name: sizes[name] for name in cross}
        self.values = sum(self.crossed.values())
        self.cross = Embedder(
            schema["users"], schema["user_features"], user_features, self.values, False, 0.0, self.item.sparse
        )

    def encode_user(self, task: Tensor) -> Tensor:
        """Of users (T,): vectors of their fields, weights of item values, and what they add to the score, (T, 1, D)."""
        return torch.cat([self.cross(task[:, None]), super().encode_user(task)], dim=-1)

    def forward(self, task: Tensor, item: Tensor) -> Encoded:
        """Encode users (T,), see `encode_user`, and items (T, R): their values and vectors of their fields."""
        encoded = super().forward(task, item)
        return encoded._replace(item=torch.cat([self.indicators(item), encoded.item], dim=-1))

    def indicators(self, item: Tensor) -> Tensor:
        """Which values of the crossed attributes items have, (T, R, values); n values of one attribute are 1/n each."""
        found = [torch.zeros(*item.shape, 0, device=item.device)]
        for name, size in self.crossed.items():
            if name in self.item.sets:
                found.append(lookup(self.item.get_buffer(f"sets_{name}"), item))
            else:
                found.append(functional.one_hot(self.item.table_rows(item)[name], size).float())
        return torch.cat(found, dim=-1)

    def tables(self, task: Tensor, item: Tensor) -> dict[str, Tensor]:
        """What `Net.table_rows` returns."""
        return super().tables(task, item) | named_tables(self, {"cross": task[:, None]})

    def fill(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the attributes of the training tasks' users and items."""
        super().fill(ratings, train)
        self.cross.fill(ratings.user_features, known_rows(len(ratings.user_ids), train.task))


class WideDeepDecoder(DenseDecoder):
    """score = mean + user bias + linear weights + crosses + head(layers([vectors of all fields])).

    Args:
        user: number of user fields besides the prior.
        item: number of item fields.
        values: number of item values that are crossed.
        width: D, of a field's vector.
        hidden: widths of the layers.
        dropout: share of the entries of the items' vectors that training keeps from the layers.
        std: standard deviation of the initial user prior.
    """

    constants: ClassVar[tuple[str, ...]] = ("user_bias",)
    mean: Tensor

    def __init__(
        self, user: int, item: int, values: int, width: int, hidden: Sequence[int], dropout: float, std: float
    ) -> None:
        super().__init__(dropout)
        self.values, self.user_width = values, (1 + user) * width
        self.user_prior = nn.Parameter(torch.randn(width) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        widths = [self.user_width + item * width, *hidden]
        self.layers = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.head = Dense(widths[-1], 1)
        self.register_buffer("mean", torch.zeros(()))

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """The vectors of all fields, and the score of the wide part."""
        (weights, fields), (values, item) = (
            (part[..., : self.values], part[..., self.values :]) for part in (encoded.user, encoded.item)
        )
        crosses = (by_row(weights, task) * values).sum(dim=-1)
        wide = crosses + by_row(fields[..., -1:], task).squeeze(-1) + encoded.bias
        user = with_prior(self.user_prior, fields[..., :-1])
        return DenseInputs(user, self.dropout(item), None, wide + self.user_bias.reshape(-1, 1) + self.mean)


class WideDeep(Net):
    """A linear model with crossed features beside dense ReLU layers on the vectors of all fields.

    After Cheng et al. 2016, equation 3: score = w_wide . [x, phi(x)] + w_deep . a + b, with x the features, phi(x)
    their crosses and a the output of the last dense layer. A cross is the product of one value of a user attribute and
    one of an item attribute, such as "is 25 to 34 and it is a comedy". Deviations: in place of user ids stand a bias
    and, in the deep part, a vector that all users share; n values of one attribute are 1/n each; a rating is
    predicted, so there is no sigmoid and the mean is added; one optimizer trains both parts, where the paper has FTRL
    with L1 for the wide and AdaGrad for the deep one. The group `head` is the output layer of the deep part and the
    user bias.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        cross: item attributes that are crossed with each user attribute, some of `item_features`; each row holds a
            number for each of their values, so not those with very many.
        width: D, of the vector of a field, >= 1.
        hidden: widths of the dense layers, at least one.
        dropout: share of the entries of the items' vectors that training keeps from the layers, >= 0 and < 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, a feature is not in the data, or one that is crossed is not used.
    """

    encoder: WideDeepEncoder
    decoder: WideDeepDecoder
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
        cross: Sequence[str] = ("genre",),
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
        odd = [name for name in cross if name not in item_features]
        if odd:
            raise InputError(f"cross {odd}: give some of item_features {list(item_features)}")
        long = [name for name in cross if name in schema["item_features"].get("lists", {})]
        if long:
            raise InputError(f"cross {long}: lists are of too many possible values; cross other attributes")
        self.encoder = WideDeepEncoder(schema, user_features, item_features, cross, width, std, sparse)
        fields = len(user_features), len(item_features) + 1
        self.decoder = WideDeepDecoder(*fields, self.encoder.values, width, hidden, dropout, std)
