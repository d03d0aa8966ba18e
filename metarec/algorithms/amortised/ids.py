"""What methods for new ids share: an id vector for each known task, and the net as a frozen base under any of them."""

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Fast
from metarec.algorithms.engines.base import require_gradients, score
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import Loss
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch, joined
from metarec.errors import InputError
from metarec.nets.base import Encoded, Net, known_rows


class IdVectors(nn.Module):
    """A vector of one's own for each known task, in the place of the prior that all tasks of a net share.

    Task i has the id vector v_i = p + d_i, with p the net's user prior and user bias, one beside the other, and d_i an
    offset that starts at 0, of which only known tasks learn one. In a factorisation machine, v_i is the vector and the
    weight that the feature "id = i" would have. The base is the net with v_i in the place of p, trained as usual;
    what generates vectors for new tasks is trained on top of it, as if it were frozen.

    Args:
        net: the net that is the base.
        asking: who needs id vectors, for the error.

    Raises:
        InputError: the net has no user prior.

    Attributes:
        names: parameters of the net that an id vector takes the places of.
        width: D, of an id vector.
        known: which tasks training knows, (tasks,).
    """

    known: Tensor

    def __init__(self, net: Net, asking: str) -> None:
        super().__init__()
        if "user_prior" not in net.groups:
            raise InputError(f"{asking} needs a net with a user prior, whose place an id takes, such as FM or NeuMF")
        self.names = adapting(net, ["user_prior"])
        self.widths = [net.get_parameter(name).numel() for name in self.names]
        self.width, tasks = sum(self.widths), net.schema["users"]
        self.offset = nn.Parameter(torch.zeros(tasks, self.width))
        self.register_buffer("known", torch.zeros(tasks, dtype=torch.bool))

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Take over which tasks training knows."""
        self.known.copy_(known_rows(len(ratings.user_ids), train.task))

    def prior(self, net: Net) -> Tensor:
        """p, (D,)."""
        return torch.cat([net.get_parameter(name).flatten() for name in self.names])

    def mean(self, net: Net) -> Tensor:
        """The mean id vector of the known tasks, (D,); p where none is known."""
        weight = self.known / self.known.sum().clamp(min=1)
        return self.prior(net) + weight.to(self.offset.dtype) @ self.offset

    def fast(self, vector: Tensor) -> Fast:
        """Id vectors (T, D) as weights in the net's places."""
        return dict(zip(self.names, torch.split(vector, self.widths, dim=1), strict=True))

    def losses(self, net: Net, loss: Loss, batch: TaskBatch) -> Tensor:
        """The base's loss of known tasks on all their rows, (T,), differentiable in the net and the id vectors."""
        rows = joined(batch)
        vector = self.prior(net) + self.offset[batch.task]
        return loss.of_tasks(score(net, self.fast(vector), batch.task, rows.item), rows)

    def scores(self, net: Net, vector: Tensor, task: Tensor, encoded: Encoded) -> Tensor:
        """Scores (T, R) of the frozen base under id vectors (T, D), differentiable in these alone.

        Args:
            net: the net.
            vector: the id vectors.
            task: task rows, (T,).
            encoded: what `frozen_encoding` gives.
        """
        base = {f"decoder.{name}": weight.detach() for name, weight in net.decoder.named_parameters()}
        return score(net, base | self.fast(vector), task, task[:, None], encoded)

    def descend(self, net: Net, how: InnerLoop, vector: Tensor, task: Tensor, support: Rows) -> Tensor:
        """Id vectors (T, D) after the steps of an inner loop on the support sets (T, S), the base frozen.

        Args:
            net: the net.
            how: the inner loop; in first order, the result is a constant, else it has the gradient of where it starts.
            vector: where the steps start.
            task: task rows, (T,).
            support: ratings to adapt on.

        Raises:
            InputError: called under ``torch.inference_mode``.
        """
        require_gradients()
        vector = vector.detach() if how.first_order else vector
        with torch.enable_grad():
            encoded = frozen_encoding(net, task, support.item)
            for _ in range(how.adaptation_steps):
                vector = vector if vector.requires_grad else vector.detach().requires_grad_()
                loss = how.loss.of_tasks(self.scores(net, vector, task, encoded), support, how.shrinkage).sum()
                [slope] = torch.autograd.grad(loss, vector, create_graph=not how.first_order)
                vector = vector - how.inner_lr * slope
        return vector.detach() if how.first_order else vector


@torch.no_grad()
def frozen_encoding(net: Net, task: Tensor, item: Tensor) -> Encoded:
    """What the encoder makes of tasks (T,) and items (T, R), as constants."""
    encoded: Encoded = net.encoder(task, item)
    return encoded


@torch.no_grad()
def frozen_attributes(net: Net, task: Tensor) -> Tensor:
    """The net's vectors of the tasks' attributes, (T, D), as constants."""
    return net.encode_user(task).squeeze(1)
