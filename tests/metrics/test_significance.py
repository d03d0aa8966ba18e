import doctest
import itertools
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from metarec.metrics import significance
from metarec.metrics.significance import holm, sign_flip_test


def test_doc_examples() -> None:
    result = doctest.testmod(significance)
    assert result.attempted >= 2
    assert result.failed == 0


def test_all_signs_of_few_users_one_by_one() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, (3, 7))
    expected = []
    for row in differences:
        sums = [sum(sign * value for sign, value in zip(signs, row, strict=True))
                for signs in itertools.product((1, -1), repeat=7)]  # fmt: skip
        above = sum(value >= row.sum() - 1e-12 for value in sums) / len(sums)
        below = sum(value <= row.sum() + 1e-12 for value in sums) / len(sums)
        expected.append(min(1.0, 2 * min(above, below)))
    np.testing.assert_allclose(sign_flip_test(differences), expected)


def test_rows_together_are_scipys_test_of_each_row() -> None:
    """Same seed, same signs: the very p-values of `scipy.stats.permutation_test` on one row's differences."""
    differences = np.random.default_rng(1).normal(0.1, 1, (4, 80)) * [[1], [2], [0.5], [1]]
    alone = [
        permutation_test(
            (row,), np.mean, permutation_type="samples", n_resamples=999, batch=100, rng=np.random.default_rng(5)
        ).pvalue
        for row in differences
    ]
    np.testing.assert_allclose(sign_flip_test(differences, resamples=999, seed=5), alone)


def test_users_without_a_difference_do_not_count() -> None:
    row = np.array([0.5, 0.3, -0.1, 0.4, 0.2])
    gaps = np.array([0.5, np.nan, 0.3, -0.1, np.nan, 0.4, 0.2])
    [p] = sign_flip_test(gaps)
    assert p == pytest.approx(sign_flip_test(row)[0])
    nothing, one, full = sign_flip_test([[np.nan] * 3, [1.0, np.nan, np.nan], [1.0, 2.0, 3.0]])
    assert np.isnan([nothing, one]).all()
    assert full == pytest.approx(0.25)
    assert np.isnan(sign_flip_test(np.full((2, 4), np.nan))).all()


def test_equal_methods_are_not_told_apart() -> None:
    assert sign_flip_test(np.zeros((1, 30))).tolist() == [1.0]


def test_a_true_null_is_rejected_as_often_as_it_says() -> None:
    p = sign_flip_test(np.random.default_rng(2).normal(size=(400, 40)) ** 3, resamples=999)
    assert 0.03 <= np.mean(p <= 0.05) <= 0.08


def test_the_smallest_p_value() -> None:
    assert sign_flip_test(np.ones((1, 60)), resamples=199).tolist() == [2 / 200]


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        sign_flip_test(np.zeros((2, 2, 2)))


def test_holm_by_hand() -> None:
    # 4 tests: .01 x 4, then max(.04, .02 x 3), max(.06, .03 x 2), max(.06, .5 x 1)
    np.testing.assert_allclose(holm([0.5, 0.02, 0.01, 0.03]), [0.5, 0.06, 0.04, 0.06])
    np.testing.assert_allclose(holm([0.4, 0.6]), [0.8, 0.8])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    values, corrected = np.array(p), holm(p)
    assert (corrected >= values).all()
    assert (corrected <= np.minimum(1, len(p) * values) + 1e-15).all()
    assert (np.diff(corrected[np.argsort(values)]) >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    with patch("gc.collect"):  # a second in a process of thousands of tests, in every call
        np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])
