"""Linear weight and non-linear bias adaptation: a user as the mean items that they liked and that they did not.

Vartak et al., "A Meta-Learning Perspective on Cold-Start Recommendations for Items", NIPS 2017.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import mlp, vector_widths
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import at_least
from metarec.nets.base import Encoded, Net


class ClassMeans(nn.Module):
    """Embeds items, and a user as R_c = sum_{s in class c} f(x_s) / (S_c + shrinkage), f an MLP on item vectors x.

    The classes are the support rows that the user did not like, c = 0, and those that they liked, c = 1: those rated
    higher than the net's own score, that is, higher than expected without the user's ratings; of clicks, those that are
    one. R_c of an empty class is 0.

    Args:
        net: the net that encodes the items.
        hidden: width of the MLP's hidden layer, >= 1.
        width: of f, >= 1.
        shrinkage: pseudo-rows of value 0 in each class, >= 0; 0: the mean.

    Raises:
        InputError: the net has no encoder, or a number is out of range.
    """

    def __init__(self, net: Net, hidden: int, width: int, shrinkage: float) -> None:
        super().__init__()
        at_least(1, hidden=hidden, width=width)
        at_least(0, shrinkage=shrinkage)
        self.embed, self.shrinkage = mlp(vector_widths(net)[1], hidden, width), shrinkage

    def forward(self, encoded: Encoded, expected: Tensor, support: Rows) -> Tensor:
        """R_0 and R_1 of each task, (T, 2, width), of encoded support rows and the ratings (T, S) expected of them."""
        liked = support.rating > expected
        member = (torch.stack([~liked, liked], dim=1) & support.mask.unsqueeze(1)).to(expected.dtype)
        share = member / (member.sum(dim=2, keepdim=True) + self.shrinkage).clamp(min=1)
        means: Tensor = torch.bmm(share, self.embed(encoded.item))
        return means


class LinearWeightAdaptation(Algorithm):
    """LWA: class means give the weights of a user's linear model of items.

    With f and R_c as in `ClassMeans`, and learned numbers a_c,

        prediction = net's score + f(x_q) . (a_0 R_0 + a_1 R_1).

    The outer loss is that of the query set. Zero-shot is the net itself, as with an empty support set.

    Deviations: ratings instead of clicks, hence the loss and what liked means; the net's score takes the place of the
    paper's constant; means are shrunk, unless `shrinkage` is 0.

    Args:
        net: the net that encodes users and items; given by the configuration.
        width: of f, >= 1.
        hidden: width of the hidden layer of f, >= 1.
        shrinkage: pseudo-rows of value 0 in each class, >= 0; 0 is the paper's mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net has no encoder, or a number is out of range.
    """

    moves: ClassVar[str] = "weights of a linear model"
    undecayed: ClassVar[tuple[str, ...]] = ("weight",)

    def __init__(
        self, net: Net, width: int = 32, hidden: int = 64, shrinkage: float = 1.0, loss: LossName = "squared_error"
    ) -> None:
        super().__init__()
        self.net, self.outer_loss = net, loss_named(loss)
        self.means = ClassMeans(net, hidden, width, shrinkage)
        self.weight = nn.Parameter(torch.tensor([-1.0, 1.0]))

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set."""
        fast = self._user(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """The weights of each user's linear model: `weight`, (T, width)."""
        with torch.no_grad():
            return self._user(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        encoded = self.net.encoder(task, item)
        score: Tensor = self.net.decoder(encoded)
        if not fast:
            return score
        return score + torch.bmm(self.means.embed(encoded.item), fast["weight"].unsqueeze(2)).squeeze(2)

    def _user(self, task: Tensor, support: Rows) -> Fast:
        """`weight`, differentiable in all parameters that it depends on."""
        encoded = self.net.encoder(task, support.item)
        means = self.means(encoded, self.outer_loss.expected(self.net.decoder(encoded)), support)
        return {"weight": (self.weight.unsqueeze(1) * means).sum(dim=1)}


class NonlinearBiasAdaptation(Algorithm):
    """NLBA: class means give the biases of a user's network on items, whose weights all users share.

    With f and R_c as in `ClassMeans` and h_0 = f(x_q), each layer is

        h_l = ReLU(W_l h_{l-1} + b_l + V_l^0 R_0 + V_l^1 R_1),

    the last one is without ReLU and has one output, which is added to the net's score. The outer loss is that of the
    query set. Zero-shot is the prediction from an empty support set, R_0 = R_1 = 0.

    Deviations: those of `LinearWeightAdaptation`, and the shared biases b_l.

    Args:
        net: the net that encodes users and items; given by the configuration.
        width: of f, >= 1.
        hidden: width of the hidden layer of f, >= 1.
        layers: widths of the hidden layers h_l, each >= 1, at least one.
        shrinkage: pseudo-rows of value 0 in each class, >= 0; 0 is the paper's mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net has no encoder, or a number is out of range.
    """

    moves: ClassVar[str] = "biases of a network"

    def __init__(
        self,
        net: Net,
        width: int = 32,
        hidden: int = 64,
        layers: Sequence[int] = (32,),
        shrinkage: float = 1.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(1, layers=min(layers, default=0))
        self.net, self.outer_loss = net, loss_named(loss)
        self.means = ClassMeans(net, hidden, width, shrinkage)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise([width, *layers, 1]))
        self.biases = nn.ModuleList(nn.Linear(2 * width, out, bias=False) for out in [*layers, 1])

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the loss on the query set."""
        fast = self._user(batch.task, batch.support)
        return self.outer_loss.of_tasks(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """What is added to the biases of each user's layers: `bias0`, `bias1`, ..., (T, width of the layer) each."""
        with torch.no_grad():
            return self._user(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        encoded = self.net.encoder(task, item)
        hidden: Tensor = self.means.embed(encoded.item)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden if number == 0 else torch.relu(hidden))
            hidden = hidden + fast[f"bias{number}"].unsqueeze(1) if fast else hidden
        score: Tensor = self.net.decoder(encoded)
        return score + hidden.squeeze(2)

    def _user(self, task: Tensor, support: Rows) -> Fast:
        """The biases, differentiable in all parameters that they depend on."""
        encoded = self.net.encoder(task, support.item)
        means = self.means(encoded, self.outer_loss.expected(self.net.decoder(encoded)), support).flatten(1)
        return {f"bias{number}": layer(means) for number, layer in enumerate(self.biases)}
