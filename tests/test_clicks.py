"""Clicks through the trainer: trained by losses of clicks, judged by AUC among negatives, whatever the algorithm."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from metarec import experiment
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.callbacks import BestCheckpoint, SelectAdaptation
from metarec.curves import curves
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.sources import clicks
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.metrics.functional import auc
from metarec.module import MetaModule
from metarec.run_folder import RunFolder
from metarec.saving import KeepLast
from tests.conftest import synthetic_ratings, tiny_net
from tests.test_module import NET, data_of, equal, module_of, trainer_of

CLICKS = clicks(synthetic_ratings(users=60, items=80, fewest=40))
BEST = partial(BestCheckpoint, monitor="val/adapted/auc", mode="max")


def click_data(**options: object) -> EpisodeDataModule:
    arguments: dict = {"train_support": (2, 5), "train_query": 8, "eval_support": 4, "batch_size": 8, "negatives": 3}
    return EpisodeDataModule(
        CLICKS, UserCold((0.6, 0.2, 0.2), min_ratings=6, train_min_ratings=6), **{**arguments, **options}
    )


def click_module(algorithm: type = MAML, **options: object) -> MetaModule:
    torch.manual_seed(0)
    make = partial(algorithm, **options)
    return MetaModule(CLICKS.schema, NET, make, partial(torch.optim.Adam, lr=0.02), feedback="clicks")


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "bpr"])
def test_fit_and_test_on_clicks(loss: str, tmp_path: Path) -> None:
    module, data = click_module(loss=loss), click_data()
    trainer = trainer_of(tmp_path, max_epochs=12, callbacks=[RunFolder(), BEST()])
    trainer.fit(module, datamodule=data)
    logged = trainer.callback_metrics
    assert logged["val/missing"] == 0
    assert {name for name in logged if name.startswith("val/")} == {
        *("val/adapted/auc", "val/zero_shot/auc", "val/gain/auc", "val/missing")
    }
    losses = [float(logged[f"train/query_loss_{moment}_epoch"]) for moment in ("before", "after")]
    assert logged["train/gain_epoch"] == pytest.approx(losses[0] - losses[1], abs=1e-6)
    [tested] = trainer.test(module, datamodule=data, ckpt_path="best", verbose=False)
    assert tested["test/adapted/auc"] > 0.6
    assert tested["test/gain/auc"] == pytest.approx(tested["test/adapted/auc"] - tested["test/zero_shot/auc"])
    table = pd.read_parquet(tmp_path / "per_task.parquet")
    assert (table["support_size"] == 4 * 4).all()
    assert (table["query_size"] == 4 * (data.test_tasks.lengths.numpy() - 4)).all()
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["episodes"]["negatives"] == 3
    assert summary["metrics"]["test/adapted/auc"] == pytest.approx(table["adapted/auc"].mean())
    trainer.predict(module, datamodule=data, ckpt_path="best")
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert set(predictions["rating"]) == {0.0, 1.0}
    user = predictions["user"].iloc[0]
    own = predictions[predictions["user"] == user]
    columns = [torch.tensor(own[name].to_numpy())[None] for name in ("prediction", "rating")]
    value = auc(*columns, torch.ones_like(columns[0], dtype=torch.bool)).item()
    assert value == pytest.approx(table.set_index("user").loc[user, "adapted/auc"])


def test_a_resumed_fit_ends_at_the_same_weights(tmp_path: Path) -> None:
    """In the middle of a pool of batches, with negatives drawn anew."""

    def trained(folder: str, epochs: int, ckpt: Path | None = None) -> dict:
        module = click_module(loss="bpr")
        trainer = trainer_of(tmp_path / folder, max_epochs=epochs, callbacks=[KeepLast(), BEST()])
        trainer.fit(module, datamodule=click_data(), ckpt_path=ckpt)
        return module.state_dict()

    whole = trained("whole", 4)
    trained("half", 2)
    assert equal(whole, trained("rest", 4, tmp_path / "half" / "checkpoints" / "last.ckpt"))


def test_scores_that_are_no_numbers_stop_the_run(tmp_path: Path) -> None:
    module = click_module(loss="binary_cross_entropy")
    with torch.no_grad():
        module.algorithm.net.decoder.user_bias.fill_(torch.nan)
    with pytest.raises(InputError, match=r"the weights \(algorithm.net.decoder.user_bias\) are not; lower"):
        trainer_of(tmp_path, callbacks=[], max_epochs=1).fit(module, datamodule=click_data())


def test_fine_tuning_is_selected_by_auc(tmp_path: Path) -> None:
    module, data = click_module(Pretrain, adapts=["head"], loss="binary_cross_entropy"), click_data()
    select = SelectAdaptation(steps=[0, 5], rates=[0.1, 0.5])
    trainer = trainer_of(tmp_path, callbacks=[RunFolder(), select], max_epochs=4)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    trainer.callbacks.remove(select)
    chosen, how = select.chosen, module.algorithm.inner_loop
    for steps, rate in ((0, 0.1), (5, 0.1), (5, 0.5)):
        how.adaptation_steps, how.inner_lr = steps, rate
        [other] = trainer.validate(module, datamodule=data, verbose=False)
        assert other["val/adapted/auc"] <= chosen["val_auc"] + 1e-6


def test_clicks_and_ratings_are_not_mixed_up(ratings: Ratings, tmp_path: Path) -> None:
    for module, data in (
        (click_module(loss="bpr"), click_data(negatives=0)),
        (module_of(CLICKS, loss="bpr"), click_data()),
    ):
        with pytest.raises(InputError, match=r"give clicks and a number >= 1, as configs/feedback/clicks\.yaml does"):
            trainer_of(tmp_path, callbacks=[]).fit(module, datamodule=data)
    with pytest.raises(InputError, match="loss bpr: ratings in"):
        trainer_of(tmp_path, callbacks=[]).fit(module_of(ratings, loss="bpr"), datamodule=data_of(ratings))


def test_curves_of_clicks_do_not_depend_on_the_level_of_scores() -> None:
    batch = next(iter(click_data().train_dataloader()))
    algorithm = MAML(tiny_net(CLICKS), ["decision"], loss="bpr")
    found = curves(algorithm, batch, "clicks")
    with torch.no_grad():
        algorithm.net.decoder.user_bias += 3.0
    torch.testing.assert_close(curves(algorithm, batch, "clicks"), found, rtol=0, atol=1e-5)


def test_only_auc_makes_a_table_of_clicks() -> None:
    plan = experiment.load(Path("experiments/movielens-100k-clicks.yaml"))
    for metric, message in (("mae", "metrics: no metric 'mae'; known are"), ("auc", "")):
        asked = dataclasses.replace(plan, metrics=[metric])
        jobs = experiment.expand(asked, Path("results"), seeds=[0], methods=["maml-bpr"])
        if message:
            with pytest.raises(InputError, match=message):
                experiment.check(asked, jobs)
        else:
            experiment.check(asked, jobs)
