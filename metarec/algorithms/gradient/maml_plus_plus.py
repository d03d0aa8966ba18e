"""MAML++ (Antoniou et al., ICLR 2019, arXiv 1810.09502)."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import adapt_detached, score
from metarec.algorithms.engines.batched import Batched, few_parts
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.update_rules import UpdateRule, Updates, transformed
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import at_least
from metarec.nets.base import Net


class ScaledGradients(Updates):
    """Gradients of a loss times a rate for each weight and step.

    Args:
        weights: number of weights.
        steps: number of steps; later ones take the last one's rates.
        rate: what all rates start from.
    """

    def __init__(self, weights: int, steps: int, rate: float) -> None:
        super().__init__()
        self.rates = nn.ParameterList(nn.Parameter(torch.full((steps,), rate)) for _ in range(weights))
        self.taken = 0

    def made_of(self, gradients: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor | None]:
        """Rate times gradient."""
        step, self.taken = min(self.taken, len(self.rates[0]) - 1), self.taken + 1
        return [None if g is None else rate[step] * g for rate, g in zip(self.rates, gradients, strict=True)]


class StepRates(UpdateRule):
    """theta - rate * gradient, with a learned rate for each parameter and step.

    Args:
        weights: number of weights that adapt.
        steps: number of steps.
        inner_lr: what all rates start from.
    """

    by_row = True

    def __init__(self, weights: int, steps: int, inner_lr: float) -> None:
        super().__init__()
        self.update = ScaledGradients(weights, steps, inner_lr)

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `GBML`; `inner_lr` was the start and counts no more."""
        return transformed(weights, 1.0, first_order, self.update)

    def learned_rates(self, inner_lr: float) -> list[Tensor]:
        """One for each step, (K,)."""
        return list(self.update.rates)


class MAMLPlusPlus(Algorithm):
    """MAML, made stable: a loss after every step, learned rates, first order before second.

    Inner loop: theta_i,k = theta_i,k-1 - a_k grad L_support_i(theta_i,k-1), with a learned rate a_k for each parameter
    tensor and step (LSLR, section 4 of the paper), that may have any sign. Outer loss:

        mean over tasks of sum_k v_k L_query_i(theta_i,k), with k = 1 .. K the adaptation steps (MSL).

    Its weights v are all 1/K at first and move evenly, over `multi_step_steps` outer steps, to 1 for the last step and
    0 for the others: v_k = (1 - s) / K for k < K. The outer gradient is of first order in the first
    `first_order_steps` outer steps, and of second order from then on (DA). The number of outer steps is a buffer, so
    that a run that is resumed goes on where it was.

    Not here: what the paper does to batch normalisation (the nets have none), and its cosine schedule of the outer
    rate, which is a matter of the configuration. The paper counts both spans in epochs of 500 steps; its reference code
    keeps v_k at .03 / K or more until the last step takes all.

    Args:
        net: the net to start from; given by the configuration.
        adapts: which parameters adapt: groups of the net such as `all` or `decision`, or patterns on parameter names.
        inner_lr: what all rates start from.
        adaptation_steps: K, >= 1; should there be more at test time, they take the last one's rates.
        shrinkage: pseudo-ratings without error in each support set, see `InnerLoop`; 0 is the paper's loss.
        loss: of support and query sets: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy` or
            `bpr` of clicks.
        multi_step_steps: outer steps until the last step's loss is all that counts, >= 0.
        first_order_steps: outer steps of first order, >= 0.

    Raises:
        InputError: nothing adapts, or a number is out of range.
    """

    order: ClassVar[int | None] = 2
    undecayed: ClassVar[tuple[str, ...]] = ("rule.*",)
    descends: ClassVar[bool] = True
    outer_steps: Tensor

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("user_prior",),
        inner_lr: float = 0.1,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        loss: LossName = "squared_error",
        multi_step_steps: int = 0,
        first_order_steps: int = 0,
    ) -> None:
        super().__init__()
        at_least(1, adaptation_steps=adaptation_steps)
        at_least(0, multi_step_steps=multi_step_steps, first_order_steps=first_order_steps)
        self.net, self.engine = net, Batched()
        self.multi_step_steps, self.first_order_steps = multi_step_steps, first_order_steps
        names = adapting(net, adapts)
        self.rule = StepRates(len(names), adaptation_steps, inner_lr)
        self.inner_loop = InnerLoop(names, inner_lr, adaptation_steps, shrinkage, loss=loss_named(loss), rule=self.rule)
        self.register_buffer("outer_steps", torch.zeros((), dtype=torch.int64))

    def loss(self, batch: TaskBatch) -> Tensor:
        """The weighted loss of all steps; counts an outer step where it is asked for in training."""
        done = int(self.outer_steps)
        how = dataclasses.replace(self.inner_loop, first_order=done < self.first_order_steps)
        losses = torch.cat([self._losses(how, part, self.importance(done)) for part in few_parts(batch)])
        if self.training:
            self.outer_steps += 1
        return losses.mean()

    def importance(self, done: int) -> list[float]:
        """The weight of each inner step's query loss, K numbers of sum 1, after `done` outer steps."""
        steps = self.inner_loop.adaptation_steps
        rest = max(0.0, 1.0 - done / self.multi_step_steps) / steps if self.multi_step_steps else 0.0
        return [rest] * (steps - 1) + [1.0 - rest * (steps - 1)]

    def _losses(self, how: InnerLoop, batch: TaskBatch, importance: Sequence[float]) -> Tensor:
        """Weighted query losses (T,); steps of weight 0 are not scored."""
        path = itertools.islice(self.engine.path(self.net, how, batch.task, batch.support), 1, None)
        losses = [
            weight * how.loss.of_tasks(score(self.net, fast, batch.task, batch.query.item), batch.query)
            for weight, fast in zip(importance, path, strict=True)
            if weight
        ]
        return torch.stack(losses).sum(dim=0)

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps."""
        return adapt_detached(self.engine, self.net, self.inner_loop, task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)
