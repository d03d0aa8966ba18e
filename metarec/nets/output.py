"""Learned maps of a score to a rating."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.errors import InputError, at_least

SLOPE_OF_ONE = math.log(math.e - 1)
"""What softplus makes 1 of."""

GAIN = 30.0
"""How much faster the slopes move than what is learned beside them at the same learning rate: embeddings take small
steps, and a staircase is far from the identity."""


class MonotoneMap(nn.Module):
    """A learned increasing map of the score, linear in pieces; the identity before it is trained.

    What a mean absolute error rewards is the median of the ratings that a score stands for, and ratings are whole
    stars: the best map is close to a staircase, which no sum of products is. Up to ties, it leaves rankings alone.

    The pieces are equally wide and reach an eighth of the rating scale beyond its ends; scores further out are taken
    for the outermost ones. The map is fixed in the middle of the scale.

    Args:
        pieces: number of pieces, an even number >= 2.

    Raises:
        InputError: it is not.

    Attributes:
        slope: of each piece, before `GAIN` and softplus; 0 stands for 1, (pieces,).
        edge: where the pieces meet, and both ends, (pieces + 1,).
    """

    edge: Tensor

    def __init__(self, pieces: int = 40) -> None:
        super().__init__()
        at_least(2, pieces=pieces)
        if pieces % 2:
            raise InputError(f"pieces {pieces}: give an even number")
        self.pieces = pieces
        self.slope = nn.Parameter(torch.zeros(pieces))
        self.register_buffer("edge", torch.linspace(0.0, 1.0, pieces + 1))

    def prepare(self, scale: tuple[float, float]) -> None:
        """Lay the pieces over the rating scale (lowest, highest)."""
        margin = (scale[1] - scale[0]) / 8
        self.edge.copy_(torch.linspace(scale[0] - margin, scale[1] + margin, self.pieces + 1))

    def values(self) -> Tensor:
        """What the map makes of its edges, (pieces + 1,)."""
        steps = functional.softplus(GAIN * self.slope + SLOPE_OF_ONE) * (self.edge[1] - self.edge[0])
        value = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        middle = self.pieces // 2
        return value + (self.edge[middle] - value[middle])

    def forward(self, score: Tensor) -> Tensor:
        """Ratings (T, R) of scores (T, R)."""
        return interpolated(score, self.edge, self.values())


def interpolated(score: Tensor, edge: Tensor, value: Tensor) -> Tensor:
    """The function that is `value` at `edge` and linear between, at the scores; beyond both ends it is constant.

    Args:
        score: of any shape.
        edge: equally spaced, ascending, (K,).
        value: (K,).
    """
    place = ((score - edge[0]) / (edge[1] - edge[0])).clamp(0, len(edge) - 1)
    piece = place.detach().long().clamp(0, len(edge) - 2)
    return value[piece] + (value.diff()[piece]) * (place - piece)
