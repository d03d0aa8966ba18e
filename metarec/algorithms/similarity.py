"""What ratings say of which items, or users, are alike: biases, what they leave, cosines, the nearest."""

import torch
from torch import Tensor

from metarec.data.tasks import PackedTasks
from metarec.errors import InputError

MOST = 10**9
"""Most entries of a dense table; 4 GB in single precision."""

TIED = 1 - 1e-5
"""A neighbour whose similarity is this part of the k-th's or more is as near as that: rounding must not choose."""


def shrunk_mean(group: Tensor, value: Tensor, groups: int, shrinkage: float) -> Tensor:
    """Sum of the values of each group over their number plus `shrinkage`; 0 for an empty group.

    Args:
        group: group of each value, shape (N,).
        value: values, shape (N,).
        groups: number of groups.
        shrinkage: pseudo-values of 0 in each group.
    """
    total = torch.zeros(groups, dtype=value.dtype).index_add(0, group, value)
    count = torch.bincount(group, minlength=groups)
    return total / (count + shrinkage).clamp(min=1e-9)


def fitted_item_bias(
    train: PackedTasks, items: int, item_shrinkage: float, user_shrinkage: float, sweeps: int = 10
) -> Tensor:
    """Item biases (items,), fitted in turn with user biases to what the mean leaves of the training ratings.

    Args:
        train: training tasks.
        items: number of items.
        item_shrinkage: pseudo-ratings at the mean that each item is given, >= 0.
        user_shrinkage: pseudo-ratings at the mean that each user is given, >= 0.
        sweeps: how often both are fitted in turn, >= 1.
    """
    users = len(train.task)
    user = torch.repeat_interleave(torch.arange(users), train.lengths)
    deviation = train.rating - train.rating.mean()
    user_bias = torch.zeros(users)
    for _ in range(sweeps):
        item_bias = shrunk_mean(train.item, deviation - user_bias[user], items, item_shrinkage)
        user_bias = shrunk_mean(user, deviation - item_bias[train.item], users, user_shrinkage)
    return item_bias


def residuals(train: PackedTasks, item_bias: Tensor, user_shrinkage: float) -> PackedTasks:
    """The training tasks with what mean, item biases (items,) and user biases leave of each rating in its place."""
    users = len(train.task)
    user = torch.repeat_interleave(torch.arange(users), train.lengths)
    left = train.rating - train.rating.mean() - item_bias[train.item]
    return train._replace(rating=left - shrunk_mean(user, left, users, user_shrinkage)[user])


def require_room(rows: int, columns: int, which: str) -> None:
    """Refuse tables that no ordinary machine can hold.

    Raises:
        InputError: there are more than `MOST` entries.
    """
    if rows * columns > MOST:
        raise InputError(
            f"a table of {rows} x {columns} {which} would hold more than {MOST} entries; "
            "raise the data's min_ratings or use another baseline"
        )


def dense(train: PackedTasks, row: Tensor, rows: int, items: int) -> tuple[Tensor, Tensor]:
    """Residuals of the training ratings and whether there is one, both (rows, items) and 0 elsewhere.

    Args:
        train: training tasks; their ratings are residuals.
        row: row of each task, (T,).
        rows: number of rows.
        items: number of items.
    """
    place = torch.repeat_interleave(row, train.lengths), train.item
    residual, rated = train.rating.new_zeros(2, rows, items).unbind()
    residual[place], rated[place] = train.rating, 1.0
    return residual, rated


def shrunk_cosine(product: Tensor, first: Tensor, second: Tensor, count: Tensor, shrinkage: float) -> Tensor:
    """Cosines from sums over common columns: of products, of both sides' squares, of ones; all of one shape."""
    norms = first.sqrt() * second.sqrt()
    return product / norms.clamp(min=1e-9) * (count / (count + shrinkage).clamp(min=1e-9))


def nearest(similarity: Tensor, neighbours: int) -> Tensor:
    """The similarities (..., N), but 0 for all below the k largest in magnitude; those that tie with the k-th stay."""
    size = similarity.abs()
    last = size.topk(min(neighbours, size.shape[-1]), dim=-1).values[..., -1:]
    return similarity.masked_fill(size < last * TIED, 0.0)


def weighted_mean(weight: Tensor, value: Tensor, regularisation: float) -> Tensor:
    """Sum over the last dimension of weight x value, over that of |weight| plus the regularisation."""
    return (weight * value).sum(dim=-1) / (weight.abs().sum(dim=-1) + regularisation).clamp(min=1e-9)
