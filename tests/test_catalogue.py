"""FullCatalogue in the Trainer; the algorithm's own scores, user by user, and plain lists are the oracle."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from metarec import catalogue, configured, experiment, training
from metarec.baselines.means import GlobalMean, ItemMean
from metarec.baselines.popularity import Popularity
from metarec.callbacks import BestCheckpoint
from metarec.catalogue import FullCatalogue, names, names_of_runs
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.splits import ItemCold, UserCold
from metarec.data.tasks import alone
from metarec.data.transforms import likes
from metarec.data.warm import Warm
from metarec.errors import InputError
from metarec.metrics import higher_is_better
from metarec.metrics.ranking import RELEVANT
from metarec.module import MetaModule
from metarec.nets.base import NoNet
from metarec.run_folder import RunFolder
from tests.conftest import synthetic_ratings
from tests.metrics.test_ranking import plainly
from tests.test_clicks import click_data, click_module
from tests.test_module import data_of, module_of, trainer_of
from tests.test_training import LAYERS

K = 3
COMMAND = Path("configs/evaluation/full_catalogue.yaml")


def judged(folder: Path, module: MetaModule, data: object, callback: FullCatalogue) -> tuple[pd.DataFrame, dict]:
    """The per-task table, its rows in the order of tasks, and the metrics of a test."""
    trainer_of(folder, callbacks=[RunFolder(), callback]).test(module, datamodule=data, verbose=False)
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    return pd.read_parquet(folder / "per_task.parquet").set_index("user"), metrics


def fitted(module: MetaModule, data: object, folder: Path, monitor: str = "val/adapted/mae") -> MetaModule:
    trainer_of(folder, callbacks=[BestCheckpoint(monitor)], max_epochs=2).fit(module, datamodule=data)
    return module.eval()


def lists(module: MetaModule, data: object, items: np.ndarray, relevant: float) -> dict[str, dict[str, list]]:
    """By user and mode, whether each candidate is relevant, the best scored first, and the candidates in that order."""
    found = {}
    for batch in data.test_dataloader():
        for number in range(len(batch.task)):
            one = alone(batch, number)
            seen = {*one.support.item[0].tolist()[:: 1 + data.negatives]} | known(data, int(one.task))
            good = set(one.query.item[0][one.query.rating[0] >= relevant].tolist())
            free = np.array([item for item in items if item not in seen])
            for mode in ("zero_shot", "adapted"):
                fast = module.algorithm.adapt(one.task, one.support) if mode == "adapted" else {}
                score = module.algorithm.predict(fast, one.task, torch.from_numpy(free)[None])[0].detach().numpy()
                order = free[np.argsort(-score, kind="stable")]
                user = data.ratings.user_ids[int(one.task)]
                found.setdefault(user, {})[mode] = [[item in good for item in order], order]
    return found


def known(data: object, user: int) -> set[int]:
    """The items that a user has rated before the test, whether or not the episode adapts to them."""
    rows = {*data.split.train.tolist(), *data.split.support.get("test", np.array([], dtype=int)).tolist()}
    return {int(data.ratings.item[row]) for row in rows if data.ratings.user[row] == user}


def check(table: pd.DataFrame, own: dict, name: str) -> None:
    """The table's columns are those of the lists; where nothing is relevant, NaN."""
    assert set(table.index) == set(own)
    for user, modes in own.items():
        for mode, (order, _) in modes.items():
            value = table.loc[user, f"{mode}/full_{name}@{K}"]
            if any(order):
                assert value == pytest.approx(plainly(name, order, K), abs=1e-6)
            else:
                assert np.isnan(value)


