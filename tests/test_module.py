"""MetaModule in the Trainer: training helps, gradients live in every stage, checkpoints are safe."""

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping

from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.baselines.means import ItemMean
from metarec.callbacks import AverageWeights, BestCheckpoint, SelectAdaptation
from metarec.commit import commit
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.module import MetaModule
from metarec.nets.base import NoNet
from metarec.nets.ncf import NeuMF
from metarec.run_folder import RunFolder
from metarec.saving import KeepLast

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


def module_of(ratings: Ratings, algorithm=MAML, net=NET, **options: object) -> MetaModule:
    seed_everything(0, verbose=False)
    return MetaModule(ratings.schema, net, partial(algorithm, **options), partial(torch.optim.Adam, lr=0.02))


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
        "callbacks": [KeepLast(), RunFolder(), BestCheckpoint()],
        **options,
    }
    return Trainer(**arguments)


def test_fit_validate_test_predict(ratings: Ratings, tmp_path: Path) -> None:
    module, data, trainer = module_of(ratings), data_of(ratings), trainer_of(tmp_path, max_epochs=8)
    trainer.fit(module, datamodule=data)
    last = trainer.callback_metrics["val/adapted/mae"]
    [validated] = trainer.validate(module, datamodule=data, ckpt_path="best", verbose=False)
    assert validated["val/adapted/mae"] <= float(last) + 1e-6
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
    assert summary["commit"] == commit()
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
    callbacks = [KeepLast(), RunFolder(), BestCheckpoint(), AverageWeights(decay=0.9)]
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


def test_the_average_shares_buffers_and_owns_weights(ratings: Ratings, tmp_path: Path) -> None:
    average = AverageWeights(decay=0.9)
    shared: list[tuple[bool, bool]] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: object) -> None:
            copy = average._average_model.module
            buffers = zip(copy.buffers(), pl_module.buffers(), strict=True)
            weights = zip(copy.parameters(), pl_module.parameters(), strict=True)
            shared.append((all(a is b for a, b in buffers), any(a is b for a, b in weights)))

    module = module_of(ratings)
    assert list(module.buffers())
    trainer_of(tmp_path, callbacks=[average, Watch()], max_epochs=2).fit(module, datamodule=data_of(ratings))
    assert set(shared) == {(True, False)}


def test_several_draws_are_rows_of_their_own_and_predictions_are_not(ratings: Ratings, tmp_path: Path) -> None:
    module, data = module_of(ratings), data_of(ratings, test_draws=3)
    trainer = trainer_of(tmp_path, callbacks=[RunFolder()], max_epochs=1)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    trainer.predict(module, datamodule=data)
    table, predictions = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("per_task", "predictions"))
    users = len(set(table["user"]))
    assert sorted(table["draw"]) == sorted([0, 1, 2] * users)
    assert not table.duplicated(["user", "draw"]).any()
    assert table.groupby("user")["adapted/mae"].nunique().max() == 3
    assert not predictions.duplicated(["user", "item"]).any()
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert (summary["users"], summary["tasks"], summary["episodes"]["draws"]) == (users, 3 * users, 3)


def test_logged_curves(ratings: Ratings, tmp_path: Path) -> None:
    module, trainer = module_of(ratings), trainer_of(tmp_path)
    trainer.fit(module, datamodule=data_of(ratings))
    logged = trainer.callback_metrics
    names = ("support_loss_before", "support_loss_after", "query_loss_before", "query_loss_after", "gain", "loss")
    assert {f"train/{name}_{moment}" for name in names for moment in ("step", "epoch")} <= set(logged)
    assert logged["train/support_loss_after_epoch"] < logged["train/support_loss_before_epoch"]
    gain = logged["train/query_loss_before_epoch"] - logged["train/query_loss_after_epoch"]
    assert logged["train/gain_epoch"] == pytest.approx(gain)


