"""Learned maps of a score to a rating: one for all users, or each user's own."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.data.tasks import Rows
from metarec.errors import InputError, at_least

SLOPE_OF_ONE = math.log(math.e - 1)
"""What softplus makes 1 of."""

GAIN = 30.0
"""How much faster the slopes move than what is learned beside them at the same learning rate: embeddings take small
steps, and a staircase is far from the identity."""


SPREAD = 0.4
"""Of an ordered logit before it is trained, in distances between levels: its mean is then close to the score."""


class Output(nn.Module):
    """Makes ratings of scores; the contract of what an algorithm may put behind a net.

    Attributes:
        habit_width: H, how many numbers it wants to know of a user; 0: none.
    """

    habit_width: int = 0

    def prepare(self, scale: tuple[float, float], rating: Tensor) -> None:
        """Take over the rating scale (lowest, highest) and the training ratings (N,)."""
        raise NotImplementedError

    def habits(self, support: Rows, fitted: Tensor) -> Tensor:
        """What it wants to know of how users rate, (T, H).

        Args:
            support: their ratings, (T, S).
            fitted: the adapted scores of these rows, (T, S).
        """
        return fitted.new_zeros(len(fitted), 0)

    def forward(self, score: Tensor, habits: Tensor | None = None) -> Tensor:
        """Ratings (T, R) of scores (T, R), increasing in the score; without habits (T, H), those of a typical user."""
        raise NotImplementedError


class MonotoneMap(Output):
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

    def prepare(self, scale: tuple[float, float], rating: Tensor) -> None:
        """Lay the pieces over the rating scale (lowest, highest); the ratings do not matter."""
        margin = (scale[1] - scale[0]) / 8
        self.edge.copy_(torch.linspace(scale[0] - margin, scale[1] + margin, self.pieces + 1))

    def values(self) -> Tensor:
        """What the map makes of its edges, (pieces + 1,)."""
        steps = functional.softplus(GAIN * self.slope + SLOPE_OF_ONE) * (self.edge[1] - self.edge[0])
        value = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        middle = self.pieces // 2
        return value + (self.edge[middle] - value[middle])

    def forward(self, score: Tensor, habits: Tensor | None = None) -> Tensor:
        """Ratings (T, R) of scores (T, R); habits do not matter."""
        return interpolated(score, self.edge, self.values())


class OrderedLogit(Output):
    """Ordered logit whose thresholds and spread are the user's own: users differ in what a star means to them.

    With levels l_0 < ... < l_K of the rating scale, a distance d apart, thresholds t_1 .. t_K and a spread c,

        P(rating > l_{k-1}) = sigmoid((score - t_k) / c),    rating = l_0 + d sum_k P(rating > l_{k-1}),

    the mean of the cumulative logit model (McCullagh, JRSS B 42(2), 1980). Trained for the absolute error, the spread
    shrinks and the mean becomes a staircase, the median. Thresholds are midway between the levels and the spread is
    `SPREAD` d before training; an MLP of the user's habits moves both, after the user-specific thresholds of OrdRec
    (Koren and Sill, RecSys 2011), which are fitted by gradient descent there, one set a known user. A user's ratings
    stay increasing in the score as long as the spread is positive, which it is.

    Habits are the user's share of each level less that of all training ratings, shrunk by `shrinkage` pseudo-ratings of
    the latter kind; the mean absolute error that adaptation leaves on the support set, in levels; log(S) / 3.

    Args:
        levels: K + 1, equally spaced ones on the rating scale, >= 2.
        hidden: width of the MLP's hidden layer, >= 1.
        shrinkage: of the shares, >= 0.

    Raises:
        InputError: a number is out of range.
    """

    share: Tensor
    level: Tensor

    def __init__(self, levels: int = 5, hidden: int = 32, shrinkage: float = 3.0) -> None:
        super().__init__()
        at_least(2, levels=levels)
        at_least(1, hidden=hidden)
        at_least(0, shrinkage=shrinkage)
        self.habit_width, self.shrinkage = levels + 2, shrinkage
        last = nn.Linear(hidden, levels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.own = nn.Sequential(nn.Linear(self.habit_width, hidden), nn.ReLU(), last)
        self.register_buffer("level", torch.linspace(0.0, 1.0, levels))
        self.register_buffer("share", torch.full((levels,), 1 / levels))

    def prepare(self, scale: tuple[float, float], rating: Tensor) -> None:
        """Lay the levels over the rating scale, and take the share of each among the training ratings (N,)."""
        self.level.copy_(torch.linspace(*scale, len(self.level)))
        self.share.copy_(self._nearest(rating.to(self.level)).mean(dim=0))

    def _nearest(self, rating: Tensor) -> Tensor:
        """Which level each rating is nearest to, as 0/1, shape (*rating.shape, levels)."""
        place = ((rating - self.level[0]) / (self.level[1] - self.level[0])).round().long()
        return functional.one_hot(place.clamp(0, len(self.level) - 1), len(self.level)).to(self.level.dtype)

    def habits(self, support: Rows, fitted: Tensor) -> Tensor:
        """See `Output.habits`; zeros are those of a typical user."""
        mask = support.mask.unsqueeze(2)
        size = support.mask.sum(dim=1, keepdim=True).to(fitted.dtype)
        count = (self._nearest(support.rating) * mask).sum(dim=1)
        share = (count - size * self.share) / (size + self.shrinkage).clamp(min=1e-9)
        left = (support.rating - fitted).abs().masked_fill(~support.mask, 0.0).sum(dim=1, keepdim=True)
        error = left / size.clamp(min=1) / (self.level[1] - self.level[0])
        return torch.cat([share, error, size.clamp(min=1).log() / 3], dim=1)

    def forward(self, score: Tensor, habits: Tensor | None = None) -> Tensor:
        """See `Output.forward`."""
        if habits is None:
            habits = score.new_zeros(len(score), self.habit_width)
        step = self.level[1] - self.level[0]
        moves = self.own(habits).unsqueeze(1)
        threshold = (self.level[1:] + self.level[:-1]) / 2 + step * moves[..., :-1]
        spread = SPREAD * step * moves[..., -1:].exp()
        above = torch.sigmoid((score.unsqueeze(2) - threshold) / spread)
        return self.level[0] + step * above.sum(dim=2)


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
