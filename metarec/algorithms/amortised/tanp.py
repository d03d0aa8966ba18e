"""Task-adaptive neural process for user cold start (TaNP; Lin et al., WWW 2021, arXiv 2103.06137)."""

import itertools
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from metarec.algorithms.amortised.film import ModulationName, TaskPool, modulation_named, sharpening
from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import SetEncoder, vector_widths
from metarec.data.tasks import Rows, TaskBatch, joined
from metarec.errors import at_least
from metarec.nets.base import Net


class Described(NamedTuple):
    """What the net says of R rows of each of T tasks.

    Attributes:
        vector: x, item vector and user vector side by side, (T, R, D).
        score: the net's own score, (T, R).
    """

    vector: Tensor
    score: Tensor

    def part(self, rows: slice) -> "Described":
        """Some of the rows."""
        return Described(self.vector[:, rows], self.score[:, rows])


class Gaussian(NamedTuple):
    """A distribution q(z) of each task: mean and log-variance, each (T, latent)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """A draw of each, from torch's default generator, that has gradients."""
        return self.mean + (0.5 * self.log_variance).exp() * torch.randn_like(self.mean)

    def kl(self, other: "Gaussian") -> Tensor:
        """KL(self || other) of each task, (T,)."""
        apart = self.log_variance.exp() + (self.mean - other.mean).square()
        each = apart / other.log_variance.exp() - 1 + other.log_variance - self.log_variance
        return 0.5 * each.sum(dim=1)


