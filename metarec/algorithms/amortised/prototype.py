"""Prototypes: what a user likes is the mean of the items of each rating they gave (arXiv 1703.05175)."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, error_named
from metarec.algorithms.sets import mlp, vector_widths
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.errors import InputError, at_least
from metarec.nets.base import Net


class Prototype(Algorithm):
    """Classifies items by their distance to a user's mean item of each rating (after Snell et al., NeurIPS 2017).

    The scale of the ratings is cut into `levels` evenly spaced values v_c, the classes; a rating belongs to the nearest
    one. With z = MLP(item vector), S_c the S_c support rows of class c, and k = `shrinkage`, user i has the prototypes
    and class shares

        p_c = (sum_{s in c} z_s + k P_c) / (S_c + k),   w_c = (S_c + k W_c) / (S + k),

    where P_c and W_c are learned and shared: what a class with few ratings is shrunk to. Item q is predicted the
    expectation of v under

        softmax_c( log(w_c / W_c) - |z_q - p_c|^2 / temperature - precision ((v_c - net's score) / step)^2 ),

    with step the distance of neighbouring values. Zero-shot, p = P and w = W, as with an empty support set.

    Deviations: the last term, which lets the net's own score stand for what is known without the user; shrinkage and
    class shares (the paper's episodes have equally many rows of each class); the loss is that of the expected rating,
    not the cross-entropy of the class. Ratings are never scored beyond the scale of the data.

    Args:
        net: the net that encodes users and items; given by the configuration.
        levels: number of classes, >= 2; 5 fits ratings of 1 to 5 stars, 10 those of half stars.
        width: width of z, >= 1.
        hidden: width of the MLP's hidden layer, >= 1.
        shrinkage: k, in ratings, > 0.
        loss: of the query set; `absolute_error` trains for the mean absolute error.

    Raises:
        InputError: the net has no encoder, a number is out of range, or a rating is asked for as a logit.
    """

    moves: ClassVar[str] = "prototypes of the ratings"
    values: Tensor

    def __init__(
        self,
        net: Net,
        levels: int = 5,
        width: int = 16,
        hidden: int = 64,
        shrinkage: float = 4.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(1, width=width, hidden=hidden)
        at_least(2, levels=levels)
        if not 0 < shrinkage < math.inf:
            raise InputError(f"shrinkage {shrinkage}: give a number > 0")
        self.outer_loss = error_named(loss, "Prototype predicts ratings, not logits")
        self.net, self.levels, self.shrinkage = net, levels, shrinkage
        self.embed = mlp(vector_widths(net)[1], hidden, width)
        self.prototype = nn.Parameter(torch.randn(levels, width) * 0.1)
        self.log_share = nn.Parameter(torch.zeros(levels))
        self.log_temperature, self.log_precision = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.register_buffer("values", torch.arange(1.0, levels + 1))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over the scale of the ratings, and let the net take over attributes and statistics."""
        self.values.copy_(torch.linspace(*ratings.scale, self.levels))
        super().prepare(ratings, train)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set."""
        fast = self._user(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Each user's `prototype`, (T, C, width), and `gain` log(w_c / W_c), (T, C)."""
        with torch.no_grad():
            return self._user(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q).

        Of the distances, |z_q|^2 is left out: it is the same for all classes.
        """
        encoded = self.net.encoder(task, item)
        embedded: Tensor = self.embed(encoded.item)
        prototype = fast["prototype"] if fast else self.prototype.expand(len(task), -1, -1)
        nearness = 2 * embedded @ prototype.mT - prototype.square().sum(dim=2).unsqueeze(1)
        steps = (self.values - self.net.decoder(encoded).unsqueeze(2)) / (self.values[1] - self.values[0])
        logit = nearness / self.log_temperature.exp() - self.log_precision.exp() * steps.square()
        if fast:
            logit = logit + fast["gain"].unsqueeze(1)
        expected: Tensor = logit.softmax(dim=2) @ self.values
        return expected

    def _user(self, task: Tensor, support: Rows) -> Fast:
        """`prototype` and `gain`, differentiable in all parameters that they depend on."""
        nearest = (support.rating.unsqueeze(2) - self.values).abs().argmin(dim=2)
        member = functional.one_hot(nearest, self.levels).to(support.rating.dtype) * support.mask.unsqueeze(2)
        count, k = member.sum(dim=1), self.shrinkage
        total = member.mT @ self.embed(self.net.encoder(task, support.item).item)
        share = self.log_share.softmax(dim=0)
        return {
            "prototype": (total + k * self.prototype) / (count + k).unsqueeze(2),
            "gain": ((count + k * share) / (count.sum(dim=1, keepdim=True) + k) / share).log(),
        }
