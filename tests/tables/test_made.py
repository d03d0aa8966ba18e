"""The table of run folders against plain numpy."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from metarec import report
from metarec.experiment import Method
from metarec.metrics.intervals import mean_interval
from metarec.tables.made import is_trivial, made
from metarec.tables.published import Printed
from metarec.tables.table import Cell, Table
from tests.folders import EXPERIMENT, column, write_runs

FIGURES = {"maml": {"mae": Printed("Lee et al., KDD 2019", "Table 2", "MeLU-5", Cell(0.7854, digits=4))}}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_runs(tmp_path)


def table_of(results: Path, **changes: object) -> Table:
    plan = dataclasses.replace(EXPERIMENT, **changes)
    return made(plan, report.finished(plan, results), FIGURES, "small")


def cell(table: Table, method: str, name: str) -> Cell:
    [row] = [row for row in table.rows if row.method == method]
    return row.cells[name]


def shift(results: Path, method: str, name: str, by: object, seeds: tuple[int, ...] = (0, 1)) -> None:
    """Add to a column of a method's runs."""
    for seed in seeds:
        path = results / method / f"seed-{seed}" / "per_task.parquet"
        table = pd.read_parquet(path)
        table.assign(**{name: table[name] + by}).to_parquet(path)


def test_trivial_rows_stand_on_top_and_the_rest_as_in_the_file(results: Path) -> None:
    assert [(row.method, row.trivial) for row in table_of(results).rows] == [
        *[("bias", True), ("maml", False), ("tuned", False)]
    ]


@pytest.mark.parametrize(
    ("layers", "trivial"),
    [
        (["configs/baseline/random.yaml"], True),
        (["configs/baseline/popularity.yaml"], True),
        (["configs/baseline/global_mean.yaml"], True),
        (["configs/baseline/item_mean.yaml"], True),
        (["configs/baseline/item_knn.yaml"], False),
        (["configs/baseline/als_median.yaml"], False),
        (["configs/net/neumf.yaml", "configs/algorithm/maml.yaml"], False),
        (["configs/baseline/random.yaml", "configs/algorithm/maml.yaml"], False),
        (["configs/algorithm/maml.yaml", "configs/baseline/random.yaml", "configs/base.yaml"], True),
        ([], False),
    ],
)
def test_what_is_trivial(layers: list[str], trivial: bool) -> None:
    assert is_trivial(Method(layers=layers)) is trivial


def test_means_and_gains(results: Path) -> None:
    table = table_of(results)
    adapted, zero = column(results, "maml", "adapted/mae"), column(results, "maml", "zero_shot/mae")
    found = cell(table, "maml", "mae")
    assert (found.mean, found.tasks, found.missing, found.seeds) == (pytest.approx(adapted.mean()), 50, 0, 2)
    assert (found.low, found.high) == pytest.approx(mean_interval(adapted)[1:3])
    assert cell(table, "maml", "zero-shot mae").mean == pytest.approx(zero.mean())
    assert cell(table, "maml", "gain in mae").mean == pytest.approx(zero.mean() - adapted.mean())
    ndcg = column(results, "maml", "adapted/ndcg_exp@5") - column(results, "maml", "zero_shot/ndcg_exp@5")
    found = cell(table, "maml", "gain in ndcg_exp@5")
    assert (found.mean, found.tasks, found.missing) == (pytest.approx(np.nanmean(ndcg)), 49, 1)
    assert cell(table, "maml", "ms/user").mean == pytest.approx(1.0)
    assert cell(table, "tuned", "fit s") == Cell(23.0, digits=0, seeds=2)


def test_a_gain_that_is_rounding_is_none(results: Path) -> None:
    shift(results, "maml", "adapted/mae", 0.0)
    for seed in (0, 1):
        path = results / "maml" / f"seed-{seed}" / "per_task.parquet"
        table = pd.read_parquet(path)
        table.assign(**{"zero_shot/mae": table["adapted/mae"] + 1e-9}).to_parquet(path)
    assert cell(table_of(results), "maml", "gain in mae") == Cell()
    assert cell(table_of(results), "bias", "gain in mae").mean > 0.05


def test_differences_are_paired_by_user_and_seed(results: Path) -> None:
    table = table_of(results)
    pairs = column(results, "maml", "adapted/mae") - column(results, "bias", "adapted/mae")
    found = cell(table, "maml", "mae - bias")
    assert found.mean == pytest.approx(pairs.mean())
    assert (found.low, found.high) == pytest.approx(mean_interval(pairs)[1:3])
    assert found.high - found.low < (cell(table, "maml", "mae").high - cell(table, "maml", "mae").low) / 3
    assert cell(table, "bias", "mae - bias") == Cell()
    assert cell(table, "bias", "p (mae)") == Cell()


