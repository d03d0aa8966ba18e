"""Feature-wise modulation of a layer by what is known of the task, and how tasks are told apart for it."""

from typing import Literal

import torch
from torch import Tensor, distributed, nn

from metarec.errors import InputError, at_least
from metarec.messages import one_of

ModulationName = Literal["film", "gating_film"]


class FiLM(nn.Module):
    """gamma * h + beta, with gamma = tanh(G o) and beta = tanh(B o) of a task embedding o (Perez et al., AAAI 2018).

    Args:
        embedding: width of o.
        width: of the layer h that is modulated.
    """

    def __init__(self, embedding: int, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Linear(embedding, width, bias=False) for _ in range(2))

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Modulate h (T, R, width) by o (T, embedding)."""
        gamma, beta = torch.tanh(self.gamma(embedding)), torch.tanh(self.beta(embedding))
        return hidden * gamma.unsqueeze(1) + beta.unsqueeze(1)


class GatingFiLM(nn.Module):
    """FiLM whose gamma and beta are each mixed with a third vector by a gate (Lin et al., WWW 2021).

    With eta = tanh(E o) and delta = sigmoid(D o): (gamma delta + eta (1 - delta)) * h + beta delta + eta (1 - delta).

    Args:
        embedding: width of o.
        width: of the layer h that is modulated.
    """

    def __init__(self, embedding: int, width: int) -> None:
        super().__init__()
        self.gamma, self.beta, self.eta, self.delta = (nn.Linear(embedding, width, bias=False) for _ in range(4))

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Modulate h (T, R, width) by o (T, embedding)."""
        gamma, beta, eta = (torch.tanh(layer(embedding)) for layer in (self.gamma, self.beta, self.eta))
        delta = torch.sigmoid(self.delta(embedding))
        added = eta * (1 - delta)
        return hidden * (gamma * delta + added).unsqueeze(1) + (beta * delta + added).unsqueeze(1)


def modulation_named(name: str) -> type[FiLM] | type[GatingFiLM]:
    """The modulation of that name.

    Raises:
        InputError: there is none.
    """
    known: dict[str, type[FiLM] | type[GatingFiLM]] = {"film": FiLM, "gating_film": GatingFiLM}
    return one_of("modulation", name, known)


class TaskPool(nn.Module):
    """Soft clusters of task embeddings, around K learned centroids a_k.

    A task belongs to cluster k by Student's t: c_k ~ (1 + |o - a_k|^2 / temperature)^(-(temperature + 1) / 2), with
    the c_k of a task summing to 1.

    Args:
        clusters: K, >= 1.
        width: of o.
        temperature: degrees of freedom, > 0.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(self, clusters: int, width: int, temperature: float) -> None:
        super().__init__()
        at_least(1, clusters=clusters)
        if not temperature > 0:
            raise InputError(f"temperature {temperature}: give a number > 0")
        self.temperature = temperature
        self.centroid = nn.Parameter(nn.init.xavier_uniform_(torch.empty(clusters, width)))

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Shares c (T, K) of embeddings (T, width), and each embedding with its mean centroid sum_k c_k a_k added."""
        distance = (embedding.unsqueeze(1) - self.centroid).square().sum(dim=2)
        share = (-(self.temperature + 1) / 2 * torch.log1p(distance / self.temperature)).softmax(dim=1)
        return share, embedding + share @ self.centroid


def sharpening(share: Tensor, everywhere: bool = False) -> Tensor:
    """How far the shares (T, K) of T tasks are from sharper and more even ones, a scalar >= 0.

    The mean over tasks of KL(d || c), where d_ik ~ c_ik^2 / sum_i c_ik, which sums to 1 in each task, counts as
    constant (Xie et al., ICML 2016, arXiv 1511.06335).

    Args:
        share: c, each > 0.
        everywhere: whether sum_i goes over the tasks of all processes, where there are several; then each of them must
            call this. As d is constant, the mean of equally many tasks' gradients in each is that of one process.
    """
    own = share.detach()
    total = own.sum(dim=0)
    if everywhere and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
    target = own.square() / total
    target = target / target.sum(dim=1, keepdim=True)
    return (target * (target / share).log()).sum(dim=1).mean()
