"""What methods share that encode items: widths of vectors, a multi-layer perceptron, an encoder of support sets."""

import itertools

import torch
from torch import Tensor, nn

from metarec.algorithms.losses import shares
from metarec.data.tasks import Rows
from metarec.errors import InputError, at_least
from metarec.nets.base import Net


def vector_widths(net: Net) -> tuple[int, int]:
    """Widths of a net's user and item vectors, as its encoder makes them.

    Raises:
        InputError: the net has no encoder.
    """
    if not hasattr(net, "encoder"):
        raise InputError(f"{type(net).__name__} encodes no users and items; give a net that does, such as NeuMF")
    with torch.no_grad():
        nobody = torch.zeros(1, dtype=torch.int64)
        encoded = net.encoder(nobody, nobody[:, None])
    return encoded.user.shape[-1], encoded.item.shape[-1]


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of these widths, the input's first, with a ReLU between each two of them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class SetEncoder(nn.Module):
    """Encodes the support set of each task: r = sum_s MLP([x_s, y_s]) / (S + shrinkage), with S its real rows.

    The sum makes the order of the rows and their padding irrelevant. An empty support set gives r = 0, as if its mean
    were that of pseudo-rows of value 0: with `shrinkage` the fewer rows there are, the nearer r stays to it.

    Args:
        width: of x.
        hidden: width of the MLP's hidden layer, >= 1.
        out: width of r, >= 1.
        shrinkage: number of pseudo-rows, >= 0; 0: the mean.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(self, width: int, hidden: int, out: int, shrinkage: float) -> None:
        super().__init__()
        at_least(1, hidden=hidden, width=out)
        at_least(0, shrinkage=shrinkage)
        self.row, self.shrinkage = mlp(width + 1, hidden, out), shrinkage

    def forward(self, vector: Tensor, value: Tensor, rows: Rows) -> Tensor:
        """Encode support sets.

        Args:
            vector: x, (T, S, D).
            value: y, (T, S).
            rows: the support rows, whose mask counts.

        Returns:
            r, (T, out).
        """
        encoded = self.row(torch.cat([vector, value.unsqueeze(2)], dim=2))
        return torch.bmm(shares(rows, self.shrinkage).unsqueeze(1), encoded).squeeze(1)
