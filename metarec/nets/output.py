"""Learned maps of a score to a rating."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.errors import at_least

SLOPE_OF_ONE = math.log(math.e - 1)
"""What softplus makes 1 of."""


class MonotoneMap(nn.Module):
    """A learned increasing map of the score, linear in pieces; the identity before it is trained.

    What a mean absolute error rewards is the median of the ratings that a score stands for, and ratings are whole
    stars: the best map is close to a staircase, which no sum of products is. An increasing map leaves rankings alone.

    The pieces are equally wide and reach an eighth of the rating scale beyond its ends; scores further out are taken
    for the outermost ones. The map is fixed in the middle of the scale.

    Args:
        pieces: number of pieces, an even number >= 2.

    Attributes:
        slope: of each piece, before softplus, (pieces,).
        edge: where the pieces meet, and both ends, (pieces + 1,).
    """

    edge: Tensor

    def __init__(self, pieces: int = 40) -> None:
        super().__init__()
        at_least(2, pieces=pieces)
        self.pieces = pieces
        self.slope = nn.Parameter(torch.full((pieces,), SLOPE_OF_ONE))
        self.register_buffer("edge", torch.linspace(0.0, 1.0, pieces + 1))

    def prepare(self, scale: tuple[float, float]) -> None:
        """Lay the pieces over the rating scale (lowest, highest)."""
        margin = (scale[1] - scale[0]) / 8
        self.edge.copy_(torch.linspace(scale[0] - margin, scale[1] + margin, self.pieces + 1))

    def forward(self, score: Tensor) -> Tensor:
        """Ratings (T, R) of scores (T, R)."""
        width = self.edge[1] - self.edge[0]
        steps = functional.softplus(self.slope) * width
        value = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        place = ((score - self.edge[0]) / width).clamp(0, self.pieces)
        piece = place.detach().long().clamp(max=self.pieces - 1)
        middle = self.pieces // 2
        return self.edge[middle] - value[middle] + value[piece] + steps[piece] * (place - piece)