def trained(ratings: Ratings, folder: Path, epochs: int, ckpt: Path | None = None, **options: object) -> dict:
    """Weights after a fit with dropout and averaged weights, from the random state of a new process."""
    module = module_of(ratings, net=partial(NET, dropout=0.3))
    callbacks = [KeepLast(), RunFolder(), BestCheckpoint(), AverageWeights(decay=0.9)]
    trainer_of(folder, max_epochs=epochs, callbacks=callbacks).fit(
        module, datamodule=data_of(ratings, **options), ckpt_path=ckpt
    )
    return module.state_dict()


def equal(first: dict, second: dict) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.fault("same-seed")
def test_same_seed_twice_is_identical_whatever_the_workers(ratings: Ratings, tmp_path: Path) -> None:
    first = trained(ratings, tmp_path / "1", 2)
    assert equal(first, trained(ratings, tmp_path / "2", 2))
    assert equal(first, trained(ratings, tmp_path / "3", 2, num_workers=2))
    assert not equal(first, trained(ratings, tmp_path / "4", 2, seed=1))


def test_a_resumed_run_equals_an_unbroken_one(ratings: Ratings, tmp_path: Path) -> None:
    whole = trained(ratings, tmp_path / "whole", 4)
    trained(ratings, tmp_path / "half", 2)
    last = tmp_path / "half" / "checkpoints" / "last.ckpt"
    assert equal(whole, trained(ratings, tmp_path / "rest", 4, ckpt=last))


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
    module = module_of(ratings, inner_lr=1e30)
    trainer = trainer_of(tmp_path, limit_train_batches=1, callbacks=[BestCheckpoint()])
    module.guard.skips = lambda *_: False  # what it would have stopped before
    with pytest.raises(InputError, match="8 validation users are not finite: training diverged; lower"):
        trainer.fit(module, datamodule=data_of(ratings))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_inference_mode_is_refused(ratings: Ratings, tmp_path: Path) -> None:
    trainer, module = trainer_of(tmp_path, inference_mode=True), module_of(ratings)
    trainer.fit(module, datamodule=data_of(ratings))
    with pytest.raises(InputError, match="inference_mode=false"):
        trainer.test(module, datamodule=data_of(ratings), verbose=False)
    assert not (tmp_path / "metrics.json").exists()


def test_predictions_do_not_see_query_labels(ratings: Ratings, tmp_path: Path) -> None:
    module, data = module_of(ratings), data_of(ratings)
    trainer_of(tmp_path).fit(module, datamodule=data)
    module.eval()
    batch = next(iter(data.test_dataloader()))
    scrambled = batch._replace(query=batch.query._replace(rating=torch.rand_like(batch.query.rating)))
    first, second = (module.predict_step(part, 0) for part in (batch, scrambled))
    assert torch.equal(first["prediction"], second["prediction"])
    assert not torch.equal(first["rating"], second["rating"])


def test_seconds_are_those_of_one_user_alone(ratings: Ratings, tmp_path: Path) -> None:
    module, data, trainer = module_of(ratings), data_of(ratings), trainer_of(tmp_path)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    seconds = pd.read_parquet(tmp_path / "per_task.parquet")["seconds"]
    assert (seconds > 0).all()
    assert seconds.nunique() > 1


def test_initial_weights_are_not_judged(ratings: Ratings, tmp_path: Path) -> None:
    for command in ("validate", "test", "predict"):
        with pytest.raises(InputError, match="the model is not trained; give its weights with --ckpt_path"):
            getattr(trainer_of(tmp_path), command)(module_of(ratings), datamodule=data_of(ratings))
    assert not list(tmp_path.rglob("*.json"))


def test_what_has_no_parameters_is_only_tested(ratings: Ratings, tmp_path: Path) -> None:
    module = MetaModule(ratings.schema, NoNet, ItemMean)
    with pytest.raises(InputError, match="ItemMean has nothing to train; use `metarec test`"):
        trainer_of(tmp_path).fit(module, datamodule=data_of(ratings))
    [tested] = trainer_of(tmp_path).test(module, datamodule=data_of(ratings), verbose=False)
    assert 0 < tested["test/adapted/mae"] == tested["test/zero_shot/mae"]


