"""What predictors of clicks share that need no gradients."""

import torch
from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import require_clicks
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows
from metarec.nets.base import Net


class OnClicks(Algorithm):
    """What predictors share that know a new user by the items with a click in their support set.

    Support rows without a click, which are sampled, say nothing to them: every item without a click is one already.
    Scores rank items, and are no ratings. Zero-shot, nothing is known of the user, and all items score 0.

    Args:
        net: gives the number of items; nothing else of it is used.
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.items: int = net.schema["items"]

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Fit the training clicks.

        Raises:
            InputError: the ratings are no clicks.
        """
        require_clicks(type(self).__name__, ratings.scale)
        self.fit(train)

    def fit(self, train: PackedTasks) -> None:
        """Take over the training tasks, whose ratings are clicks."""
        raise NotImplementedError

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """What `fold_in` makes of the clicks of the support set."""
        click = support.mask & (support.rating > 0)
        return self.fold_in(Rows(support.item * click, support.rating * click, click))

    def fold_in(self, clicks: Rows) -> Fast:
        """What scores need of new users with these clicks; items and ratings are 0 where there is none."""
        raise NotImplementedError

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Scores (T, Q); zero-shot, 0."""
        return self.scores(fast, item) if fast else torch.zeros(item.shape, device=item.device)

    def scores(self, fast: Fast, item: Tensor) -> Tensor:
        """Scores (T, Q) of folded-in users."""
        raise NotImplementedError