def test_pairs_are_of_the_seeds_that_both_have(results: Path) -> None:
    shift(results, "bias", "adapted/mae", 5.0, seeds=(0,))
    (results / "maml" / "seed-0" / "metrics.json").unlink()
    found = cell(table_of(results), "maml", "mae - bias")
    pairs = column(results, "maml", "adapted/mae")[1:] - column(results, "bias", "adapted/mae")[1:]
    assert (found.mean, found.seeds) == (pytest.approx(pairs.mean()), 1)
    (results / "bias" / "seed-1" / "metrics.json").unlink()
    found = cell(table_of(results), "maml", "mae - bias")
    assert found == Cell()
    assert cell(table_of(results), "maml", "p (mae)") == Cell()
    assert cell(table_of(results), "tuned", "mae - bias").seeds == 1


def test_p_values_are_corrected_for_the_rows_of_a_metric(results: Path) -> None:
    shift(results, "tuned", "adapted/mae", -0.0195)  # nearly the reference
    table = table_of(results)
    alone = []
    for method in ("maml", "tuned"):
        users = (column(results, method, "adapted/mae") - column(results, "bias", "adapted/mae")).mean(axis=0)
        alone.append(
            permutation_test(
                (users,), np.mean, permutation_type="samples", n_resamples=9_999, rng=np.random.default_rng(0)
            ).pvalue
        )
    assert alone[0] == pytest.approx(2e-4)
    assert alone[1] > 0.01
    assert cell(table, "maml", "p (mae)").mean == pytest.approx(2 * alone[0])
    assert cell(table, "tuned", "p (mae)").mean == pytest.approx(alone[1], abs=0.01)


def bold(table: Table, metric: str) -> list[str]:
    return [row.method for row in table.rows if row.cells[metric].bold]


def test_the_best_is_bold_where_it_is_apart_from_the_others(results: Path) -> None:
    table = table_of(results)
    assert bold(table, "mae") == ["maml"]
    assert bold(table, "ndcg_exp@5") == ["tuned"]  # larger is better
    assert cell(table, "maml", "mae").tasks == 50
    # the reference is .0002 from maml, its noise .0014
    shift(results, "bias", "adapted/mae", -0.0502)
    assert bold(table_of(results), "mae") == []


def test_the_best_is_not_bold_where_a_later_row_may_be_as_good(results: Path) -> None:
    """`tuned` is .03 behind and apart from the best; `bias` is farther behind, for half of the users far better."""
    shift(results, "tuned", "adapted/mae", -0.04)
    assert bold(table_of(results), "mae") == ["maml"]
    shift(results, "bias", "adapted/mae", np.tile([-0.3, 0.3], 25))
    table = table_of(results)
    means = {row.method: row.cells["mae"].mean for row in table.rows}
    assert sorted(means, key=means.__getitem__) == ["maml", "tuned", "bias"]
    assert bold(table, "mae") == []


def test_differences_of_rounding_are_none(results: Path) -> None:
    """One method's values are those of the reference but for what floats leave."""
    for seed in (0, 1):
        table = pd.read_parquet(results / "bias" / f"seed-{seed}" / "per_task.parquet")
        table["adapted/mae"] += 1e-8
        table.to_parquet(results / "tuned" / f"seed-{seed}" / "per_task.parquet")
    assert cell(table_of(results), "tuned", "p (mae)").mean == 1.0


def test_equal_methods_are_not_bold(results: Path) -> None:
    for seed in (0, 1):
        path = results / "bias" / f"seed-{seed}" / "per_task.parquet"
        best = pd.read_parquet(results / "maml" / f"seed-{seed}" / "per_task.parquet")
        best.to_parquet(path)
    assert bold(table_of(results), "mae") == []


def test_a_seed_that_is_lucky_is_not_bold(results: Path) -> None:
    """Users alone would tell the method's mean apart; that one seed is far better and one far worse, does not."""
    shift(results, "maml", "adapted/mae", +0.2, seeds=(0,))
    shift(results, "maml", "adapted/mae", -0.2, seeds=(1,))
    table = table_of(results)
    assert cell(table, "maml", "mae - bias").high > 0
    assert bold(table, "mae") == []


