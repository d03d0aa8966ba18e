"""MetaModule in the Trainer: training helps, gradients live in every stage, checkpoints are safe."""

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from metarec.algorithms.maml import MAML
from metarec.algorithms.pretrain import Pretrain
from metarec.callbacks import AverageWeights, BestCheckpoint, RunFolder, SelectAdaptation
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.module import MetaModule
from metarec.nets.ncf import NeuMF

NET = partial(NeuMF, user_features=["group"], item_features=["genre"], gmf=4, mlp=3, hidden=[5])


def data_of(ratings: Ratings, **options: object) -> EpisodeDataModule:
    arguments: dict = {
        "train_support": (2, 5),
        "train_query": 8,
        "eval_support": 4,
        "batch_size": 8,
        **options,
    }
    return EpisodeDataModule(ratings, UserCold(fractions=(0.6, 0.2, 0.2), min_ratings=11), **arguments)


def module_of(ratings: Ratings, algorithm=MAML, **options: object) -> MetaModule:
    seed_everything(0, verbose=False)
    return MetaModule(ratings.schema, NET, partial(algorithm, **options), partial(torch.optim.Adam, lr=0.02))


def trainer_of(folder: Path, **options: object) -> Trainer:
    arguments: dict = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "inference_mode": False,
        "log_every_n_steps": 1,
        "callbacks": [RunFolder(), BestCheckpoint()],
        **options,
    }
    return Trainer(**arguments)


def test_fit_validate_test_predict(ratings: Ratings, tmp_path: Path) -> None:
    module, data, trainer = module_of(ratings), data_of(ratings), trainer_of(tmp_path, max_epochs=8)
    trainer.fit(module, datamodule=data)
    first = trainer.callback_metrics["val/adapted/mae"]
    [validated] = trainer.validate(module, datamodule=data, ckpt_path="best", verbose=False)
    assert validated["val/adapted/mae"] <= float(first) + 1e-6
    assert validated["val/adapted/mae"] < validated["val/zero_shot/mae"]
    [tested] = trainer.test(module, datamodule=data, ckpt_path="best", verbose=False)
    assert tested["test/gain/mae"] == pytest.approx(tested["test/zero_shot/mae"] - tested["test/adapted/mae"])
    trainer.predict(module, datamodule=data, ckpt_path="best")

    table = pd.read_parquet(tmp_path / "per_task.parquet")
    assert sorted(table["user"]) == sorted(ratings.user_ids[user] for user in data.test_tasks.task)
    assert (table["support_size"] == 4).all()
    assert (table["query_size"] == data.test_tasks.lengths.numpy() - 4).all()
    assert table["adapted/mae"].mean() == pytest.approx(tested["test/adapted/mae"])
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["metrics"]["test/adapted/rmse"] == pytest.approx(table["adapted/rmse"].mean())
    assert summary["tasks"] == 8
    assert summary["fit_seconds"] > 0
    assert summary["split"]["digest"] == data.split.digest

    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    error = (predictions["prediction"] - predictions["rating"]).abs().groupby(predictions["user"]).mean()
    pd.testing.assert_series_equal(
        error,
        table.set_index("user")["adapted/mae"].sort_index(),
        check_names=False,
        check_dtype=False,
        rtol=1e-5,
    )


def test_checkpoints_load_safely(ratings: Ratings, tmp_path: Path) -> None:
    module, trainer = module_of(ratings), trainer_of(tmp_path)
    trainer.fit(module, datamodule=data_of(ratings))
    content = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    for name, value in content["state_dict"].items():
        assert name in module.state_dict()
        assert isinstance(value, torch.Tensor)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_averaged_weights_are_the_ones_judged(ratings: Ratings, tmp_path: Path) -> None:
    """Same figures in fit, in later calls of the same trainer, and in a new one that loads the checkpoint."""
    module, data = module_of(ratings), data_of(ratings)
    callbacks = [RunFolder(), BestCheckpoint(), AverageWeights(decay=0.9)]
    trainer = trainer_of(tmp_path, callbacks=callbacks, max_epochs=5)
    trainer.fit(module, datamodule=data)
    best = tmp_path / "checkpoints" / "best.ckpt"
    score = float(trainer.checkpoint_callback.best_model_score)
    content = torch.load(best, weights_only=True)
    assert any(not torch.equal(value, content["current_model_state"][n]) for n, value in content["state_dict"].items())
    for judge, judged in ((trainer, module), (trainer_of(tmp_path / "new", callbacks=[]), module_of(ratings))):
        [validated] = judge.validate(judged, datamodule=data, ckpt_path=best, verbose=False)
        assert validated["val/adapted/mae"] == pytest.approx(score, abs=1e-6)
        judge.test(judged, datamodule=data, ckpt_path=best, verbose=False)
        assert all(torch.equal(value, judged.state_dict()[name]) for name, value in content["state_dict"].items())


