"""The contract of a net: a map from (parameters, user, item) to a score."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks
from metarec.errors import InputError

Schema = dict[str, Any]
"""What `Ratings.schema` returns."""


class Encoded(NamedTuple):
    """What the encoder says of the users and items of T tasks, R rows each.

    Attributes:
        user: user vectors, (T, 1, D).
        item: item vectors, (T, R, D).
        bias: item biases, (T, R).
    """

    user: Tensor
    item: Tensor
    bias: Tensor


class Linear(NamedTuple):
    """What a net's score is linear in, in the user's own coefficients.

    Attributes:
        input: what the coefficients are multiplied with, a constant 1 last, (T, R, F).
        score: the net's own score, (T, R).
    """

    input: Tensor
    score: Tensor

    def moved(self, delta: Tensor) -> Tensor:
        """The scores (T, R) where each user's coefficients w are w + delta, (T, F)."""
        return self.score + torch.bmm(self.input, delta.unsqueeze(2)).squeeze(2)


class Net(nn.Module):
    """A net in two parts, `encoder` and `decoder`, so that an inner loop that adapts the decoder encodes once.

    Both parts must work with parameters that carry a leading task dimension. A net holds no row per user:
    a task *is* a user, described by a prior that all users share and by attributes.

    Attributes:
        schema: counts and attribute sizes of the data.
        groups: names for sets of parameters, as patterns on parameter names, for use in `adapts`.
        encoder: maps user rows (T,) and item rows (T, R) to `Encoded`; has `encode_user`, `tables` and `fill`, as
            `metarec.nets.features.AttributeEncoder` has, or the net its own `encode_user`, `table_rows` and `prepare`.
        decoder: maps `Encoded` to scores (T, R); has the mean rating as a buffer `mean`, or the net its own `prepare`.
        concatenates: whether the decoder's first layer is fed the vectors of all embedding tables, users' before
            items', one beside the other, and nothing else.
    """

    concatenates: ClassVar[bool] = False

    groups: ClassVar[dict[str, list[str]]]
    schema: Schema
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema

    def forward(self, task: Tensor, item: Tensor) -> Tensor:
        """Scores (T, R) of the items `item` (T, R) for the users `task` (T,)."""
        scores: Tensor = self.decoder(self.encoder(task, item))
        return scores

    def encode_user(self, task: Tensor) -> Tensor:
        """User vectors (T, 1, D) alone, where there are no items to encode."""
        user: Tensor = self.encoder.encode_user(task)  # type: ignore[operator]
        return user

    def table_rows(self, task: Tensor, item: Tensor) -> dict[str, Tensor]:
        """By parameter that is a table looked up by row: which of its rows (T, R) the encoder takes.

        An inner loop in which such a table adapts then keeps changes of these rows only. Of a table without an entry
        here, it keeps a copy for each task.

        Args:
            task: user rows (T,).
            item: item rows (T, R).
        """
        rows: dict[str, Tensor] = self.encoder.tables(task, item)  # type: ignore[operator]
        return rows

    def linear(self, task: Tensor, item: Tensor) -> Linear:
        """What the scores of the items `item` (T, R) for the users `task` (T,) are linear in."""
        found: Linear = self.decoder.linear(self.encoder(task, item))  # type: ignore[operator]
        return found

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over attributes and the mean rating from the training tasks; called before each stage."""
        self.encoder.fill(ratings, train)  # type: ignore[operator]
        self.decoder.mean.fill_(float(train.rating.mean()))  # type: ignore[operator]


def linear_width(net: Net, asking: str) -> int:
    """F, the number of a user's own coefficients, see `Linear`.

    Args:
        net: the net.
        asking: who needs them, for the error.

    Raises:
        InputError: the net's decoder has no `linear_width`, and so no method `linear`.
    """
    width: int = getattr(getattr(net, "decoder", None), "linear_width", 0)
    if not width:
        raise InputError(f"{asking} needs a net that is linear in coefficients of each user, such as FM or NeuMF")
    return width


def by_side(schema: Schema, users: Sequence[str], items: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Attributes of the tasks' side, and of the other: where tasks are items, those of items come first.

    Args:
        schema: of the data; says whose the tasks are, if not users'.
        users: attributes of users.
        items: attributes of items.
    """
    return (items, users) if schema.get("tasks") == "items" else (users, items)


def known_rows(count: int, rows: Tensor) -> Tensor:
    """Which of `count` rows occur in `rows`, shape (count,), bool; row 0 is nobody."""
    known = torch.zeros(count, dtype=torch.bool)
    known[rows] = True
    known[0] = False
    return known


class NoNet(Net):
    """No net at all, for predictors in closed form.

    Args:
        schema: counts and attribute sizes of the data; linked from the data in configurations.
    """

    groups: ClassVar[dict[str, list[str]]] = {}
