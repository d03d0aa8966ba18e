"""Model-agnostic meta-learning (Finn et al., ICML 2017, arXiv 1703.03400)."""

from collections.abc import Sequence

from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast, squared_error
from metarec.algorithms.inner_loop import InnerLoop, adapt, adapt_detached, adapting, score
from metarec.data.ratings import Ratings
from metarec.data.tasks import PackedTasks, Rows, TaskBatch
from metarec.nets.base import Net


class MAML(Algorithm):
    """Learns the starting point from which a few gradient steps on the support set do best on the query set.

    Inner loop: theta_i = theta - inner_lr * grad L_support_i(theta), `adaptation_steps` times.
    Outer loss: the mean over tasks of L_query_i(theta_i), differentiated through the inner loop; with
    `first_order` the inner gradients count as constants (FOMAML, section 5.2 of the paper).

    Args:
        net: the net to start from; given by the configuration.
        adapts: which parameters adapt: groups of the net such as `all`, `decision`, `head`, `user_prior`, or
            patterns on parameter names; any mix.
        inner_lr: step size of the inner loop.
        adaptation_steps: number of inner steps.
        shrinkage: pseudo-ratings without error in each support set, see `InnerLoop`; 0 is the paper's loss.
        first_order: drop the second-order term.
    """

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("user_prior",),
        inner_lr: float = 0.1,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        first_order: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.first_order = net, first_order
        self.inner_loop = InnerLoop(adapting(net, adapts), inner_lr, adaptation_steps, shrinkage)

    def prepare(self, ratings: Ratings, train: PackedTasks) -> None:
        """Let the net take over attributes and statistics."""
        self.net.prepare(ratings, train)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's squared error on the query set."""
        fast = adapt(self.net, self.inner_loop, batch.task, batch.support, self.first_order)
        return squared_error(self.predict(fast, batch.task, batch.query.item), batch.query).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps."""
        return adapt_detached(self.net, self.inner_loop, task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)
