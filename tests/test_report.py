import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import report
from metarec.errors import InputError
from metarec.experiment import Method
from tests.folders import EXPERIMENT, USERS, column, write_runs


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_runs(tmp_path)


def test_values_by_seed_and_user(results: Path) -> None:
    runs = report.finished(EXPERIMENT, results)
    assert [(method, list(found)) for method, found in runs.users.items()] == [
        *(("maml", [0, 1]), ("bias", [0, 1]), ("tuned", [0, 1]))
    ]
    assert runs.without == ["absent"]
    saved = column(results, "maml", "adapted/mae")
    np.testing.assert_array_equal(runs.values("maml", "adapted/mae"), saved)
    np.testing.assert_array_equal(runs.values("maml", "adapted/mae", [1]), saved[1:])
    assert runs.summaries["maml"][1]["fit_seconds"] == 11.0


def test_a_user_is_one_user_however_often_drawn(results: Path) -> None:
    before = report.finished(EXPERIMENT, results)
    for path in results.glob("*/*/per_task.parquet"):
        table = pd.read_parquet(path)
        metrics = [name for name in table if "/" in name]
        above, below = table.copy(), table.copy()
        above[metrics] += 0.2
        below[metrics] -= 0.1
        pd.concat([table, above, below]).sort_index(kind="stable").to_parquet(path)
    after = report.finished(EXPERIMENT, results)
    for name in ("adapted/mae", "adapted/ndcg_exp@5"):
        old, new = before.values("maml", name), after.values("maml", name)
        assert new.shape == (2, USERS)
        np.testing.assert_allclose(new, old + 0.1 / 3)
    assert np.isnan(after.values("maml", "adapted/ndcg_exp@5")).sum() == 2


def test_a_user_who_lacks_a_value_in_one_draw_has_none(results: Path) -> None:
    for path in results.glob("*/*/per_task.parquet"):
        table = pd.read_parquet(path)
        pd.concat([table, table.assign(**{"adapted/ndcg_exp@5": 0.5})]).to_parquet(path)
    values = report.finished(EXPERIMENT, results).values("maml", "adapted/ndcg_exp@5")
    assert np.isnan(values).nonzero()[1].tolist() == [3, 3]


def test_seeds_of_two_methods(results: Path) -> None:
    (results / "maml" / "seed-0" / "metrics.json").unlink()  # as a run that has not finished
    runs = report.finished(EXPERIMENT, results)
    assert list(runs.users["maml"]) == [1]
    assert runs.shared_seeds("bias", "maml") == [1]
    assert list(report.finished(EXPERIMENT, results, [0]).users) == ["bias", "tuned"]


def test_fit_seconds_count_borrowed_training(results: Path) -> None:
    runs = report.finished(EXPERIMENT, results)
    assert runs.fit_seconds == {"maml": {0: 10.0, 1: 11.0}, "bias": {0: 0.0, 1: 0.0}, "tuned": {0: 22.0, 1: 24.0}}


def test_fit_seconds_count_the_training_that_was_gone_on_from(results: Path) -> None:
    chained = {"absent": Method(starts_from="maml"), "tuned": Method(weights_from="absent")}
    plan = dataclasses.replace(EXPERIMENT, methods={**EXPERIMENT.methods, **chained})
    (results / "absent" / "seed-0").mkdir(parents=True)
    (results / "absent" / "seed-0" / "metrics.json").write_text(json.dumps({"fit_seconds": 5.0}))
    assert report.finished(plan, results).fit_seconds["tuned"] == {0: 12.0 + 5.0 + 10.0, 1: 13.0 + 11.0}


def test_what_a_run_has_one_value_of(results: Path) -> None:
    for seed, value in ((0, 0.5), (1, None)):
        path = results / "maml" / f"seed-{seed}" / "metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {"test/adapted/coverage@10": value}}))
    runs = report.finished(EXPERIMENT, results)
    np.testing.assert_array_equal(runs.values_of_runs("maml", "adapted/coverage@10"), [0.5, np.nan])
    np.testing.assert_array_equal(runs.values_of_runs("maml", "adapted/coverage@10", [1]), [np.nan])
    assert runs.is_of_runs("adapted/coverage@10")
    assert not runs.is_of_runs("adapted/mae")
    assert not runs.is_of_runs("adapted/recall")
    with pytest.raises(InputError, match=r"bias, seed 0: metrics\.json has no test/adapted/coverage@10; run it again"):
        runs.values_of_runs("bias", "adapted/coverage@10")


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        report.finished(EXPERIMENT, tmp_path)


def test_other_users_are_refused(results: Path) -> None:
    path = results / "maml" / "seed-1" / "per_task.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "user"] = "someone"
    table.to_parquet(path)
    with pytest.raises(InputError, match="different users"):
        report.finished(EXPERIMENT, results)


@pytest.mark.parametrize("part", ["data", "split", "episodes"])
def test_another_test_is_refused(results: Path, part: str) -> None:
    path = results / "maml" / "seed-1" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: {"digest": "other"}}))
    with pytest.raises(InputError, match="different users"):
        report.finished(EXPERIMENT, results)


def test_unknown_metric(results: Path) -> None:
    with pytest.raises(InputError, match="adapted/recall is not in the results"):
        report.finished(EXPERIMENT, results).values("maml", "adapted/recall")
