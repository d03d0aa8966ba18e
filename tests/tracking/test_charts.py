"""The gain by support size against plain pandas."""

import numpy as np
import pandas as pd
import pytest

from metarec.metrics.intervals import mean_interval
from metarec.tracking.charts import RESAMPLES, SIZES, gain_by_support, rate_histograms


def users(sizes: int, draws: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = 40 * sizes
    table = pd.DataFrame({"user": [f"u{row // draws}" for row in range(rows)]})
    table["support_size"] = 1 + (np.arange(rows) // draws) % sizes
    for name in ("mae", "auc"):
        table[f"zero_shot/{name}"], table[f"adapted/{name}"] = random.random((2, rows))
    table.loc[0, "adapted/mae"] = np.nan
    return table


@pytest.mark.parametrize(("metric", "sign"), [("mae", -1), ("auc", 1)])
def test_a_mean_a_size_over_users(metric: str, sign: int) -> None:
    table = users(4)
    found = gain_by_support(table, metric).set_index("support_size")
    table["gain"] = sign * (table[f"adapted/{metric}"] - table[f"zero_shot/{metric}"])
    assert list(found.index) == [1, 2, 3, 4]
    for size, part in table.sort_values("user").groupby("support_size"):
        interval = mean_interval(part["gain"].to_numpy(), resamples=RESAMPLES)
        row = found.loc[size]
        assert tuple(row[["mean", "low", "high"]]) == pytest.approx(interval[:3])
        assert row["users"] == part["gain"].notna().sum()


def test_draws_of_a_user_count_as_one() -> None:
    found = gain_by_support(users(2, draws=4), "auc")
    assert found["users"].tolist() == [10, 10]


def test_many_sizes_become_few_groups() -> None:
    table = users(37)
    found = gain_by_support(table, "auc")
    assert len(found) == SIZES
    assert found["users"].sum() == len(table)
    assert found["support_size"].is_monotonic_increasing
    assert found["users"].max() < 2 * found["users"].min()


def test_rates_that_are_not_finite_have_no_histogram() -> None:
    import torch

    rates = [torch.tensor([[1.0, 3.0]]), torch.tensor([float("inf")])]
    found = rate_histograms(["a.b", "c"], rates)
    assert set(found) == {"inner_lr/a/b", "inner_lr_mean/a/b"}
    assert found["inner_lr_mean/a/b"] == 2.0
    assert sum(found["inner_lr/a/b"].histogram) == 2
