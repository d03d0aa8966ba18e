"""What the per-task metrics share: padding, what makes a task's value undefined, cut-offs, and places under ties."""

import torch
from torch import Tensor


def masked(prediction: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction and target in float64, 0 where they do not count, and which tasks are sound, (T,).

    Args:
        prediction: shape (T, Q).
        target: shape (T, Q).
        mask: False = padding, shape (T, Q), bool.

    Raises:
        ValueError: if the shapes differ, are not (T, Q), or the mask is not boolean.
    """
    shapes = tuple(prediction.shape), tuple(target.shape), tuple(mask.shape)
    if len(set(shapes)) != 1 or mask.dim() != 2:
        raise ValueError(f"prediction, target and mask have shapes {shapes}; all three must be the same (T, Q)")
    if mask.dtype != torch.bool:
        raise ValueError(f"mask has dtype {mask.dtype}; it must be torch.bool, with False for padding")
    finite = prediction.isfinite() & target.isfinite()
    keep = mask & finite
    sound = mask.any(1) & (keep == mask).all(1)
    zero = torch.zeros((), dtype=torch.float64, device=mask.device)
    return torch.where(keep, prediction.double(), zero), torch.where(keep, target.double(), zero), sound


def or_nan(valid: Tensor, value: Tensor) -> Tensor:
    """The value of each valid task, NaN elsewhere."""
    return value.masked_fill(~valid, torch.nan)


def standing(score: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows of its task stand above each row, and how many stand above it or are tied with it, (T, Q) each.

    A row's rank is one of ``above + 1 .. upto``, each equally likely where ties are broken at random. Padding stands
    below every row; what is said of padding itself means nothing.

    Args:
        score: finite scores, (T, Q).
        mask: False = padding, (T, Q).
    """
    # Ascending order of the negated scores puts the best row first and padding last.
    negated = (-score).masked_fill(~mask, torch.inf)
    ordered, order = negated.sort(1)
    if not ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] < torch.inf)).any():  # no ties: places are ranks
        place = torch.arange(score.shape[1], device=score.device).expand_as(order)
        above = torch.empty_like(order).scatter_(1, order, place)
        return above, above + 1
    return torch.searchsorted(ordered, negated), torch.searchsorted(ordered, negated, right=True)


def check_k(k: int) -> None:
    """Refuse a cut-off that is none.

    Raises:
        ValueError: if k is not an integer >= 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"got k={k!r}; k is the number of ranks that count: give an integer of at least 1")
