import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metarec import cli, report
from metarec.errors import InputError
from metarec.experiment import Experiment, Method, load

EXPERIMENT = Experiment(
    shows="A small table.",
    layers=[],
    reference="bias",
    metrics=["mae", "ndcg_exp@5"],
    methods={"bias": Method(), "tuned": Method(weights_from="maml"), "maml": Method(), "absent": Method()},
    seeds=[0, 1],
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Runs of three methods with two seeds on 50 synthetic users."""
    random = np.random.default_rng(0)
    hard = random.normal(0.8, 0.1, 50)
    for method, shift in (("bias", 0.0), ("maml", -0.05), ("tuned", 0.02)):
        for seed in (0, 1):
            folder = tmp_path / method / f"seed-{seed}"
            folder.mkdir(parents=True)
            table = pd.DataFrame(
                {"user": [f"u{number}" for number in range(50)], "seconds": 0.001, "support_size": 5, "query_size": 9}
            )
            for metric in EXPERIMENT.metrics:
                table[f"adapted/{metric}"] = hard + shift + random.normal(0, 0.01, 50)
                table[f"zero_shot/{metric}"] = hard + 0.1
            table.loc[3, "adapted/ndcg_exp@5"] = np.nan
            table.to_parquet(folder / "per_task.parquet")
            (folder / "metrics.json").write_text(
                json.dumps(
                    {
                        "fit_seconds": 0.0 if method == "bias" else 10.0 + seed,
                        "select_seconds": 2.0 if method == "tuned" else 0.0,
                        "data": {"digest": "d"},
                        "split": {"digest": "s"},
                    }
                )
            )
    return tmp_path


def pick(rows: list[dict], method: str, metric: str) -> dict:
    [row] = [row for row in rows if row["method"] == method and row["metric"] == metric]
    return row


def test_records(results: Path) -> None:
    rows = report.records(EXPERIMENT, results)
    assert {row["method"] for row in rows} == {"bias", "maml", "tuned"}
    assert all(set(row) == set(report.FIELDS) for row in rows)
    mae = pick(rows, "maml", "mae")
    runs = [pd.read_parquet(results / "maml" / f"seed-{seed}" / "per_task.parquet")["adapted/mae"] for seed in (0, 1)]
    assert mae["mean"] == pytest.approx(np.mean(runs))
    assert mae["low"] < mae["mean"] < mae["high"]
    assert (mae["tasks"], mae["seeds"], mae["missing"]) == (50, 2, 0)
    assert mae["difference"] == pytest.approx(-0.05, abs=0.01)
    assert mae["difference_low"] < mae["difference"] < mae["difference_high"] < 0
    assert mae["difference_high"] - mae["difference_low"] < (mae["high"] - mae["low"]) / 3
    assert pick(rows, "bias", "mae")["difference"] is None
    assert pick(rows, "maml", "ndcg_exp@5")["missing"] == 1


def test_a_user_is_one_user_however_often_drawn(results: Path) -> None:
    before = report.records(EXPERIMENT, results)
    for path in results.glob("*/*/per_task.parquet"):
        table = pd.read_parquet(path)
        metrics = [column for column in table if "/" in column]
        above, below = table.copy(), table.copy()
        above[metrics] += 0.2
        below[metrics] -= 0.1
        pd.concat([table, above, below]).sort_index(kind="stable").to_parquet(path)
    after = report.records(EXPERIMENT, results)
    for old, new in zip(before, after, strict=True):
        assert (old["tasks"], old["missing"]) == (new["tasks"], new["missing"])
        shift = 0.1 / 3 if old["metric"] in ("mae", "zero_shot_mae") else 0.0
        if "ndcg" not in old["metric"]:
            assert new["low"] == pytest.approx(old["low"] and old["low"] + shift)
            assert new["difference_high"] == pytest.approx(old["difference_high"])


def test_gain_is_positive_where_adaptation_helps(results: Path) -> None:
    rows = report.records(EXPERIMENT, results)
    assert pick(rows, "maml", "gain_mae")["mean"] == pytest.approx(0.15, abs=0.01)
    assert pick(rows, "maml", "gain_ndcg_exp@5")["mean"] == pytest.approx(-0.15, abs=0.01)


def test_fit_seconds_count_borrowed_training(results: Path) -> None:
    rows = report.records(EXPERIMENT, results)
    assert pick(rows, "maml", "fit_seconds")["mean"] == pytest.approx(10.5)
    assert pick(rows, "tuned", "fit_seconds")["mean"] == pytest.approx(23.0)
    assert pick(rows, "maml", "fit_seconds")["low"] is None


def test_formats_agree(results: Path) -> None:
    rows = report.records(EXPERIMENT, results)
    assert json.loads(report.as_json(rows)) == rows
    table = list(csv.DictReader(io.StringIO(report.as_csv(rows))))
    assert [row["method"] for row in table] == [row["method"] for row in rows]
    assert float(table[0]["mean"]) == pytest.approx(rows[0]["mean"])
    text = report.as_markdown(rows, EXPERIMENT)
    lines = text.splitlines()
    assert lines[0].startswith("A small table. Mean over 50 test users (ndcg_exp@5: 49) and 2 model seed(s)")
    assert lines[2].startswith("| method | mae | ndcg_exp@5 | gain in mae | mae - bias | fit s | ms/user |")
    assert len(lines) == 4 + 3
    assert len({line.count("|") for line in lines[2:]}) == 1
    mae = pick(rows, "maml", "mae")
    assert f"{mae['mean']:.3f} [{mae['low']:.3f}, {mae['high']:.3f}]" in text


def test_the_caption_says_what_auc_is() -> None:
    rows = [{"metric": "auc", "tasks": 9, "seeds": 1}]
    clicks = dataclasses.replace(EXPERIMENT, metrics=["auc"])
    text = report._caption(rows, clicks)
    assert (
        "auc, the share of pairs of an item with a click and a sampled one in the right order, is a mean over" in text
    )
    assert "mae" not in text
    assert "mae and rmse are means over users of each user's own; gain" in report._caption(
        [{"metric": metric, "tasks": 9, "seeds": 1} for metric in EXPERIMENT.metrics], EXPERIMENT
    )


COVERAGE = {"bias": (0.25, 0.25), "maml": (0.5, 0.6), "tuned": (0.4, 0.1)}
"""Adapted, with the two seeds; zero-shot it is a tenth less."""


@pytest.fixture
def covered(results: Path) -> Path:
    """The runs, with what the full catalogue adds to their means."""
    for method, values in COVERAGE.items():
        for seed, value in enumerate(values):
            path = results / method / f"seed-{seed}" / "metrics.json"
            means = {"test/adapted/coverage@10": value, "test/zero_shot/coverage@10": value - 0.1}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": means}))
    return results


def test_a_metric_of_the_run_is_a_mean_over_seeds_without_an_interval(covered: Path) -> None:
    plan = dataclasses.replace(EXPERIMENT, metrics=["mae", "coverage@10", "ndcg_exp@5"])
    rows = report.records(plan, covered)
    row = pick(rows, "maml", "coverage@10")
    assert (row["mean"], row["difference"]) == pytest.approx((0.55, 0.3))
    assert pick(rows, "maml", "zero_shot_coverage@10")["mean"] == pytest.approx(0.45)
    assert pick(rows, "maml", "gain_coverage@10")["mean"] == pytest.approx(0.1)
    assert pick(rows, "bias", "coverage@10")["difference"] is None
    for name in ("low", "high", "difference_low", "difference_high"):
        assert row[name] is None
    assert (row["tasks"], row["missing"], row["seeds"]) == (0, 0, 2)
    mae = pick(report.records(EXPERIMENT, covered), "maml", "mae")
    assert pick(rows, "maml", "mae") == mae
    caption, _, *lines = report.as_markdown(rows, plan).splitlines()
    assert "Mean over 50 test users (ndcg_exp@5: 49) and 2 model seed(s)" in caption
    assert caption.endswith(" coverage@10: one value a run, over all test users at once, hence no interval.")
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in lines[2:]}
    assert [cells[method][2] for method in ("bias", "maml", "tuned")] == ["0.250", "0.550", "0.250"]
    assert pick(report.records(plan, covered, [1]), "maml", "coverage@10")["mean"] == 0.6
    written = [row for row in csv.DictReader(io.StringIO(report.as_csv(rows))) if row["metric"] == "coverage@10"]
    assert [(row["low"], row["tasks"]) for row in written] == [("", "0")] * 3


def test_a_metric_of_the_run_may_come_first_or_alone(covered: Path) -> None:
    for metrics, over in ((["coverage@10", "mae"], "50 test users and 2 model"), (["coverage@10"], "2 model")):
        plan = dataclasses.replace(EXPERIMENT, metrics=metrics)
        text = report.as_markdown(report.records(plan, covered), plan)
        assert f"Mean over {over} seed(s)" in text
        assert "| gain in coverage@10 | coverage@10 - bias |" in text
        [line] = [line for line in text.splitlines() if line.startswith("| maml |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == "0.550"
        assert cells[len(metrics) + 1 : len(metrics) + 3] == ["0.100", "0.300"]


def test_a_run_without_it_is_named(covered: Path) -> None:
    plan = dataclasses.replace(EXPERIMENT, metrics=["mae", "coverage@10"])
    path = covered / "maml" / "seed-1" / "metrics.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"metrics": {**whole["metrics"], "test/adapted/coverage@10": None}}))
    assert pick(report.records(plan, covered), "maml", "coverage@10")["mean"] is None
    path.write_text(json.dumps(whole | {"metrics": {}}))
    with pytest.raises(InputError, match=r"maml/seed-1: metrics.json has no test/adapted/coverage@10; run it again"):
        report.records(plan, covered)


def test_means_in_the_summary_do_not_replace_values_of_users(covered: Path) -> None:
    """A run's metrics.json has means of per-user metrics as well: their intervals stay."""
    before = report.records(EXPERIMENT, covered)
    for path in covered.glob("*/*/metrics.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {"test/adapted/mae": 9.0}}))
    assert report.records(EXPERIMENT, covered) == before


def test_only_some_seeds(results: Path) -> None:
    assert pick(report.records(EXPERIMENT, results, [1]), "maml", "mae")["seeds"] == 1


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        report.records(EXPERIMENT, tmp_path)


def test_other_users_are_refused(results: Path) -> None:
    path = results / "maml" / "seed-1" / "per_task.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "user"] = "someone"
    table.to_parquet(path)
    with pytest.raises(InputError, match="different users"):
        report.records(EXPERIMENT, results)


@pytest.mark.parametrize("part", ["data", "split"])
def test_another_split_is_refused(results: Path, part: str) -> None:
    path = results / "maml" / "seed-1" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: {"digest": "other"}}))
    with pytest.raises(InputError, match="different users"):
        report.records(EXPERIMENT, results)