@pytest.mark.parametrize("chunk", [1, 100, 2**22])
def test_ranks_are_those_of_sorted_lists(
    ratings: Ratings, tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "SCORES", chunk)
    data = data_of(ratings)
    module = fitted(module_of(ratings), data, tmp_path)
    table, metrics = judged(tmp_path, module, data, FullCatalogue([K]))
    items = np.unique(data.train_tasks.item.numpy())
    own = lists(module, data, items, RELEVANT)
    for name in ("precision", "recall", "hit", "mrr", "map"):
        check(table, own, name)
        column = f"adapted/full_{name}@{K}"
        assert metrics[f"test/{column}"] == pytest.approx(table[column].mean(), abs=1e-6)
        gain = table[column].mean() - table[f"zero_shot/full_{name}@{K}"].mean()
        assert metrics[f"test/gain/full_{name}@{K}"] == pytest.approx(gain, abs=1e-6)
    assert {f"test/adapted/{name}" for name in names_of_runs([K])} <= set(metrics)
    for mode in ("zero_shot", "adapted"):
        tops = [order[:K] for modes in own.values() for _, order in [modes[mode]]]
        assert metrics[f"test/{mode}/coverage@{K}"] == pytest.approx(len(np.unique(tops)) / len(items), abs=1e-6)
        count = np.bincount(data.train_tasks.item.numpy(), minlength=len(ratings.item_ids)).clip(1)
        bits = -np.log2(count / len(data.train_tasks.task))
        assert metrics[f"test/{mode}/novelty@{K}"] == pytest.approx(bits[np.stack(tops)].mean(), abs=1e-5)
    assert (table["full_outside"] == 0).all()
    assert (table["full_relevant"] == [sum(own[user]["adapted"][0]) for user in table.index]).all()
    assert metrics["test/full_missing"] == table[f"adapted/full_ndcg@{K}"].isna().sum()


def test_a_constant_score_is_chance(ratings: Ratings, tmp_path: Path) -> None:
    data = data_of(ratings)
    table, metrics = judged(tmp_path, MetaModule(ratings.schema, NoNet, GlobalMean), data, FullCatalogue([K, 5]))
    for name in names([K, 5]):
        if not name.startswith("novelty"):
            own, chance = table[f"adapted/{name}"], table[f"chance/{name}"]
            np.testing.assert_allclose(own, chance, atol=1e-12)
    items = len(np.unique(data.train_tasks.item))
    precision = table["full_relevant"] / (items - table["support_size"])
    np.testing.assert_allclose(table[f"chance/full_precision@{K}"].dropna(), precision[precision > 0], atol=1e-12)
    seen = torch.cat([batch.support.item.flatten() for batch in data.test_dataloader()])
    free = len(table) - torch.bincount(seen, minlength=31)[data.train_tasks.item.unique()]
    expected = (1 - (1 - K / (items - 4)) ** free.double()).mean().item()
    assert metrics[f"test/adapted/coverage@{K}"] == pytest.approx(expected, abs=1e-6)


def test_clicks_leave_negatives_among_the_candidates(tmp_path: Path) -> None:
    data = click_data()
    module = fitted(click_module(loss="bpr"), data, tmp_path, "val/adapted/auc")
    table, _ = judged(tmp_path, module, data, FullCatalogue([K]))
    own = lists(module, data, np.unique(data.train_tasks.item.numpy()), 1.0)
    check(table, own, "mrr")
    check(table, own, "recall")
    assert (table["full_relevant"] == table["query_size"] / 4).all()
    candidates = table["full_relevant"] / table[f"chance/full_precision@{K}"]
    np.testing.assert_allclose(candidates, len(data.train_tasks.item.unique()) - 4)  # of 16 support rows, 4 are clicks