class TaNP(Algorithm):
    """A latent-variable model of users whose decoder is modulated by what kind of task a user is.

    With x the vectors of item and user and e what the net's own score leaves of a rating, from rows of x and e

    - a latent encoder gives q(z | rows), a diagonal Gaussian of the mean over rows of an MLP;
    - a task encoder gives an embedding o, the mean of another MLP, to which a pool of learned soft clusters adds the
      centroids of the clusters that o belongs to (`TaskPool`);
    - a decoder of dense ReLU layers maps [x, z] to a correction of the net's score, each layer modulated by o before
      its ReLU (`FiLM` or `GatingFiLM`).

    In training z is drawn from q(z | support and query) and o comes from the support set. The outer loss is the mean
    over tasks of query loss + beta KL(q(z | support and query) || q(z | support)), plus `cluster_weight` times
    `sharpening`, which draws the tasks of a batch to clusters. To predict, z is the mean of q(z | support), and no
    query label is seen. (The loss of a module in evaluation mode takes the mean of q(z | support and query) instead of
    a draw: it sees query labels and judges nothing.) Zero-shot is the prediction from an empty support set. Of several
    processes each draws z for its own tasks, so that training is not to the last digit that of one; the clustering is
    over the tasks of all.

    Deviations: the net's score is corrected, and e is encoded instead of the rating; means over rows are shrunk, unless
    `shrinkage` is 0; MLPs over rows have one hidden layer. The authors' code does otherwise in four points: it counts
    support rows in the reconstruction loss too, takes the distance itself, not its square, in Student's t, normalises
    the targets of the clustering over an axis of length 1, so that all are 1, and predicts with a draw of z.

    Args:
        net: the net that encodes users and items; given by the configuration.
        latent: width of z, >= 1.
        embedding: width of o, >= 1.
        hidden: widths of the decoder's layers, at least one; the first one is that of the encoders, too.
        clusters: number of clusters in the pool, >= 1.
        temperature: of the clusters' shares, > 0.
        modulation: of the decoder, `film` or `gating_film`.
        beta: weight of the KL divergence, >= 0; 1 is that of a likelihood bound.
        cluster_weight: weight of the clustering, lambda, >= 0.
        shrinkage: pseudo-rows of value 0 in each set of rows, >= 0; 0: the mean.
        loss: of the query set; `absolute_error` trains for the mean absolute error, `binary_cross_entropy` and `bpr` on
            clicks.

    Raises:
        InputError: the net has no encoder, a number is out of range, or there is no such modulation.
    """

    moves: ClassVar[str] = "latent variable, modulation of the decoder"

    def __init__(
        self,
        net: Net,
        latent: int = 32,
        embedding: int = 64,
        hidden: Sequence[int] = (128, 128, 128),
        clusters: int = 7,
        temperature: float = 1.0,
        modulation: ModulationName = "gating_film",
        beta: float = 1.0,
        cluster_weight: float = 0.1,
        shrinkage: float = 1.0,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(1, hidden=min(hidden, default=0), latent=latent, embedding=embedding)
        at_least(0, beta=beta, cluster_weight=cluster_weight)
        self.net, self.outer_loss = net, loss_named(loss)
        self.beta, self.cluster_weight = beta, cluster_weight
        vector = sum(vector_widths(net))
        self.latent = SetEncoder(vector, hidden[0], latent, shrinkage)
        self.moments = nn.Sequential(nn.Linear(latent, latent), nn.ReLU(), nn.Linear(latent, 2 * latent))
        self.task = SetEncoder(vector, hidden[0], embedding, shrinkage)
        self.pool = TaskPool(clusters, embedding, temperature)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise([vector + latent, *hidden]))
        self.modulations = nn.ModuleList(modulation_named(modulation)(embedding, width) for width in hidden)
        self.head = nn.Linear(hidden[-1], 1)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of query loss and KL divergence, plus the clustering of the batch."""
        rows, split = joined(batch), batch.support.item.shape[1]
        described = self._described(batch.task, rows.item)
        support, query = described.part(slice(split)), described.part(slice(split, None))
        posterior, prior = self._latent(described, rows), self._latent(support, batch.support)
        share, embedding = self._embedded(support, batch.support)
        z = posterior.sample() if self.training else posterior.mean
        of_query = self.outer_loss.of_tasks(self._decoded(query, z, embedding), batch.query)
        clustering = sharpening(share, everywhere=self.training)
        return (of_query + self.beta * posterior.kl(prior)).mean() + self.cluster_weight * clustering

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Each user's `latent`, (T, latent), and `embedding`, (T, embedding)."""
        with torch.no_grad():
            return self._user(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        described = self._described(task, item)
        if not fast:
            nothing = torch.zeros_like(item[:, :1])
            fast = self._user(task, Rows(nothing, torch.zeros_like(described.score[:, :1]), nothing.bool()))
        return self._decoded(described, fast["latent"], fast["embedding"])

    def _user(self, task: Tensor, support: Rows) -> Fast:
        """`latent` and `embedding`, differentiable in all parameters that they depend on."""
        described = self._described(task, support.item)
        embedding = self._embedded(described, support)[1]
        return {"latent": self._latent(described, support).mean, "embedding": embedding}

    def _described(self, task: Tensor, item: Tensor) -> Described:
        """Vectors and net's scores of the items `item` (T, R)."""
        encoded = self.net.encoder(task, item)
        user = encoded.user.expand(-1, item.shape[1], -1)
        return Described(torch.cat([encoded.item, user], dim=2), self.net.decoder(encoded))

    def _latent(self, described: Described, rows: Rows) -> Gaussian:
        """q(z | rows)."""
        summary = self.latent(described.vector, self._left(described, rows), rows)
        return Gaussian(*self.moments(summary).chunk(2, dim=1))

    def _embedded(self, described: Described, rows: Rows) -> tuple[Tensor, Tensor]:
        """Shares in the clusters (T, K), and the task embedding with the pool's part (T, embedding)."""
        shares: tuple[Tensor, Tensor] = self.pool(self.task(described.vector, self._left(described, rows), rows))
        return shares

    def _left(self, described: Described, rows: Rows) -> Tensor:
        """e, what the net's own score leaves of each rating, (T, R)."""
        return rows.rating - self.outer_loss.expected(described.score)

    def _decoded(self, described: Described, z: Tensor, embedding: Tensor) -> Tensor:
        """Predicted ratings (T, R) of tasks with z (T, latent) and task embedding (T, embedding)."""
        hidden = torch.cat([described.vector, z.unsqueeze(1).expand(-1, described.score.shape[1], -1)], dim=2)
        for layer, modulation in zip(self.layers, self.modulations, strict=True):
            hidden = torch.relu(modulation(layer(hidden), embedding))
        correction: Tensor = self.head(hidden).squeeze(2)
        return described.score + correction