def test_an_unfinished_run_is_left_out(results: Path) -> None:
    (results / "maml" / "seed-1" / "metrics.json").unlink()
    assert pick(report.records(EXPERIMENT, results), "maml", "mae")["seeds"] == 1


def test_unknown_metric(results: Path) -> None:
    with pytest.raises(InputError, match="adapted/recall is not in the results"):
        report.records(dataclasses.replace(EXPERIMENT, metrics=["recall"]), results)


def test_replace_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- begin t -->\nold\n<!-- end t -->\nbelow\n")
    report.replace_block(page, "t", "new")
    assert page.read_text() == "above\n<!-- begin t -->\nnew\n<!-- end t -->\nbelow\n"
    with pytest.raises(InputError, match="no block"):
        report.replace_block(page, "other", "new")


def test_table_command(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command on the demo's experiment, whose methods have other names: those found are printed."""
    (results / "maml" / "seed-1").rename(results / "maml" / "other")
    for path in results.rglob("per_task.parquet"):
        table = pd.read_parquet(path)
        for mode in ("adapted", "zero_shot"):
            table[f"{mode}/rmse"] = table[f"{mode}/mae"]
        table.to_parquet(path)
    cli.main(["table", "experiments/movielens-100k-user-cold.yaml", "--results", str(results), "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in rows} == {"maml"}
    assert pick(rows, "maml", "rmse")["seeds"] == 1


def test_runs_on_other_episodes_are_refused(results: Path) -> None:
    path = results / "maml" / "seed-0" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "episodes": {"digest": "other"}}))
    with pytest.raises(InputError, match="tested different users or ratings"):
        report.records(EXPERIMENT, results)


