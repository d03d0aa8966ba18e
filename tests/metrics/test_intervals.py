import doctest
import math
import subprocess
import sys
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.stats import bootstrap

from metarec.metrics import intervals
from metarec.metrics.intervals import Interval, described, mean_interval, mean_intervals, paired_interval


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


def test_pairs_of_different_users_or_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users and a reference of 2"):
        paired_interval([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="of 2 and 1 seeds"):
        paired_interval(np.ones((2, 3)), np.ones(3))


def test_what_a_seed_does_to_both_methods_cancels() -> None:
    random = np.random.default_rng(13)
    shared = random.normal(size=(3, 1)) + random.normal(size=100)
    found = paired_interval(shared + 0.1 + 0.01 * random.normal(size=(3, 100)), shared)
    assert 0.09 < found.low < found.high < 0.11


def test_a_user_who_lacks_a_value_in_one_seed_has_none() -> None:
    seeds = np.array([[1.0, 4.0, np.nan, np.nan], [3.0, 4.0, 8.0, np.nan]])
    found = mean_interval(seeds)
    assert (found.mean, found.tasks, found.missing) == (3.0, 2, 2)
    assert found == mean_interval(seeds[:, :2])._replace(missing=2)
    assert paired_interval(seeds, np.zeros((2, 4))) == found


def test_draws_of_users_and_seeds_in_plain_loops() -> None:
    """The generator's numbers first choose the users of all draws, then their seeds."""
    values = np.random.default_rng(7).normal(size=(3, 6)) + np.array([[0.0], [0.5], [1.5]])
    random = np.random.default_rng(11)
    users, seeds = random.integers(0, 6, (200, 6)), random.integers(0, 3, (200, 3))
    means = []
    for draw in range(200):
        total = 0.0
        for seed in seeds[draw]:
            for user in users[draw]:
                total += values[seed, user]
        means.append(total / 18)
    found = mean_interval(values, resamples=200, seed=11, level=0.9)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [5, 95])), abs=1e-12)


def test_of_one_seed_it_is_the_bootstrap_over_users() -> None:
    users = np.random.default_rng(8).normal(size=70)
    expected = bootstrap(
        (users,), np.mean, n_resamples=999, method="percentile", batch=50, rng=np.random.default_rng(3)
    ).confidence_interval
    for values in (users, users[None], np.repeat(users[None], 4, axis=0)[:1]):
        found = mean_interval(values, resamples=999, seed=3)
        assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)


def test_it_is_as_wide_as_users_seeds_and_their_interplay_say() -> None:
    """The variance of a draw's mean in closed form, for values = seed's effect + user's effect + rest."""
    random = np.random.default_rng(9)
    values = random.normal(size=400) + np.array([[-0.3], [0.0], [0.1], [0.3]]) + random.normal(size=(4, 400))
    seed, user = values.mean(axis=1) - values.mean(), values.mean(axis=0) - values.mean()
    rest = values - values.mean() - seed[:, None] - user
    variance = (seed**2).sum() / 4**2 + (user**2).sum() / 400**2 + (rest**2).sum() / 1600**2
    assert width(mean_interval(values)) == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.05)
    assert width(mean_interval(values)) > 2 * width(mean_interval(values.mean(axis=0)))


def test_more_seeds_are_not_more_users() -> None:
    users = np.random.default_rng(10).normal(size=60)
    one, many = mean_interval(users), mean_interval(np.repeat(users[None], 9, axis=0))
    assert width(many) == pytest.approx(width(one), rel=0.03)


def test_of_one_user_the_seeds_are_drawn() -> None:
    assert mean_interval([[1.0], [2.0], [6.0]])[:3] == mean_interval([1.0, 2.0, 6.0])[:3]
    assert mean_interval([[1.0], [2.0], [6.0]]).tasks == 1


def test_cells_together_are_the_cells_alone() -> None:
    random = np.random.default_rng(12)
    cells = [random.normal(size=(3, 40)), random.normal(size=(3, 40)), random.normal(size=40), np.ones((3, 40))]
    cells[1][0, 5] = np.nan
    cells += [cells[1] + 1, np.full((3, 40), np.nan), random.normal(size=(2, 40)), cells[0] * 2]
    together = mean_intervals(cells, resamples=500, seed=4)
    for found, cell in zip(together, cells, strict=True):
        assert found == pytest.approx(mean_interval(cell, resamples=500, seed=4), abs=1e-12, nan_ok=True)
    assert mean_intervals([]) == []


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


def test_captions_name_the_seeds_where_there_are_several() -> None:
    assert described(1) == "the 95 % bootstrap interval over users"
    assert described(3) == "the 95 % bootstrap interval over users and model seeds, both drawn anew each time"


def test_reading_results_does_not_import_torch() -> None:
    code = "import sys, metarec.metrics.intervals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