def test_all_items_are_a_larger_catalogue(ratings: Ratings, tmp_path: Path) -> None:
    """Items without a training rating are candidates of the one, and outside of the other."""
    data = data_of(ratings)
    test = data.split.test
    kept = np.setdiff1d(np.arange(len(ratings)), np.setdiff1d(np.flatnonzero(ratings.item == 7), test))
    fewer = dataclasses.replace(ratings.at(kept), digest="1" * 64)
    module = MetaModule(fewer.schema, NoNet, ItemMean)
    found = {}
    for items in ("known", "all"):
        data = data_of(fewer)
        data.scenario = Admits(data.scenario)
        found[items] = judged(tmp_path / items, module, data, FullCatalogue([K], relevant=1.0, items=items))[0]
    assert found["known"]["full_outside"].sum() > 0
    assert found["all"]["full_outside"].sum() == 0
    total = found["known"]["full_relevant"] + found["known"]["full_outside"]
    assert (found["all"]["full_relevant"] == total).all()


class Admits:
    """The scenario's split, with ratings of unknown items put back among those of test users."""

    def __init__(self, scenario: object) -> None:
        self.scenario, self.seed = scenario, scenario.seed

    def __call__(self, ratings: Ratings, tasks: str = "users") -> object:
        split = self.scenario(ratings)
        users = np.unique(ratings.user[split.test])
        return dataclasses.replace(split, test=np.flatnonzero(np.isin(ratings.user, users)))