def test_the_better_on_all_seeds_that_is_worse_on_the_shared_ones_is_not_bold(results: Path) -> None:
    """`maml` owes its mean to a seed that `tuned` has not run; on the other one it is clearly worse."""
    shift(results, "maml", "adapted/mae", -0.9, seeds=(1,))
    shift(results, "tuned", "adapted/mae", -0.1, seeds=(0,))
    for file in (results / "tuned" / "seed-1").iterdir():
        file.unlink()
    table = table_of(results)
    assert cell(table, "maml", "mae").mean < cell(table, "tuned", "mae").mean
    assert bold(table, "mae") == []


def test_a_lone_method_is_not_bold(results: Path) -> None:
    plan = dataclasses.replace(EXPERIMENT, methods={"maml": Method()}, reference="maml")
    table = made(plan, report.finished(plan, results), {}, "small")
    assert bold(table, "mae") == []
    assert cell(table, "maml", "mae - maml") == Cell()


def test_printed_figures_stand_in_their_own_columns(results: Path) -> None:
    table = table_of(results)
    assert [column.name for column in table.shown] == [
        *("mae", "printed mae", "ndcg_exp@5", "gain in mae", "mae - bias", "p (mae)", "fit s", "ms/user")
    ]
    assert cell(table, "maml", "printed mae") == Cell(0.7854, digits=4)
    assert cell(table, "bias", "printed mae") == Cell()
    assert next(column for column in table.columns if column.name == "printed mae").empty == ""
    hidden = [column.name for column in table.columns if not column.shown]
    assert hidden == [
        *("gain in ndcg_exp@5", "ndcg_exp@5 - bias", "p (ndcg_exp@5)", "zero-shot mae", "zero-shot ndcg_exp@5")
    ]


def test_rows_that_ran_otherwise_are_named(results: Path) -> None:
    table = made(EXPERIMENT, report.finished(EXPERIMENT, results), {}, "small", odd=["maml", "tuned"])
    assert table.warnings == ["Not as the experiment file says now: maml, tuned."]
    assert table_of(results).warnings == []


COVERAGE = {"bias": (0.25, 0.25), "maml": (0.5, 0.6), "tuned": (0.4, 0.1)}
"""Adapted, with the two seeds; zero-shot it is a tenth less."""


@pytest.fixture
def covered(results: Path) -> Path:
    """The runs, with what the full catalogue adds to their means."""
    for method, values in COVERAGE.items():
        for seed, value in enumerate(values):
            path = results / method / f"seed-{seed}" / "metrics.json"
            means = {"test/adapted/coverage@10": value, "test/zero_shot/coverage@10": value - 0.1}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": means | {"test/adapted/mae": 9.0}}))
    return results


def test_a_metric_of_the_run_is_a_mean_over_seeds_without_an_interval(covered: Path) -> None:
    table = table_of(covered, metrics=["mae", "coverage@10", "ndcg_exp@5"])
    found = cell(table, "maml", "coverage@10")
    assert found == Cell(pytest.approx(0.55), seeds=2)
    assert cell(table, "maml", "zero-shot coverage@10").mean == pytest.approx(0.45)
    assert cell(table, "maml", "gain in coverage@10").mean == pytest.approx(0.1)
    assert cell(table, "maml", "coverage@10 - bias") == Cell(pytest.approx(0.3), seeds=2)
    assert cell(table, "maml", "p (coverage@10)") == cell(table, "bias", "coverage@10 - bias") == Cell()
    assert bold(table, "coverage@10") == []
    assert cell(table, "maml", "mae") == cell(table_of(covered), "maml", "mae")  # not the mean of metrics.json
    assert "Mean over 50 test tasks (ndcg_exp@5: 49) and 2 model seed(s)" in table.caption
    assert " coverage@10: one value a run, over all test users at once, hence no interval." in table.caption


def test_a_metric_of_the_run_may_come_first_or_alone(covered: Path) -> None:
    for metrics, over in ((["coverage@10", "mae"], "50 test tasks and 2 model"), (["coverage@10"], "2 model")):
        table = table_of(covered, metrics=metrics)
        assert f"Mean over {over} seed(s)" in table.caption
        assert cell(table, "tuned", "gain in coverage@10").mean == pytest.approx(0.1)


def test_a_metric_of_the_run_without_a_value_is_none(covered: Path) -> None:
    path = covered / "maml" / "seed-1" / "metrics.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"metrics": content["metrics"] | {"test/adapted/coverage@10": None}}))
    table = table_of(covered, metrics=["coverage@10"])
    assert cell(table, "maml", "coverage@10") == cell(table, "maml", "coverage@10 - bias") == Cell(seeds=2)
    assert cell(table, "tuned", "coverage@10").mean == pytest.approx(0.25)
