"""Whether differences between methods could be chance: a paired permutation test over users, and Holm's correction.

The test is conditional on the models that were trained: it asks whether other users could have turned the difference
round, not whether other seeds could. Three seeds against three have eight arrangements of signs, so that no test over
seeds could say more than p = .25; how much seeds matter is in the intervals of ``intervals``.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import permutation_test

FloatArray = npt.NDArray[np.float64]

RESAMPLES = 9_999
"""How many random signs a test draws."""

_SIGNS_AT_ONCE = 1_000_000
"""Users times resamples held in memory at a time: some 30 MB."""


def sign_flip_test(differences: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Two-sided p-value of each row: could its mean be 0?

    Were two methods alike, each user's difference could as well have the other sign. With random signs e_bu,

        p = 2 min(P(sum_u e_bu d_u <= sum_u d_u), P(sum_u e_bu d_u >= sum_u d_u)), at most 1,

    over all signs if these are no more than `resamples`, else over as many random ones, that of the data counted among
    them. The mean is tested, as the table prints it, and nothing is assumed of the differences' distribution (Fisher's
    randomisation test; Smucker, Allan and Carterette, CIKM 2007, compare it with others for retrieval).

    Args:
        differences: of R methods to a reference for U users, NaN: no value, (R, U) or (U,).
        resamples: how many random signs; p is 2 / (resamples + 1) or more.
        seed: of the signs, which all rows share.

    Returns:
        (R,); NaN for a row with fewer than two values.

    Raises:
        ValueError: the shape is another one.

    Example:
        >>> sign_flip_test([1.0, 2.0, 3.0, 4.0]).tolist()  # the data's signs and their opposite, of 16
        [0.125]
    """
    array = np.atleast_2d(np.asarray(differences, dtype=np.float64))
    if array.ndim != 2:
        raise ValueError(f"differences have shape {array.shape}; give (methods, users) or (users,)")
    few = (~np.isnan(array)).sum(axis=1) < 2
    if few.all():
        return np.full(len(array), np.nan)
    users = np.nan_to_num(array).T  # a missing difference is the same with either sign
    found = permutation_test(
        (np.ones(len(users)),),
        lambda signs, axis: signs @ users,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _SIGNS_AT_ONCE // len(users)),
        rng=np.random.default_rng(seed),
    )
    return np.where(few, np.nan, found.pvalue)


def holm(p: npt.ArrayLike) -> FloatArray:
    """P-values of m tests corrected so that the chance of any false finding stays below the level.

    Of the ascending p_(1) .. p_(m), the i-th becomes max_{j <= i} min(1, (m - j + 1) p_(j)) (Holm, Scandinavian Journal
    of Statistics 6, 1979). NaN stays NaN and is no test.

    Args:
        p: p-values, (R,).

    Example:
        >>> holm([0.01, 0.04, 0.03, float("nan")]).tolist()
        [0.03, 0.06, 0.06, nan]
    """
    from statsmodels.stats.multitest import multipletests  # loads slowly

    corrected = np.array(p, dtype=np.float64)
    if (found := ~np.isnan(corrected)).any():
        corrected[found] = multipletests(corrected[found], method="holm")[1]
    return corrected
