"""Update rules: what an inner step does with the gradients. All are learn2learn's, and all take stacked weights."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metarec.algorithms.learn2learn import learn2learn
from metarec.errors import InputError


class UpdateRule(nn.Module):
    """Makes the learn2learn learner that clones and updates an inner loop's weights; holds what it learns itself.

    Attributes:
        by_row: whether rows of a table are updated each on their own, so that rows not in use can be left out.
    """

    by_row: bool = False

    def __init__(self, parameters: Sequence[Tensor] = (), inner_lr: float = 0.0) -> None:
        super().__init__()
        if type(self) is UpdateRule:
            kinds = "GradientStep, MetaSGD, Kronecker or MetaCurvature"
            raise InputError(f"update_rule UpdateRule: give one of its kinds: {kinds}")

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """A learner around the weights, with ``clone()`` and ``adapt(loss)``."""
        raise NotImplementedError

    def learned_rates(self, inner_lr: float) -> list[Tensor]:
        """What is learned of step sizes, for people to look at: a tensor for each parameter that adapts.

        The rate of an element is how far a step moves it against a gradient of 1 in itself and 0 elsewhere.

        Args:
            inner_lr: step size of the inner loop.

        Returns:
            The rates; empty where no rate is learned.
        """
        return []


class GradientStep(UpdateRule):
    """theta - inner_lr * gradient: MAML (Finn et al., ICML 2017, arXiv 1703.03400)."""

    by_row = True

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `MAML`."""
        return learn2learn("algorithms.maml").MAML(weights, lr=inner_lr, first_order=first_order, allow_unused=True)


class MetaSGD(UpdateRule):
    """theta - rate * gradient, with a learned rate for each element (Li et al. 2017, arXiv 1707.09835).

    Args:
        parameters: what adapts.
        inner_lr: what the rates start from.
    """

    def __init__(self, parameters: Sequence[Tensor], inner_lr: float) -> None:
        super().__init__()
        self.rates = nn.ParameterList(
            nn.Parameter(parameter.new_full(parameter.shape, inner_lr)) for parameter in parameters
        )

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `MetaSGD`; `inner_lr` was the start and counts no more."""
        return learn2learn("algorithms.meta_sgd").MetaSGD(weights, first_order=first_order, lrs=self.rates)

    def learned_rates(self, inner_lr: float) -> list[Tensor]:
        """One for each element."""
        return list(self.rates)


class Kronecker(UpdateRule):
    """theta - inner_lr * L gradient R with learned L and R (Arnold et al., AISTATS 2021, arXiv 1910.13603).

    learn2learn's `KroneckerTransform` of `KroneckerLinear`: for a matrix of shape (n, m), L = A'A and R = B'B with
    learned A (n, n) and B (m, m), the identity at first, so that both are positive semi-definite: no step goes against
    the gradient. A vector is a matrix of one column.

    Args:
        parameters: what adapts.
        inner_lr: step size; unused here.
    """

    def __init__(self, parameters: Sequence[Tensor], inner_lr: float) -> None:
        super().__init__()
        transform = learn2learn("optim").KroneckerTransform(learn2learn("nn").KroneckerLinear)
        self.update = learn2learn("optim").ParameterUpdate(parameters, transform)

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `GBML`."""
        return transformed(weights, inner_lr, first_order, self.update)

    def learned_rates(self, inner_lr: float) -> list[Tensor]:
        """inner_lr * diag(L) diag(R)', of a matrix's shape; diag(A'A) are the squared lengths of A's columns."""
        sides = [(module.transform.left, module.transform.right) for module in self.update.transforms_modules]
        return [inner_lr * torch.outer(left.square().sum(0), right.square().sum(0)) for left, right in sides]


class MetaCurvature(UpdateRule):
    """theta - inner_lr * M gradient N of a matrix, with learned M and N.

    From Park and Oliva, NeurIPS 2019, arXiv 1902.03356. learn2learn's `MetaCurvatureTransform`, the identity at
    first: square matrices for both sides of a dense layer or a table, a factor for each element of a vector. Unlike
    `Kronecker`, the matrices are free: they may turn a gradient.

    Args:
        parameters: what adapts.
        inner_lr: step size; unused here.
    """

    def __init__(self, parameters: Sequence[Tensor], inner_lr: float) -> None:
        super().__init__()
        transform = learn2learn("optim.transforms").MetaCurvatureTransform
        self.update = learn2learn("optim").ParameterUpdate(parameters, transform)

    def learner(self, weights: nn.Module, inner_lr: float, first_order: bool) -> Any:
        """learn2learn's `GBML`."""
        return transformed(weights, inner_lr, first_order, self.update)

    def learned_rates(self, inner_lr: float) -> list[Tensor]:
        """inner_lr * diag(M) diag(N)' of a matrix, inner_lr times the factor of a vector's element."""
        modules = self.update.transforms_modules
        own = (m.mc if m.dim == 1 else torch.outer(m.mc_in.diagonal(), m.mc_out.diagonal()) for m in modules)
        return [inner_lr * factor for factor in own]


class Updates(nn.Module):
    """What a step subtracts, made of gradients and weights; a copy by learn2learn keeps its own plain attributes."""

    def made_of(self, gradients: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor | None]:
        """An update for each weight, before it is multiplied by the step size; null: it stays."""
        raise NotImplementedError

    def forward(
        self,
        loss: Tensor,
        weights: Iterable[Tensor],
        create_graph: bool = False,
        retain_graph: bool = False,
        allow_unused: bool = False,
        allow_nograd: bool = False,
    ) -> list[Tensor | None]:
        """The updates, for learn2learn's `GBML`, in the form of its `ParameterUpdate`."""
        own = list(weights)
        found = torch.autograd.grad(loss, own, None, retain_graph, create_graph, allow_unused=allow_unused)
        return self.made_of(found, own)


def transformed(weights: nn.Module, inner_lr: float, first_order: bool, update: nn.Module) -> Any:
    """learn2learn's `GBML`, whose step is `inner_lr` times what `update` makes of the gradients.

    Args:
        weights: what adapts.
        inner_lr: step size.
        first_order: whether gradients count as constants.
        update: learn2learn's `ParameterUpdate`, or `Updates`.
    """
    gbml = learn2learn("algorithms.gbml").GBML
    return gbml(weights, None, lr=inner_lr, first_order=first_order, allow_unused=True, compute_update=update)


MakeRule = Callable[[Sequence[Tensor], float], UpdateRule]
"""Makes a rule from the parameters that adapt and `inner_lr`."""
