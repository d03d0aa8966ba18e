"""Attributes of which a row has a few values out of many, as lists of codes filled up with 0: see `FeatureTable.lists`.

The values of a list count 1/n each, as those of a multi-hot attribute do, at the cost of the list, not of all values.
"""

import torch
from torch import Tensor


def shares(codes: Tensor, dtype: torch.dtype) -> Tensor:
    """What each entry of lists (T, R, L) counts, (T, R, L): 1/n for one of n values, 0 where a list is filled up."""
    there = (codes > 0).to(dtype)
    return there / there.sum(dim=-1, keepdim=True).clamp(min=1)


def pooled(share: Tensor, vectors: Tensor) -> Tensor:
    """The sum (T, R, D) of the vectors (T, R * L, D) of lists' entries, each times its share (T, R, L)."""
    return (share.unsqueeze(-1) * vectors.reshape(*share.shape, vectors.shape[-1])).sum(dim=-2)


def overlap(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> Tensor:
    """What lists (T, Q, L) have in common with lists (T, S, L), (T, Q, S).

    The inner product of what each of two lists takes of the table: the sum over values that both have of the product of
    their shares.
    """
    share, other = shares(ours, dtype), shares(theirs, dtype).unsqueeze(1)
    total = torch.zeros(*ours.shape[:2], theirs.shape[1], dtype=dtype, device=ours.device)
    for code, own in zip(ours.unbind(-1), share.unbind(-1), strict=True):
        same = (code[:, :, None, None] == theirs.unsqueeze(1)).to(dtype)
        total += own.unsqueeze(-1) * (same * other).sum(dim=-1)
    return total
