"""DropoutNet: a net trained for what it must do without the user's preferences (Volkovs et al., NIPS 2017)."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named, shares
from metarec.algorithms.sets import vector_widths
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import at_least, below_one
from metarec.nets.base import Encoded, Net


class DropoutNet(Algorithm):
    """Maps preferences and attributes to a user vector, and drops the preferences of some users in training.

    With x the net's user vector, from attributes, v_s its item vector of support row s, and e_s what the zero-shot
    prediction leaves of the rating, user i has the preferences p_i, the vector u_i and the prediction

        p_i = sum_s e_s v_s / (S + shrinkage),   u_i = f([p_i, x_i]),   decoder(u_i, v_q),

    with f a hidden layer of tanh and a linear one. Zero-shot, p = 0. The outer loss is that of the query set; in
    training p_i = 0 for each task with probability `drop`, independently, so that one net serves both.

    After Volkovs, Yu and Poutanen 2017, equation 5 and section 4.3, where a new user's preferences are the mean vector
    of the items they took. Deviations: preferences are weighted by residual ratings, the paper's interactions being
    implicit, and shrunk; vectors and f are trained together on the ratings, where the paper fits f to the scores of a
    given latent model; the decoder, an inner product in the paper, is the net's; items' ids are not dropped, and
    unknown items have their attributes alone; there is no batch normalisation, in which tasks would see each other.

    Args:
        net: the net that encodes users and items; given by the configuration.
        drop: share of the tasks whose preferences training drops, >= 0 and < 1.
        hidden: width of f's hidden layer, >= 1.
        shrinkage: pseudo-rows without error in each support set, >= 0; 0: the mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net has no encoder, or a number is out of range.
    """

    moves: ClassVar[str] = "preferences, the input of the user vector"

    def __init__(
        self, net: Net, drop: float = 0.5, hidden: int = 64, shrinkage: float = 1.0, loss: LossName = "squared_error"
    ) -> None:
        super().__init__()
        below_one(drop=drop)
        at_least(1, hidden=hidden)
        at_least(0, shrinkage=shrinkage)
        self.net, self.drop, self.shrinkage, self.outer_loss = net, drop, shrinkage, loss_named(loss)
        user, self.width = vector_widths(net)
        self.map = nn.Sequential(nn.Linear(self.width + user, hidden), nn.Tanh(), nn.Linear(hidden, user))

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set, in training without the preferences of some tasks."""
        preference = self._preference(batch.task, batch.support)
        if self.training and self.drop:
            kept = torch.rand(len(preference), 1, device=preference.device) >= self.drop
            preference = preference * kept
        prediction = self.predict({"preference": preference}, batch.task, batch.query.item)
        return self.outer_loss.of_tasks(prediction, batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Each user's `preference`, (T, D)."""
        with torch.no_grad():
            return {"preference": self._preference(task, support)}

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        encoded: Encoded = self.net.encoder(task, item)
        return self._score(encoded, fast["preference"] if fast else None)

    def _preference(self, task: Tensor, support: Rows) -> Tensor:
        """p, (T, D), differentiable in all parameters."""
        encoded: Encoded = self.net.encoder(task, support.item)
        left = support.rating - self.outer_loss.expected(self._score(encoded, None))
        weight = left * shares(support, self.shrinkage)
        return torch.bmm(weight.unsqueeze(1), encoded.item).squeeze(1)

    def _score(self, encoded: Encoded, preference: Tensor | None) -> Tensor:
        """Scores (T, R) of users with these preferences (T, D); null: 0."""
        attributes = encoded.user
        if preference is None:
            preference = attributes.new_zeros(len(attributes), self.width)
        user = self.map(torch.cat([preference.unsqueeze(1), attributes], dim=2))
        scores: Tensor = self.net.decoder(encoded._replace(user=user))
        return scores
