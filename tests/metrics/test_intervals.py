import doctest
import math
import subprocess
import sys
import time
import tracemalloc
import warnings

import numpy as np
import pytest

from metarec.metrics import intervals
from metarec.metrics.intervals import Interval, mean_interval, paired_interval


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_doc_examples() -> None:
    result = doctest.testmod(intervals)
    assert result.attempted >= 2
    assert result.failed == 0


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    found = [mean_interval(random.normal(2, 1, 60), resamples=400, seed=run) for run in range(200)]
    assert 0.90 <= np.mean([each.low <= 2 <= each.high for each in found]) <= 0.99


def test_the_interval_is_as_wide_as_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(size=700)
    found = mean_interval(values)
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert width(found) == pytest.approx(2 * 1.96 * values.std() / math.sqrt(700), rel=0.05)
    assert width(mean_interval(values, level=0.99)) > width(found) > width(mean_interval(values, level=0.9))


def test_pairs_of_correlated_values_give_a_narrower_interval() -> None:
    random = np.random.default_rng(2)
    user = random.normal(size=300)
    left, right = user + 0.1 * random.normal(size=300) + 0.05, user + 0.1 * random.normal(size=300)
    paired = paired_interval(left, right)
    assert paired.mean == pytest.approx(np.mean(left - right), abs=1e-12)
    assert paired.low > 0
    assert width(paired) < 0.2 * width(mean_interval(left))


def test_pairs_are_the_users_that_both_have() -> None:
    found = paired_interval([1.0, np.nan, 5.0, 7.0], [0.0, 2.0, np.nan, 4.0])
    assert (found.mean, found.tasks, found.missing) == (2, 2, 2)
    assert paired_interval([5.0, 1.0, 4.0], [5.0, 1.0, 4.0]) == Interval(0, 0, 0, 3, 0)


def test_pairs_of_different_users_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users and a reference of 2"):
        paired_interval([1.0, 2.0, 3.0], [1.0, 2.0])


def test_a_user_is_averaged_over_the_seeds_that_have_a_value() -> None:
    seeds = np.array([[1.0, 4.0, np.nan, np.nan], [3.0, 4.0, 8.0, np.nan]])
    assert mean_interval(seeds) == mean_interval([2.0, 4.0, np.nan, np.nan])
    assert paired_interval(seeds, np.zeros((5, 4))) == mean_interval(seeds)
    # More seeds are not more users: repeating them must not narrow anything.
    assert mean_interval(np.repeat(seeds, 9, axis=0)) == pytest.approx(mean_interval(seeds), abs=1e-12)


def test_equal_seed_equal_interval() -> None:
    values = np.random.default_rng(3).normal(size=50)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    mean_interval(values)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_without_spread_the_interval_is_a_point_and_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval([0.3]) == Interval(0.3, 0.3, 0.3, 1, 0)
        assert mean_interval([0.3] * 7 + [np.nan]) == Interval(0.3, 0.3, 0.3, 7, 1)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], np.empty((3, 0)), np.empty((0, 2))])
def test_no_user_gives_nan(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mean_interval(values)
    assert np.isnan(found[:3]).all()
    assert (found.tasks, found.missing) == (0, np.shape(values)[-1])


@pytest.mark.parametrize(
    ("values", "options", "match"),
    [
        ([1.0, np.inf], {}, "infinite"),
        (np.zeros((2, 2, 2)), {}, "shape"),
        (3.0, {}, "shape"),
        ([1.0, 2.0], {"level": 95}, r"0\.95"),
        ([1.0, 2.0], {"resamples": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(values: object, options: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mean_interval(values, **options)  # type: ignore[arg-type]


def test_a_table_cell_is_quick() -> None:
    values = np.random.default_rng(4).normal(size=(5, 700))
    start = time.perf_counter()
    mean_interval(values)
    assert time.perf_counter() - start < 1


def test_memory_is_bounded() -> None:
    values = np.random.default_rng(5).normal(size=100_000)
    tracemalloc.start()
    mean_interval(values, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # all resamples at once would take 80 MB


def test_reading_results_does_not_import_torch() -> None:
    code = "import sys, metarec.metrics.intervals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
