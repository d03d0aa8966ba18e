"""KShotCurve in the Trainer: same users, same queries, k ratings and no more."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from metarec.algorithms.base import Fast
from metarec.algorithms.gradient.maml import MAML
from metarec.baselines.means import ItemUserBias
from metarec.baselines.neighbours import ItemKNN
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.shots import shot_sizes
from metarec.data.tasks import Rows
from metarec.data.warm import Warm
from metarec.errors import InputError
from metarec.k_shot.callback import KShotCurve, predictions
from metarec.metrics.intervals import mean_interval
from metarec.module import MetaModule
from metarec.nets.base import NoNet
from metarec.run_folder import RunFolder
from metarec.tracking import wandb_logger
from metarec.tracking.offline import records
from tests.conftest import tiny_net
from tests.test_clicks import click_data, click_module
from tests.test_module import data_of, module_of, trainer_of
from tests.test_training import LAYERS

SHOTS = (0, 1, 2, 5)
METRICS = ["mae", "rmse", "mse", "ndcg_linear@5", "ndcg_exp@5", "precision@5", "recall@5", "hit@5", "mrr@5", "map@5"]


def judged(
    folder: Path, module: MetaModule, data: EpisodeDataModule, shots: tuple[int, ...] = SHOTS, **options: object
) -> pd.DataFrame:
    """The curves of one test, without a picture."""
    callback = KShotCurve(shots, picture=False, **options)
    trainer_of(folder, callbacks=[callback, RunFolder()]).test(module, datamodule=data, verbose=False)
    return pd.read_parquet(folder / "k_shot.parquet")


def baseline(ratings: Ratings, algorithm: type = ItemUserBias) -> MetaModule:
    return module_of(ratings, algorithm, NoNet)


@pytest.mark.parametrize(("order", "precision"), [("random", "32-true"), ("time", "64-true"), ("random", "bf16-mixed")])
def test_both_ends_are_the_test_itself(ratings: Ratings, tmp_path: Path, order: str, precision: str) -> None:
    """k = 0 is the test's zero-shot model, the largest k its adapted one, where the test adapts on as many."""
    data = data_of(ratings, eval_support=5, order=order, test_draws=3 if order == "random" else 1)
    callbacks = [KShotCurve(SHOTS, picture=False), RunFolder()]
    module, trainer = module_of(ratings), trainer_of(tmp_path, callbacks=callbacks, precision=precision)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    table, test = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("k_shot", "per_task"))
    assert list(table.columns) == ["user", "draw", "k", *METRICS]
    for k, mode in ((0, "zero_shot"), (5, "adapted")):
        ours = table[table["k"] == k].set_index(["user", "draw"])[METRICS].sort_index()
        theirs = test.set_index(["user", "draw"])[[f"{mode}/{name}" for name in METRICS]].sort_index()
        np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-12)
    assert (table["k"].value_counts() == len(test)).all()


def test_summary(ratings: Ratings, tmp_path: Path) -> None:
    data = data_of(ratings, test_draws=2)
    table = judged(tmp_path, baseline(ratings), data, (0, 2, 12), query=8)
    lengths = np.bincount(ratings.user)[np.unique(data.test_tasks.task)]
    summary = json.loads((tmp_path / "k_shot.json").read_text())
    assert summary["users"] == table["user"].nunique() == (lengths >= 20).sum()
    assert summary["left_out"] == {"fewer than 20 ratings": (lengths < 20).sum()}
    assert 0 < (lengths < 20).sum() < len(lengths)
    users = table[table["k"] == 2].groupby("user")["mae"].mean()
    point = mean_interval(users.to_numpy(), resamples=2_000)
    mae = summary["metrics"]["mae"]
    assert [mae[end][1] for end in ("mean", "low", "high")] == pytest.approx(point[:3])
    assert mae["mean"][2] < mae["area"]["mean"] < mae["mean"][0]
    assert 2 < mae["shots_to_95"] <= 12
    assert summary["metrics"]["ndcg_exp@5"]["shots_to_95"] is None, "biases of users change no order"
    assert not (tmp_path / "k_shot.png").exists()


