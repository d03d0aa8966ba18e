"""Axes, summary, learned rates, users and alerts, read back from offline files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from metarec.callbacks import BestCheckpoint
from metarec.data.ratings import Ratings
from metarec.errors import DivergedError
from metarec.run_folder import RunFolder
from metarec.tracking.callback import Track
from metarec.tracking.logger import join_runs, wandb_logger
from tests.test_module import data_of, module_of, trainer_of
from tests.tracking.conftest import Tracked
from tests.tracking.read import Read, finish, read

CURVES = ("loss", "support_loss_before", "support_loss_after", "query_loss_before", "query_loss_after", "gain")


def axis(found: Read, name: str) -> str:
    """Over what W&B draws a metric; a name goes before a beginning of one."""
    globs = [glob for glob in found.metrics if glob.endswith("*") and name.startswith(glob[:-1])]
    return found.metrics[name if name in found.metrics else max(globs, key=len)].step_metric


def test_curves_over_epochs_and_steps(tracked: Tracked) -> None:
    found = tracked.read
    for name in CURVES:
        assert len(found.column(f"train/{name}_epoch")) == 2, name
        assert len(found.column(f"train/{name}_step")) == 4, name  # 8 steps in two epochs, logged every second
        assert axis(found, f"train/{name}_epoch") == "epoch"
        assert axis(found, f"train/{name}_step") == "trainer/global_step"
    measured = {name for row in found.history for name in row if name.startswith(("val/z", "val/a", "val/g"))}
    assert {"val/adapted/mae", "val/zero_shot/ndcg_exp@5", "val/gain/mae"} <= measured
    for name in measured:
        assert axis(found, name) == "epoch", name
        assert len(found.column(name)) == 2, name
    assert axis(found, "train/gradient_norm") == "trainer/global_step"
    assert len(found.column("train/gradient_norm")) == 4
    assert min(found.column("train/gradient_norm")) > 0
    assert axis(found, "k_shot/mae") == "k_shot/k"


def test_summary_has_the_best_of_validation_and_the_test(tracked: Tracked) -> None:
    found, metrics = tracked.read, json.loads((tracked.folder / "metrics.json").read_text())
    mae, ndcg = (found.column(f"val/adapted/{name}") for name in ("mae", "ndcg_exp@5"))
    assert found.summary["val/adapted/mae"] == {"min": min(mae), "last": mae[-1]}
    assert found.summary["val/adapted/ndcg_exp@5"] == {"max": max(ndcg), "last": ndcg[-1]}
    assert len(metrics["metrics"]) == 30
    for name, value in metrics["metrics"].items():
        assert found.summary[name] == pytest.approx(value), name
    for name in ("fit_seconds", "test_seconds", "tasks", "parameters", "epochs", "steps"):
        assert found.summary[name] == metrics[name]


def logged_table(tracked: Tracked, name: str) -> pd.DataFrame:
    """A table, from the file that waits to be uploaded."""
    path = next(tracked.folder.glob(f"wandb/offline-run-*/files/{tracked.read.summary[f'{name}.path']}"))
    content = json.loads(path.read_text())
    return pd.DataFrame(content["data"], columns=content["columns"])


def test_tables_of_users_gain_and_k(tracked: Tracked) -> None:
    users, left = logged_table(tracked, "per_user"), pd.read_parquet(tracked.folder / "per_task.parquet")
    pd.testing.assert_frame_equal(users, left, check_dtype=False)
    gain = logged_table(tracked, "support_gain")
    assert gain["support_size"].tolist() == [4.0]
    assert gain["mean"][0] == pytest.approx((left["zero_shot/mae"] - left["adapted/mae"]).mean(), abs=1e-6)
    assert gain["users"][0] == len(left)
    curve = logged_table(tracked, "k_shot")
    summary = json.loads((tracked.folder / "k_shot.json").read_text())["metrics"]
    mae = curve[curve["metric"] == "mae"]
    assert mae["k"].tolist() == [0, 1, 2, 4]
    assert mae["mean"].tolist() == pytest.approx(summary["mae"]["mean"])
    assert set(curve["metric"]) == set(summary)
    assert tracked.read.column("k_shot/k") == [0, 1, 2, 4]


def test_charts_name_their_tables(tracked: Tracked) -> None:
    for name in ("charts/gain_by_support", "charts/k_shot"):
        panel = tracked.read.config[f"_wandb.visualize.{name}"]["panel_config"]
        assert panel["panelDefId"] == "wandb/lineseries/v0"
        [query] = panel["userQuery"]["queryFields"]
        [key] = [part["args"][0]["value"] for part in query["fields"] if part["name"] == "summaryTable"]
        assert f"{key}.path" in tracked.read.summary
        drawn = logged_table(tracked, key)
        assert set(drawn["lineKey"]) == {"mean", "low", "high"}


def test_histograms_of_learned_rates_once_an_epoch(tracked: Tracked) -> None:
    saved = torch.load(tracked.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    learned = [value for name, value in saved.items() if name.startswith("algorithm.rule.rates.")]
    counts = [row for row in tracked.read.history if "inner_lr/decoder/user_prior.values" in row]
    names = {name for name in counts[0] if name.startswith("inner_lr/") and name.endswith(".values")}
    assert len(counts) == 2
    assert len(names) == len(learned) > 3
    assert sorted(sum(counts[1][name]) for name in names) == sorted(rate.numel() for rate in learned)
    assert axis(tracked.read, "inner_lr/decoder/user_prior") == "epoch"
    means = sorted(counts[1][name.replace("inner_lr/", "inner_lr_mean/").removesuffix(".values")] for name in names)
    assert means == pytest.approx(sorted(float(rate.mean()) for rate in learned), abs=1e-6)


class SpoilGradient(Callback):
    """Puts something that is not finite into the gradient of the second step."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 1:
            gradient = next(parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None)
            gradient.fill_(float("nan"))


class SpoilLoss(Callback):
    """Makes the loss of the second step infinite."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        loss = type(pl_module.algorithm).loss
        times = torch.inf if trainer.global_step == 1 else 1.0
        pl_module.algorithm.loss = lambda batch: times * loss(pl_module.algorithm, batch)


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("spoil", [SpoilGradient, SpoilLoss])
def test_alerts_before_the_error(spoil: type[Callback], every: int, ratings: Ratings, tmp_path: Path) -> None:
    """A gradient is looked at on logging steps, losses before training ends as well."""
    finish()
    callbacks = [spoil(), RunFolder(), BestCheckpoint(), Track()]
    trainer = trainer_of(tmp_path, callbacks=callbacks, logger=wandb_logger(), max_epochs=3, log_every_n_steps=every)
    join_runs(trainer, {})
    with pytest.raises(DivergedError):
        trainer.fit(module_of(ratings), datamodule=data_of(ratings))
    finish()
    [found] = read(tmp_path)
    alerts = {alert.title.removeprefix("metarec: "): alert.text for alert in found.alerts}
    losses = ["loss not finite"] * (spoil is SpoilLoss)
    assert list(alerts) == ["gradient not finite"] * (every == 1) + losses + ["training diverged"]
    assert {alert.level for alert in found.alerts} == {"ERROR"}
    assert "before step 2" in alerts.get("gradient not finite", "before step 2")
    assert "outer loss inf in batch 2 of" in alerts.get("loss not finite", "outer loss inf in batch 2 of")
    assert "step 2 is not finite and was not taken" in alerts["training diverged"]
    assert str(tmp_path) in alerts["training diverged"]
