"""Neural collaborative filtering (He et al., WWW 2017, arXiv 1708.05031), fit for users never seen before."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarec.data.ratings import FeatureTable, Ratings
from metarec.data.tasks import PackedTasks
from metarec.errors import at_least, below_one
from metarec.nets.base import Encoded, Net, Schema, by_side, known_rows
from metarec.nets.dense import DenseDecoder, DenseInputs, by_row
from metarec.nets.features import AttributeEncoder, Dense, Embedder, named_tables


class NeuMFEncoder(AttributeEncoder):
    """User vectors from attributes; item vectors from id and attributes; a bias for each item.

    Args:
        schema: counts and attribute sizes of the data.
        options: those of `AttributeEncoder`.
    """

    def __init__(self, schema: Schema, *options: Any) -> None:
        super().__init__(schema, *options)
        self.item_bias = Embedder(schema["items"], schema["item_features"], (), 1, True, 0.0, self.item.sparse)

    def forward(self, task: Tensor, item: Tensor) -> Encoded:
        """Encode users (T,) and items (T, R)."""
        return Encoded(self.encode_user(task), self.item(item), self.item_bias(item).squeeze(-1))

    def tables(self, task: Tensor, item: Tensor) -> dict[str, Tensor]:
        """What `Net.table_rows` returns."""
        return super().tables(task, item) | named_tables(self, {"item_bias": item})

    def fill(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the attributes of the training tasks' users and items."""
        super().fill(ratings, train)
        self.item_bias.fill(FeatureTable(), known_rows(len(ratings.item_ids), train.item))


class NeuMFDecoder(DenseDecoder):
    """The two branches and their joint output layer.

    With user vector u = prior + attributes, item vector i, both split into a GMF and an MLP half:
    score = mean + item bias + user bias + head([u_gmf * i_gmf, MLP([u_mlp, i_mlp])]).

    Args:
        gmf: width of the GMF branch.
        mlp: width of the MLP branch's input, of user and item each.
        hidden: widths of the MLP's layers.
        dropout: share of the item vector's entries that training drops.
        std: standard deviation of the initial user prior.
    """

    constants: ClassVar[tuple[str, ...]] = ("user_bias",)
    mean: Tensor

    def __init__(self, gmf: int, mlp: int, hidden: Sequence[int], dropout: float, std: float) -> None:
        super().__init__(dropout)
        self.branches, self.user_width = [gmf, mlp], mlp
        self.user_prior = nn.Parameter(torch.randn(gmf + mlp) * std)
        self.user_bias = nn.Parameter(torch.zeros(1))
        widths = [2 * mlp, *hidden]
        self.layers = nn.ModuleList(Dense(a, b) for a, b in itertools.pairwise(widths))
        self.head = Dense(gmf + widths[-1], 1)
        self.register_buffer("mean", torch.zeros(()))
        with torch.no_grad():  # start as a plain inner product: the GMF half of the output layer is all ones
            self.head.weight[:, :gmf] = 1.0

    def inputs(self, encoded: Encoded, task: Tensor | None = None) -> DenseInputs:
        """The MLP halves, the product of the GMF halves, and all biases."""
        user = encoded.user + self.user_prior.reshape(-1, 1, sum(self.branches))
        user_gmf, user_mlp = torch.split(user, self.branches, dim=-1)
        item_gmf, item_mlp = torch.split(self.dropout(encoded.item), self.branches, dim=-1)
        offset = encoded.bias + self.user_bias.reshape(-1, 1) + self.mean
        return DenseInputs(user_mlp, item_mlp, by_row(user_gmf, task) * item_gmf, offset)


class NeuMF(Net):
    """Neural matrix factorisation: a GMF and an MLP branch, joined by one output layer.

    After He et al. 2017, figure 3. Deviations: the user vector is a prior that all users share plus attribute
    vectors, not a row per user; item vectors add attribute vectors; item bias, user bias and global mean are
    added to the output, which is a rating, not a probability. The group `head` is the output layer and the user bias.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
        user_features: user attributes to use.
        item_features: item attributes to use.
        gmf: width of the GMF branch, >= 1.
        mlp: width of the MLP branch's input, of user and item each, >= 1.
        hidden: widths of the MLP's layers, at least one.
        dropout: share of the item vector's entries that training drops, >= 0 and < 1.
        std: standard deviation of initial vectors, >= 0.
        sparse: whether tables have sparse gradients, so that a step costs the same however many items there are;
            needs the optimizer `metarec.optim.RowAdamW`.

    Raises:
        InputError: a number is out of range, or a feature is not in the data.
    """

    encoder: NeuMFEncoder
    decoder: NeuMFDecoder
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
        gmf: int = 16,
        mlp: int = 16,
        hidden: Sequence[int] = (32, 16),
        dropout: float = 0.0,
        std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__(schema)
        user_features, item_features = by_side(schema, user_features, item_features)
        at_least(1, gmf=gmf, mlp=mlp, hidden=min(hidden, default=0))
        at_least(0, std=std)
        below_one(dropout=dropout)
        self.encoder = NeuMFEncoder(schema, user_features, item_features, gmf + mlp, std, sparse)
        self.decoder = NeuMFDecoder(gmf, mlp, hidden, dropout, std)
