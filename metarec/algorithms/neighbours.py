"""What similar items in a user's support set say of an item, for a model to be trained around."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Fast
from metarec.algorithms.similarity import (
    dense,
    fitted_item_bias,
    nearest,
    require_room,
    residuals,
    shrunk_cosine,
    weighted_mean,
)
from metarec.data.tasks import PackedTasks, Rows
from metarec.errors import at_least
from metarec.nets.base import Net


class Known(NamedTuple):
    """What takes a training user's own ratings out of similarities; residuals are what biases leave of ratings.

    Attributes:
        residual: 0 where there is none, (users, items).
        rated: whether there is one, (users, items).
        product: sums over training users of both items' residuals multiplied, (items, items).
        square: of the squared residuals of the first item, over users of both, (items, items).
        common: how many users rated both, (items, items).
    """

    residual: Tensor
    rated: Tensor
    product: Tensor
    square: Tensor
    common: Tensor


class ResidualNeighbours(nn.Module):
    """Carries what a model leaves of a user's support ratings over to similar items (after Koren, KDD 2008, section 5).

    With r_uj what the model leaves of the rating of item j in the support set, s_ij the similarity of items as
    `metarec.baselines.neighbours.ItemKNN` computes it from the training ratings, they say of item i

        sum_j s_ij r_uj / (sum_j |s_ij| + regularisation)

    over the k items j nearest to i, which the model adds to its score with a weight. A few factors cannot hold what is
    peculiar to a pair of items; a pair's own similarity can.

    A training user's own ratings are left out of the similarities that predict them: in a training episode, support
    and query set would otherwise both be in s_ij, and a learned weight would grow without a reason. (Their part in the
    item biases that similarities are based on stays.) For new users, and for items that a known user has not rated,
    there is nothing to leave out. Deviations from Koren: similarities are not learned one by one; what the neighbours
    carry over is what the model leaves, not what biases leave.

    Memory: similarities 4 items^2 bytes; beside the training data also 12 items^2 + 5 users x items, which are in no
    checkpoint. Without the latter, as when a checkpoint serves, nothing is left out.

    Args:
        net: gives the numbers of users and items; nothing else of it is used.
        k: how many items of the support set count, and all that tie with the last, >= 1.
        shrinkage: of similarities, in common users, >= 0.
        regularisation: of the weighted mean, in similarities, >= 0.
        bias_shrinkage: pseudo-ratings at the mean that item and user biases are given, before similarities, >= 0.

    Raises:
        InputError: a number is out of range, or there are too many items.
    """

    similarity: Tensor

    def __init__(
        self,
        net: Net,
        k: int = 20,
        shrinkage: float = 100.0,
        regularisation: float = 0.3,
        bias_shrinkage: float = 5.0,
    ) -> None:
        super().__init__()
        at_least(1, k=k)
        at_least(0, shrinkage=shrinkage, regularisation=regularisation, bias_shrinkage=bias_shrinkage)
        self.k, self.shrinkage, self.regularisation = k, shrinkage, regularisation
        self.bias_shrinkage = bias_shrinkage
        self.users, items = net.schema["users"], net.schema["items"]
        require_room(items, max(self.users, items), "items and users")
        self.register_buffer("similarity", torch.zeros(items, items))
        self.known: Known | None = None
        """Not buffers: those are copied with every step of an average of weights, and sent to every process."""

    def prepare(self, train: PackedTasks) -> None:
        """Compute similarities, and keep what takes a training user's share out of them."""
        rows = torch.arange(len(train.task))
        items = len(self.similarity)
        item_bias = fitted_item_bias(train, items, self.bias_shrinkage, self.bias_shrinkage)
        left, rated = dense(residuals(train, item_bias, self.bias_shrinkage), rows, len(rows), items)
        sums = left.mT @ left, left.square().mT @ rated, rated.mT @ rated
        found = shrunk_cosine(sums[0], sums[1], sums[1].mT, sums[2], self.shrinkage)
        self.similarity.copy_(found.fill_diagonal_(0.0))
        of_users = left.new_zeros(self.users, items), torch.zeros(self.users, items, dtype=torch.bool)
        for table, part in zip(of_users, (left, rated.bool()), strict=True):
            table[train.task] = part
        self.known = Known(*of_users, *sums)

    def fold_in(self, support: Rows, fitted: Tensor) -> Fast:
        """What the model leaves of new users' support sets: items `rated` and `left`, (T, S) each; 0 where padded.

        Args:
            support: ratings, (T, S).
            fitted: the model's own scores of these rows, (T, S).
        """
        left = (support.rating - fitted).masked_fill(~support.mask, 0.0)
        return {"rated": support.item.masked_fill(~support.mask, 0), "left": left}

    def forward(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """What the neighbours say of the items, in ratings, (T, Q).

        Args:
            fast: what `fold_in` gave, alone or with more.
            task: user rows, (T,).
            item: item rows to score, (T, Q).
        """
        weight = nearest(self.similarities(task, item, fast["rated"]), self.k)
        return weighted_mean(weight, fast["left"].unsqueeze(1), self.regularisation)

    def similarities(self, task: Tensor, item: Tensor, support: Tensor) -> Tensor:
        """Similarities of items (T, Q) and items (T, S) without what the user's own ratings add, (T, Q, S)."""
        one, other = item.unsqueeze(2), support.unsqueeze(1)
        similarity = self.similarity[one, other]
        if self.known is None:
            return similarity
        known = self.known = Known(*(table.to(item.device) for table in self.known))
        user = task[:, None, None]
        both = known.rated[user, one] & known.rated[user, other]
        first, second = known.residual[user, one], known.residual[user, other]
        product, count = known.product[one, other] - first * second, known.common[one, other] - 1
        squares = known.square[one, other] - first.square(), known.square[other, one] - second.square()
        without = shrunk_cosine(product, squares[0].clamp(min=0), squares[1].clamp(min=0), count, self.shrinkage)
        without = without.clamp(-1, 1) * ((count > 0) & (one != other))
        return torch.where(both, without.to(similarity.dtype), similarity)
