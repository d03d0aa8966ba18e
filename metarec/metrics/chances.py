"""How likely it is that so many of a kind are drawn, in closed form: what ties by expectation come down to."""

import torch
from torch import Tensor


def log_ways(total: Tensor, chosen: Tensor) -> Tensor:
    """Logarithm of the number of ways to choose some out of a total, minus infinity where there is none; float64."""
    there = (chosen >= 0) & (chosen <= total)
    n, k = total.clamp(min=0).double(), torch.where(there, chosen, 0).double()
    ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp(min=0) + 1)
    return ways.masked_fill(~there, -torch.inf)


def drawn(kinds: tuple[Tensor, ...], counts: tuple[Tensor, ...], total: Tensor, draws: Tensor) -> Tensor:
    """Probability that draws without replacement hold exactly these counts of some kinds; all arguments broadcast.

    prod_i C(n_i, c_i) C(t - sum n_i, j - sum c_i) / C(t, j), the multivariate hypergeometric distribution.

    Args:
        kinds: how many there are of each kind, n_i.
        counts: how many of each are drawn, c_i.
        total: how many there are of all kinds, t.
        draws: how many are drawn, j <= t.
    """
    others, rest = total - sum(kinds), draws - sum(counts)
    ways = sum(log_ways(kind, count) for kind, count in zip(kinds, counts, strict=True))
    return (ways + log_ways(others, rest) - log_ways(total, draws)).exp()