def test_weights_of_another_split_or_net_are_refused(ratings: Ratings, tmp_path: Path) -> None:
    trainer_of(tmp_path).fit(module_of(ratings), datamodule=data_of(ratings))
    best = tmp_path / "checkpoints" / "best.ckpt"
    other = data_of(ratings)
    other.scenario = UserCold(fractions=(0.6, 0.2, 0.2), min_ratings=11, seed=1)
    with pytest.raises(InputError, match="trained on other data or another split"):
        trainer_of(tmp_path).test(module_of(ratings), datamodule=other, ckpt_path=best)
    wider = module_of(ratings, net=partial(NET, gmf=5))
    with pytest.raises(InputError, match="does not fit the model"):
        trainer_of(tmp_path).test(wider, datamodule=data_of(ratings), ckpt_path=best)


def test_an_epoch_cut_short_has_the_same_length_each_time(ratings: Ratings, tmp_path: Path) -> None:
    assert len(data_of(ratings).train_dataloader()) == 3
    trainer = trainer_of(tmp_path, max_epochs=4, limit_train_batches=2)
    trainer.fit(module_of(ratings), datamodule=data_of(ratings))
    assert trainer.global_step == 8


def test_training_stops_early(ratings: Ratings, tmp_path: Path) -> None:
    """Told that a rising error is good, it stops once the error has fallen for as long as its patience."""
    stop = EarlyStopping("val/adapted/mae", mode="max", patience=3)
    trainer = trainer_of(tmp_path, max_epochs=50, callbacks=[RunFolder(), BestCheckpoint(), stop])
    trainer.fit(module_of(ratings), datamodule=data_of(ratings))
    assert 4 <= trainer.current_epoch < 50
    assert stop.stopped_epoch == trainer.current_epoch - 1


def test_a_new_fit_removes_results_of_the_old_weights(ratings: Ratings, tmp_path: Path) -> None:
    module, data, trainer = module_of(ratings), data_of(ratings), trainer_of(tmp_path)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    assert (tmp_path / "metrics.json").exists()
    trainer_of(tmp_path).fit(module_of(ratings), datamodule=data_of(ratings))
    assert not (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "per_task.parquet").exists()


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
    assert summary["select_seconds"] > 0
    trainer.callbacks.remove(select)
    assert chosen["adaptation_steps"] == module.algorithm.inner_loop.adaptation_steps
    assert chosen["inner_lr"] == module.algorithm.inner_loop.inner_lr
    [validated] = trainer.validate(module, datamodule=data, verbose=False)
    assert validated["val/adapted/mae"] == pytest.approx(chosen["val_mae"], abs=1e-6)
    for steps, rate in ((0, 0.05), (1, 0.05), (5, 0.05), (1, 0.2), (5, 0.2)):
        module.algorithm.inner_loop.adaptation_steps, module.algorithm.inner_loop.inner_lr = steps, rate
        [other] = trainer.validate(module, datamodule=data, verbose=False)
        assert other["val/adapted/mae"] >= chosen["val_mae"] - 1e-6


def test_selection_serves_prediction_too_and_refuses_what_diverges(ratings: Ratings, tmp_path: Path) -> None:
    module, data = module_of(ratings, Pretrain, adapts=["head"]), data_of(ratings)
    select = SelectAdaptation(steps=[5], rates=[0.05, 1e30])
    trainer = trainer_of(tmp_path, callbacks=[RunFolder(), select])
    trainer.fit(module, datamodule=data)
    assert select.chosen == {}
    trainer.predict(module, datamodule=data)
    assert select.chosen["inner_lr"] == module.algorithm.inner_loop.inner_lr == 0.05
    hopeless = trainer_of(tmp_path, callbacks=[SelectAdaptation(steps=[5], rates=[1e30])])
    with pytest.raises(InputError, match="no rate of"):
        hopeless.test(module, datamodule=data, verbose=False)
