"""Model-agnostic meta-learning (Finn et al., ICML 2017, arXiv 1703.03400)."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines import EngineName, engine_named
from metarec.algorithms.engines.base import adapt_detached, score
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.update_rules import GradientStep, MakeRule
from metarec.data.tasks import Rows, TaskBatch
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
        loss: of support and query sets: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy` or
            `bpr` of clicks.
        engine: how inner loops are computed: `batched`, all tasks in one call; `fused`, the same with hand-derived
            gradients where the adapting parameters are dense layers; `loop`, task by task; null: `batched`, but `fused`
            where it applies. All give the same values, and a run says which it was.
        update_rule: what a step does with the gradients: `GradientStep`, `MetaSGD`, `Kronecker` or `MetaCurvature` of
            `metarec.algorithms.update_rules`.

    Raises:
        InputError: nothing adapts, or a number is out of range.
    """

    undecayed: ClassVar[tuple[str, ...]] = ("rule.*",)
    descends: ClassVar[bool] = True

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("user_prior",),
        inner_lr: float = 0.1,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        first_order: bool = False,
        loss: LossName = "squared_error",
        engine: EngineName | None = None,
        update_rule: MakeRule = GradientStep,
    ) -> None:
        super().__init__()
        self.net, self.engine = net, engine_named(engine)
        names = adapting(net, adapts)
        self.rule = update_rule([net.get_parameter(name) for name in names], inner_lr)
        self.inner_loop = InnerLoop(
            names, inner_lr, adaptation_steps, shrinkage, first_order, loss_named(loss), self.rule
        )

    def remarks(self) -> dict[str, str]:
        """Which engine computes the meta-gradients."""
        return {"engine": self.engine.in_use(self.net, self.inner_loop)}

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on the query set."""
        return self.engine.losses(self.net, self.inner_loop, batch).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps."""
        return adapt_detached(self.engine, self.net, self.inner_loop, task, support)

    def adapted(self, task: Tensor, support: Rows, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q) after adaptation, without gradients."""
        if type(self).adapt is not MAML.adapt or type(self).predict is not MAML.predict:
            return super().adapted(task, support, item)
        return self.engine.scores(self.net, self.inner_loop, task, support, item)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)