def test_scores_that_are_no_numbers_are_counted(ratings: Ratings, tmp_path: Path) -> None:
    module = MetaModule(ratings.schema, NoNet, ItemMean)
    data = data_of(ratings)
    predict = module.algorithm.predict
    first = int(data.test_tasks.task[0])

    def broken(fast: dict, task: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return predict(fast, task, item).masked_fill(((task == first)[:, None]) & (item == 3), torch.nan)

    module.algorithm.predict = broken
    table, metrics = judged(tmp_path, module, data, FullCatalogue([K]))
    lost = table.filter(regex="^(zero_shot|adapted)/(full|novelty)").isna().all(axis=1)
    assert lost.loc[ratings.user_ids[first]]
    assert metrics["test/full_missing"] >= 1
    assert table.filter(regex="^chance").loc[ratings.user_ids[first]].notna().all()


def test_popularity_keeps_its_order_in_chunks(ratings: Ratings, tmp_path: Path) -> None:
    """Its scores differ in the last digits of double precision only."""
    data = data_of(ratings)
    module = MetaModule(ratings.schema, NoNet, Popularity)
    table, _ = judged(tmp_path, module, data, FullCatalogue([1]))
    count = np.bincount(data.train_tasks.item.numpy())
    ties = np.bincount(count)
    assert ties[count.max()] == 1
    for batch in data.test_dataloader():
        for number, user in enumerate(batch.task.tolist()):
            one = alone(batch, number)
            free = count.copy()
            free[one.support.item[0]] = 0
            best = np.flatnonzero(free == free.max())
            good = set(one.query.item[0][one.query.rating[0] >= 4].tolist())
            value = table.loc[ratings.user_ids[user], "adapted/full_precision@1"]
            assert np.isnan(value) or value == pytest.approx(np.mean([item in good for item in best]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": []}, "k is empty; give cut-offs such as"),
        ({"k": [5, 0]}, "k 0: give a number >= 1"),
        ({"items": "mew"}, "items 'mew'; give 'known', 'new' or 'all'"),
        ({"memory": 0}, "memory 0: give a number >= 1"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FullCatalogue(**options)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (FullCatalogue([30]), "k 30: the catalogue has 30 items; give a smaller one"),
        (FullCatalogue([3], relevant=6), "relevant 6: no rating on the scale"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_the_test(
    ratings: Ratings, tmp_path: Path, callback: FullCatalogue, message: str
) -> None:
    module = MetaModule(ratings.schema, NoNet, ItemMean)
    with pytest.raises(InputError, match=message):
        trainer_of(tmp_path, callbacks=[RunFolder(), callback]).test(module, datamodule=data_of(ratings))
    assert not list(tmp_path.iterdir())


def test_tables_may_list_them_where_the_callback_is_there() -> None:
    plan = experiment.load(Path("experiments/movielens-100k-user-cold.yaml"))
    asked = dataclasses.replace(plan, metrics=["precision@5", "full_ndcg@10"])
    with pytest.raises(InputError, match="metrics: no metric 'full_ndcg@10'"):
        experiment.check(asked, experiment.expand(asked, Path("results"), methods=["item-mean"]))
    with_it = dataclasses.replace(asked, layers=[*asked.layers, str(COMMAND)])
    jobs = experiment.expand(with_it, Path("results"), methods=["item-mean"])
    experiment.check(with_it, jobs)
    known = configured.measured(training.parse(jobs[0].command))
    assert {*names([10, 20]), *names_of_runs([10, 20])} <= set(known)
    assert all(higher_is_better(name) for name in [*names([10, 20]), *names_of_runs([10, 20])])


def test_a_larger_catalogue_and_another_way_to_adapt_agree_with_lists(tmp_path: Path) -> None:
    wide = synthetic_ratings(users=80, items=400, fewest=30)
    data = data_of(wide)
    module = fitted(module_of(wide, adapts=["decision"]), data, tmp_path)
    table, _ = judged(tmp_path, module, data, FullCatalogue([K]))
    check(table, lists(module, data, np.unique(data.train_tasks.item.numpy()), RELEVANT), "map")


def test_clicks_of_ratings_have_a_threshold_of_their_own(tmp_path: Path) -> None:
    """With the model's 4 no click would be relevant."""
    data = click_data()
    module = MetaModule(data.schema, NoNet, Popularity, feedback="clicks")
    table, _ = judged(tmp_path, module, data, FullCatalogue([K]))
    assert table[f"adapted/full_ndcg@{K}"].notna().all()


def without_ties(ratings: Ratings) -> MetaModule:
    """A module that scores all items differently, also those of which nothing is known."""
    module = MetaModule(ratings.schema, NoNet, ItemMean)
    module.algorithm.predict = lambda fast, task, item: (item * 11 + task[:, None]) % 31 / 31.0
    return module


@pytest.mark.parametrize("items", ["known", "all"])
def test_what_a_known_user_rated_is_no_candidate(ratings: Ratings, tmp_path: Path, items: str) -> None:
    """The support set holds three of a user's known ratings; all others are known all the same."""
    data = EpisodeDataModule(ratings, Warm((0.5, 0.25, 0.25)), eval_support=3)
    module = without_ties(ratings)
    table, _ = judged(tmp_path, module, data, FullCatalogue([K], items=items))
    own = lists(module, data, np.arange(1, 31), RELEVANT)
    before = [known(data, ratings.user_ids.index(user)) for user in table.index]
    assert min(map(len, before)) > 3
    check(table, own, "precision")
    candidates = (table["full_relevant"] / table[f"chance/full_precision@{K}"]).dropna()
    expected = pd.Series([30 - len(items) for items in before], table.index)
    np.testing.assert_allclose(candidates, expected[candidates.index])


def item_cold(ratings: Ratings) -> EpisodeDataModule:
    return EpisodeDataModule(ratings, ItemCold((0.5, 0.2, 0.3), train_min_ratings=4), train_query=2, eval_support=0)


def test_new_items_are_a_catalogue_of_their_own(ratings: Ratings, tmp_path: Path) -> None:
    data = item_cold(ratings)
    module = without_ties(ratings)
    table, _ = judged(tmp_path, module, data, FullCatalogue([K], items="new"))
    items = np.unique(ratings.item[data.split.test])
    assert len(items) == 9
    own = lists(module, data, items, RELEVANT)
    check(table, own, "mrr")
    candidates = (table["full_relevant"] / table[f"chance/full_precision@{K}"]).dropna()
    np.testing.assert_allclose(candidates, 9)
    assert (table["full_outside"] == 0).all()


def test_all_items_without_those_that_were_trained_on(ratings: Ratings, tmp_path: Path) -> None:
    data = item_cold(ratings)
    module = without_ties(ratings)
    table, _ = judged(tmp_path, module, data, FullCatalogue([K], items="all"))
    check(table, lists(module, data, np.arange(1, 31), RELEVANT), "recall")


def test_a_catalogue_without_what_is_asked_for_is_refused(ratings: Ratings, tmp_path: Path) -> None:
    cold = item_cold(ratings)
    warm = EpisodeDataModule(ratings, UserCold(min_ratings=11), eval_support=4)
    for data, items, message in (
        (cold, "known", "items known: none of the 9 items of the test tasks has a training rating; give items new"),
        (warm, "new", "items new: every item of the test tasks has a training rating; give items known"),
    ):
        callbacks = [RunFolder(), FullCatalogue([K], items=items)]
        module = MetaModule(ratings.schema, NoNet, ItemMean)
        with pytest.raises(InputError, match=message):
            trainer_of(tmp_path, callbacks=callbacks).test(module, datamodule=data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("negatives", [0, 3])
def test_dislikes_of_the_data_are_seen(tmp_path: Path, negatives: int) -> None:
    """A row of rating 0 is a sampled negative only where it was sampled."""
    ratings = likes(synthetic_ratings(items=60))
    scenario = UserCold((0.5, 0.2, 0.3), min_ratings=8, max_ratings=50, train_max_ratings=50)
    data = EpisodeDataModule(ratings, scenario, eval_support=4, negatives=negatives)
    module = MetaModule(data.schema, NoNet, Popularity, feedback="clicks")
    table, _ = judged(tmp_path, module, data, FullCatalogue([K]))
    disliked = torch.cat([(b.support.rating[:, :: 1 + negatives] == 0).sum(1) for b in data.test_dataloader()])
    assert (disliked > 0).any()
    candidates = (table["full_relevant"] / table[f"chance/full_precision@{K}"]).dropna()
    np.testing.assert_allclose(candidates, len(data.train_tasks.item.unique()) - 4)


def in_processes(ranks: int, folder: Path, users: float) -> subprocess.CompletedProcess:
    """A test over the full catalogue of MovieLens 100K, of this share of its users, in so many processes."""
    layers = [*LAYERS[:3], "-c=configs/baseline/item_user_bias.yaml", f"-c={COMMAND}"]
    options = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--data.eval_batch_size=7"]
    options += [f"--data.scenario.init_args.fractions=[{1 - 2 * users},{users},{users}]"]
    options += ["--trainer.strategy=ddp", f"--trainer.devices={ranks}"] if ranks > 1 else []
    arguments = [sys.executable, "-m", "metarec", "test", *layers, *options, f"--trainer.default_root_dir={folder}"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("movielens")
def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    """Of an odd number of users in several batches: the same row a user, the same means, the same coverage."""
    tables, means = [], []
    for ranks in (1, 2):
        done = in_processes(ranks, tmp_path / str(ranks), 0.041)
        assert done.returncode == 0, done.stderr[-2000:]
        tables.append(pd.read_parquet(tmp_path / str(ranks) / "per_task.parquet").drop(columns="seconds"))
        means.append(json.loads((tmp_path / str(ranks) / "metrics.json").read_text())["metrics"])
    assert len(tables[0]) == 39
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)
    assert {"test/adapted/coverage@10", "test/zero_shot/coverage@20", "test/full_missing"} <= set(means[0])
    assert means[0] == pytest.approx(means[1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("movielens")
def test_more_processes_than_users_are_refused(tmp_path: Path) -> None:
    done = in_processes(2, tmp_path, 0.0015)
    assert done.returncode == 2
    said = "metarec: error: 1 test task(s) for 2 processes; give --trainer.devices=1 or fewer"
    lines = [line for line in done.stderr.splitlines() if line.startswith("metarec: error: ")]
    assert lines
    assert "".join(lines).replace(said, "") == ""  # two processes may write into one line
    assert not list(tmp_path.rglob("*.parquet"))