def test_known_users_lack_known_ratings(ratings: Ratings, tmp_path: Path) -> None:
    data = EpisodeDataModule(ratings, Warm((0.5, 0.25, 0.25)), eval_support=4)
    judged(tmp_path, baseline(ratings), data, (0, 15), query=2)
    known = data.test_tasks.lengths - data.test_tasks.query
    summary = json.loads((tmp_path / "k_shot.json").read_text())
    assert summary["left_out"] == {"fewer than 15 known ratings": int((known < 15).sum())}
    assert 0 < int((known < 15).sum()) < len(known)


class Spy(ItemKNN):
    """Keeps what it is given."""

    def __init__(self, net: NoNet) -> None:
        super().__init__(net)
        self.seen: list[tuple[Tensor, Rows | None, Tensor]] = []
        self.support: Rows | None = None

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        self.support = support
        return super().adapt(task, support)

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        self.seen.append((task, self.support, item))
        self.support = None
        return super().predict(fast, task, item)


@pytest.mark.parametrize("order", ["random", "time"])
def test_the_query_stays_and_the_support_grows(ratings: Ratings, tmp_path: Path, order: str) -> None:
    module, data = baseline(ratings, Spy), data_of(ratings, order=order)
    episodes = data.shot_episodes(shot_sizes(SHOTS, None))
    trainer_of(tmp_path, callbacks=[KShotCurve(SHOTS, picture=False)]).test(module, datamodule=data, verbose=False)
    seen = module.algorithm.seen[-len(SHOTS) :]
    assert len(episodes) == 1
    for k, (task, support, item) in zip(SHOTS, seen, strict=True):
        assert torch.equal(task, seen[0][0])
        assert torch.equal(item, seen[0][2])
        if k == 0:
            assert support is None, "zero-shot, there is no support"
            continue
        assert support is not None
        assert support.mask.shape == (len(task), k)
        assert support.mask.all()
        assert torch.equal(support.item, seen[-1][1].item[:, :k])
        asked = item.unsqueeze(2) == support.item.unsqueeze(1)
        assert not asked[item > 0].any(), "a query item in the support"


@pytest.mark.parametrize("algorithm", [ItemUserBias, ItemKNN, MAML])
@pytest.mark.parametrize("order", ["random", "time"])
def test_k_shots_use_k_ratings(ratings: Ratings, tmp_path: Path, algorithm: type, order: str) -> None:
    """Other ratings on the candidates behind the k-th change the curve behind k only."""
    module = module_of(ratings) if algorithm is MAML else baseline(ratings, algorithm)
    module.weights = {"epochs": 0, "steps": 0}
    data = data_of(ratings, order=order)
    before = judged(tmp_path / "before", module, data).set_index(["user", "k"])["mae"].unstack("k")
    tasks = data.test_tasks
    for start, stop in zip(tasks.offset[:-1].tolist(), tasks.offset[1:].tolist(), strict=True):
        support = start if order == "time" else stop - max(SHOTS)
        tasks.rating[support + 2 : support + max(SHOTS)] = 6 - tasks.rating[support + 2 : support + max(SHOTS)]
    after = judged(tmp_path / "after", module, data).set_index(["user", "k"])["mae"].unstack("k")
    pd.testing.assert_frame_equal(before[[0, 1, 2]], after[[0, 1, 2]])
    assert (before[5] != after[5]).mean() > 0.5
    assert (before[0] != before[1]).any()


@pytest.mark.parametrize("algorithm", [ItemUserBias, ItemKNN, MAML])
def test_query_labels_change_no_prediction(ratings: Ratings, algorithm: type) -> None:
    data = data_of(ratings)
    batch = data.shot_episodes(shot_sizes(SHOTS, None))[0]
    made = algorithm(tiny_net(ratings) if algorithm is MAML else NoNet(ratings.schema))
    made.prepare(ratings, data.train_tasks)
    scrambled = batch._replace(query=batch.query._replace(rating=torch.rand_like(batch.query.rating) * 5))
    found = dict(predictions(made, batch, SHOTS))
    for k, prediction in predictions(made, scrambled, SHOTS):
        assert torch.equal(prediction, found[k])
        assert not prediction.requires_grad
    assert all(not torch.equal(found[k], found[0]) for k in SHOTS[1:])