def test_logged_curves(ratings: Ratings, tmp_path: Path) -> None:
    module, trainer = module_of(ratings), trainer_of(tmp_path)
    trainer.fit(module, datamodule=data_of(ratings))
    logged = trainer.callback_metrics
    names = (
        "support_loss_before",
        "support_loss_after",
        "query_loss_before",
        "query_loss_after",
        "gain",
        "loss",
    )
    assert {f"train/{name}" for name in names} <= set(logged)
    assert logged["train/support_loss_after"] < logged["train/support_loss_before"]
    assert logged["train/gain"] == pytest.approx(logged["train/query_loss_before"] - logged["train/query_loss_after"])


def test_same_seed_twice_is_identical(ratings: Ratings, tmp_path: Path) -> None:
    states = []
    for attempt, workers in enumerate((0, 0, 2)):
        module = module_of(ratings)
        trainer = trainer_of(tmp_path / str(attempt), max_epochs=2)
        trainer.fit(module, datamodule=data_of(ratings, num_workers=workers))
        states.append(module.state_dict())
    for state in states[1:]:
        assert all(torch.equal(value, state[name]) for name, value in states[0].items())


def test_a_resumed_run_equals_an_unbroken_one(ratings: Ratings, tmp_path: Path) -> None:
    whole = module_of(ratings)
    trainer_of(tmp_path / "whole", max_epochs=4).fit(whole, datamodule=data_of(ratings))
    half = module_of(ratings)
    trainer_of(tmp_path / "half", max_epochs=2).fit(half, datamodule=data_of(ratings))
    rest = module_of(ratings)
    trainer_of(tmp_path / "rest", max_epochs=4).fit(
        rest, datamodule=data_of(ratings), ckpt_path=tmp_path / "half" / "checkpoints" / "last.ckpt"
    )
    assert all(torch.equal(value, rest.state_dict()[name]) for name, value in whole.state_dict().items())


def test_bf16_trains(ratings: Ratings, tmp_path: Path) -> None:
    module, data = module_of(ratings), data_of(ratings)
    trainer = trainer_of(tmp_path, precision="bf16-mixed", max_epochs=6)
    trainer.fit(module, datamodule=data)
    [tested] = trainer.test(module, datamodule=data, verbose=False)
    full, trainer = module_of(ratings), trainer_of(tmp_path / "full", max_epochs=6)
    trainer.fit(full, datamodule=data_of(ratings))
    [exact] = trainer.test(full, datamodule=data_of(ratings), verbose=False)
    assert tested["test/adapted/mae"] == pytest.approx(exact["test/adapted/mae"], abs=0.05)
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


def test_divergence_stops_the_run_and_keeps_no_checkpoint(ratings: Ratings, tmp_path: Path) -> None:
    module, trainer = module_of(ratings, inner_lr=1e30), trainer_of(tmp_path)
    with pytest.raises(InputError, match="training diverged; lower the optimizer's lr or the algorithm's inner_lr"):
        trainer.fit(module, datamodule=data_of(ratings))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_inference_mode_is_refused(ratings: Ratings, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, inference_mode=True)
    with pytest.raises(InputError, match="inference_mode=false"):
        trainer.test(module_of(ratings), datamodule=data_of(ratings), verbose=False)
    assert not (tmp_path / "metrics.json").exists()


def test_test_users_reach_no_statistic(ratings: Ratings, tmp_path: Path) -> None:
    """Other ratings of validation and test users leave every parameter and buffer after training unchanged."""
    import dataclasses

    data = data_of(ratings)
    changed = ratings.rating.copy()
    changed[data.split.test] = 6 - changed[data.split.test]
    states = []
    for number, rating in enumerate((ratings.rating, changed)):
        module = module_of(ratings)
        other = data_of(dataclasses.replace(ratings, rating=rating))
        trainer_of(tmp_path / str(number), limit_val_batches=0, callbacks=[]).fit(module, datamodule=other)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_adaptation_is_selected_on_validation_users(ratings: Ratings, tmp_path: Path) -> None:
    module, data = module_of(ratings, Pretrain, adapts=["head"]), data_of(ratings)
    select = SelectAdaptation(steps=[0, 1, 5], rates=[0.05, 0.2])
    trainer = trainer_of(tmp_path, callbacks=[RunFolder(), select], max_epochs=4)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    summary = json.loads((tmp_path / "metrics.json").read_text())
    chosen = summary["adaptation"]
    assert chosen["adaptation_steps"] == module.algorithm.inner_loop.adaptation_steps
    assert chosen["inner_lr"] == module.algorithm.inner_loop.inner_lr
    [validated] = trainer.validate(module, datamodule=data, verbose=False)
    assert validated["val/adapted/mae"] == pytest.approx(chosen["val_mae"], abs=1e-6)
    for steps, rate in ((0, 0.05), (1, 0.05), (5, 0.05), (1, 0.2), (5, 0.2)):
        module.algorithm.inner_loop.adaptation_steps, module.algorithm.inner_loop.inner_lr = steps, rate
        [other] = trainer.validate(module, datamodule=data, verbose=False)
        assert other["val/adapted/mae"] >= chosen["val_mae"] - 1e-6