def test_rows_that_ran_otherwise_are_named(results: Path) -> None:
    text = report.as_markdown(report.records(EXPERIMENT, results), EXPERIMENT, ["maml"])
    assert text.startswith("**Not as the experiment file says now: maml.**")


TABLES = sorted(Path("experiments/tables").glob("*.csv"))


def saved(path: Path) -> list[dict[str, Any]]:
    """The records of a committed CSV file, as `records` gave them."""
    with path.open(encoding="utf-8") as file:
        return [{name: plain(name, value) for name, value in row.items()} for row in csv.DictReader(file)]


def plain(name: str, value: str) -> Any:
    """A cell of the file, in its own type."""
    if name in ("method", "metric"):
        return value
    return int(value) if name in ("tasks", "missing", "seeds") else float(value) if value else None


def test_there_are_committed_results() -> None:
    assert TABLES


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_the_readme_shows_the_committed_results(path: Path) -> None:
    plan = load(Path("experiments") / f"{path.stem}.yaml")
    rows = saved(path)
    assert {row["method"] for row in rows} <= set(plan.methods)
    text = Path("README.md").read_text(encoding="utf-8")
    block = text.split(f"<!-- begin {path.stem} -->\n")[1].split(f"\n<!-- end {path.stem} -->")[0]
    assert block == report.as_markdown(rows, plan)