def test_clicks_among_negatives(tmp_path: Path) -> None:
    """At the test's own support size, the test's own AUC; before, that of the model without adaptation."""
    module, data = click_module(), click_data(eval_query=5)
    module.weights = {"epochs": 0, "steps": 0}
    table = judged(tmp_path, module, data, (0, 2, 4), query=5)
    test = pd.read_parquet(tmp_path / "per_task.parquet").set_index("user")
    for k, mode in ((0, "zero_shot"), (4, "adapted")):
        own = table[table["k"] == k].set_index("user")["auc"]
        np.testing.assert_allclose(own, test.loc[own.index, f"{mode}/auc"], rtol=1e-6)
    assert json.loads((tmp_path / "k_shot.json").read_text())["metrics"]["auc"]["higher_is_better"]


def test_too_many_shots_are_refused_before_training(ratings: Ratings, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, callbacks=[KShotCurve((0, 40), picture=False)])
    with pytest.raises(InputError, match="none of 8 test users has the 41 ratings"):
        trainer.fit(module_of(ratings), datamodule=data_of(ratings))
    assert trainer.global_step == 0


def test_a_fit_forgets_the_curves_of_other_weights(ratings: Ratings, tmp_path: Path) -> None:
    for name in ("k_shot.json", "k_shot.parquet", "k_shot.png"):
        (tmp_path / name).touch()
    trainer_of(tmp_path, max_epochs=1).fit(module_of(ratings), datamodule=data_of(ratings))
    assert not list(tmp_path.glob("k_shot*"))


def test_picture_and_weights_and_biases(ratings: Ratings, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import wandb

    logger = wandb_logger(save_dir=str(tmp_path))
    trainer = trainer_of(tmp_path, callbacks=[KShotCurve(SHOTS), RunFolder()], logger=logger)
    trainer.test(baseline(ratings), datamodule=data_of(ratings), verbose=False)
    wandb.finish()
    wandb.teardown()
    assert (tmp_path / "k_shot.png").read_bytes().startswith(b"\x89PNG")
    [path] = tmp_path.rglob("*.wandb")
    found = list(records(path))
    rows = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    curve = [row for row in rows if "k_shot/k" in row]
    summary = json.loads((tmp_path / "k_shot.json").read_text())["metrics"]["mae"]
    assert [row["k_shot/k"] for row in curve] == list(SHOTS)
    for name, end in (("mae", "mean"), ("mae_low", "low"), ("mae_high", "high")):
        assert [row[f"k_shot/{name}"] for row in curve] == pytest.approx(summary[end])
    steps = {record.metric.name: record.metric.step_metric for record in found if record.HasField("metric")}
    assert {steps[f"k_shot/{name}"] for name in METRICS} == {"k_shot/k"}
    figures = {item.key or item.nested_key[0]: json.loads(item.value_json) for r in found for item in r.summary.update}
    assert figures["k_shot_area/mae"] == pytest.approx(summary["area"]["mean"])


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="picture=false"):
        KShotCurve()
    assert KShotCurve(picture=False).shots == [0, 1, 2, 3, 5, 10, 20]


@pytest.mark.slow
@pytest.mark.usefixtures("movielens")
def test_two_processes_judge_every_user_once(tmp_path: Path) -> None:
    layers = [*LAYERS[:3], "-c=configs/baseline/item_user_bias.yaml", "-c=configs/evaluation/k_shot.yaml"]
    options = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--data.test_draws=2"]
    tables = []
    for ranks in ([], ["--trainer.devices=2", "--trainer.strategy=ddp"]):
        folder = tmp_path / str(len(ranks))
        arguments = [sys.executable, "-m", "metarec", "test", *layers, *options, *ranks]
        done = subprocess.run(
            [*arguments, f"--trainer.default_root_dir={folder}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("k-shot curves: 92 test users; 2 left out") == 1
        tables.append(pd.read_parquet(folder / "k_shot.parquet"))
    assert len(tables[0]) == 92 * 2 * 7
    pd.testing.assert_frame_equal(*tables)
