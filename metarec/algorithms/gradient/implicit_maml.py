"""Implicit MAML, iMAML (Rajeswaran et al., NeurIPS 2019, arXiv 1909.04630)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import adapt_detached, score
from metarec.algorithms.engines.batched import Batched, few_parts
from metarec.algorithms.gradient.surrogate import pull, settled, weights
from metarec.algorithms.inner_loop import InnerLoop, adapting
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.update_rules import UpdateRule, Updates, transformed
from metarec.data.tasks import Rows, TaskBatch, joined
from metarec.errors import InputError, at_least
from metarec.nets.base import Net


class ProximalGradients(Updates):
    """Gradients of a loss plus strength / 2 |weights - start|^2, the start being the weights of the first call.

    Args:
        strength: of the second term.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.start: list[Tensor] | None = None

    def made_of(self, gradients: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradient + strength (weight - start)."""
        here = [weight.detach() for weight in weights]
        self.start = self.start or here
        terms = zip(gradients, here, self.start, strict=True)
        return [None if g is None else g + self.strength * (weight - start) for g, weight, start in terms]


class ProximalStep(UpdateRule):
    """phi - inner_lr * (gradient + strength (phi - theta)), where theta is where the inner loop began.

    Args:
        strength: how strongly weights are held at theta.
    """

    by_row = True

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.update = ProximalGradients(strength)

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `GBML`."""
        return transformed(weights, inner_lr, first_order, self.update)


class ImplicitMAML(Algorithm):
    """MAML whose outer gradient depends on where the inner loop ends, and not on the way it took.

    Inner problem: phi_i = argmin L_support_i(phi) + regularisation / 2 |phi - theta|^2, by `adaptation_steps` gradient
    steps from theta. With H_i the Hessian of L_support_i at phi_i and g_i the gradient of L_query_i, the outer gradient
    is the mean over tasks of

        x_i = (I + H_i / regularisation)^-1 g_i,

    by `solver_steps` steps of conjugate gradients, all tasks at once, each with coefficients of its own. It is that of
    the exact phi_i; how far the steps got decides how good it is. A task whose matrix proves not to be positive
    definite keeps what it has found by then.

    Deviations: conjugate gradients begin at g_i, so that no step is first order; the paper's begin at 0. Parameters
    that do not adapt, which the paper does not have, move phi_i too, and get all of their implicit gradient: that of
    L_query_i less that of <grad L_support_i(phi_i), x_i> / regularisation, x_i and phi_i held.

    Args:
        net: the net to start from; given by the configuration.
        adapts: which parameters adapt: groups of the net such as `all` or `decision`, or patterns on parameter names.
        inner_lr: step size of the inner loop; more than 2 / (regularisation + largest curvature) diverges.
        adaptation_steps: number of inner steps, >= 0.
        shrinkage: pseudo-ratings without error in each support set, see `InnerLoop`; 0 is the paper's loss.
        regularisation: how strongly phi_i is held at theta, the paper's lambda, > 0.
        solver_steps: steps of conjugate gradients, >= 0.
        loss: of support and query sets: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy` or
            `bpr` of clicks.

    Raises:
        InputError: nothing adapts, or a number is out of range.
    """

    order: ClassVar[int | None] = 2

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("user_prior",),
        inner_lr: float = 0.1,
        adaptation_steps: int = 16,
        shrinkage: float = 0.0,
        regularisation: float = 2.0,
        solver_steps: int = 5,
        loss: LossName = "squared_error",
    ) -> None:
        super().__init__()
        at_least(0, solver_steps=solver_steps)
        if not 0 < regularisation < math.inf:
            raise InputError(f"regularisation {regularisation}: give a number > 0")
        self.net, self.engine = net, Batched()
        self.regularisation, self.solver_steps = regularisation, solver_steps
        rule = ProximalStep(regularisation)
        names = adapting(net, adapts)
        self.inner_loop = InnerLoop(names, inner_lr, adaptation_steps, shrinkage, True, loss_named(loss), rule)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on the query set, with the implicit gradient."""
        return torch.cat([self._losses(part) for part in few_parts(batch)]).mean()

    def _losses(self, batch: TaskBatch) -> Tensor:
        """Query losses (T,) of the tasks, each with its own implicit gradient."""
        net, how, names = self.net, self.inner_loop, self.inner_loop.names
        *_, end = self.engine.path(net, how, batch.task, batch.support, joined(batch).item)
        fast = settled(net, names, end)
        leaves = [fast[name].requires_grad_() for name in weights(names, end)]
        query = how.loss.of_tasks(score(net, fast, batch.task, batch.query.item), batch.query)
        support = how.loss.of_tasks(score(net, fast, batch.task, batch.support.item), batch.support, how.shrinkage)
        slope = gradient(query.sum(), leaves)
        inner = gradient(support.sum(), leaves, create_graph=True) / self.regularisation
        x = conjugate_gradients(lambda v: v + gradient((inner * v).sum(), leaves), slope, slope, self.solver_steps)
        shift = (inner * x).sum(dim=1)
        sizes = [leaf[0].numel() for leaf in leaves]
        pulls = [own.view_as(leaf) for own, leaf in zip(torch.split(x, sizes, dim=1), leaves, strict=True)]
        return query + pull(net, names, end, pulls) - (shift - shift.detach())

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps."""
        return adapt_detached(self.engine, self.net, self.inner_loop, task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return score(self.net, fast, task, item)


def gradient(loss: Tensor, leaves: Sequence[Tensor], create_graph: bool = False) -> Tensor:
    """The gradient of a sum over tasks in weights (T, ...), side by side, (T, P); its graph is kept."""
    found = torch.autograd.grad(
        loss, leaves, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten(1) for part in found], dim=1)


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, start: Tensor, steps: int) -> Tensor:
    """Solve A_i x_i = b_i for T tasks (Hestenes and Stiefel 1952).

    Args:
        product: maps (T, P) to the products with the tasks' symmetric matrices, (T, P).
        right: b, (T, P).
        start: where to begin, (T, P).
        steps: how many steps; P steps are exact, but for rounding.

    Returns:
        x, (T, P); of a task in whose direction A is not positive, what it was before that step.
    """
    x, residual = start, right - product(start)
    direction, size = residual, residual.square().sum(dim=1, keepdim=True)
    for _ in range(steps):
        image = product(direction)
        curvature = (direction * image).sum(dim=1, keepdim=True)
        going = (curvature > 0) & (size > 0)
        step = torch.where(going, size / curvature.where(going, 1.0), 0.0)
        x, residual = x + step * direction, residual - step * image
        before, size = size, residual.square().sum(dim=1, keepdim=True)
        direction = torch.where(going, residual + size / before.where(going, 1.0) * direction, direction)
    return x
