"""The training commands through the command line, on files in the real format and on real data."""

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from metarec import cli, training
from metarec.data.ratings import Ratings
from metarec.module import MetaModule
from tests import small

LAYERS = [
    "-c=configs/base.yaml",
    "-c=configs/data/movielens-100k.yaml",
    "-c=configs/scenario/user_cold.yaml",
    "-c=configs/net/neumf.yaml",
    "-c=configs/algorithm/maml.yaml",
]
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.callbacks=[]"]


def metarec(command: str, *options: str) -> None:
    cli.main([command, *LAYERS, *options])


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line that a refused command prints."""
    with pytest.raises(SystemExit) as stopped:
        metarec("fit", *options)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.usefixtures("movielens")
def test_fit_validate_test_predict_on_movielens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = f"--trainer.default_root_dir={tmp_path}"
    metarec("fit", folder, "--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--then_test=true")
    after_fit = json.loads((tmp_path / "metrics.json").read_text())
    best = tmp_path / "checkpoints" / "best.ckpt"
    assert after_fit["data"]["name"] == "movielens-100k"
    assert after_fit["tasks"] == 94
    for command in ("validate", "test", "predict"):
        cli.main([command, f"-c={tmp_path / 'config.yaml'}", f"--ckpt_path={best}", "--trainer.accelerator=cpu"])
    after_test = json.loads((tmp_path / "metrics.json").read_text())
    assert after_test["metrics"] == pytest.approx(after_fit["metrics"])
    assert (after_test["epochs"], after_test["steps"]) == (after_fit["epochs"], after_fit["steps"])
    assert after_fit["steps"] == 24 * after_fit["epochs"] > 0
    table = pd.read_parquet(tmp_path / "per_task.parquet")
    assert len(table) == 94
    assert {"user", "support_size", "zero_shot/mae", "adapted/mae", "adapted/ndcg_exp@5"} <= set(table.columns)
    assert set(pd.read_parquet(tmp_path / "predictions.parquet").columns) == {
        "user",
        "item",
        "rating",
        "prediction",
    }
    assert "Traceback" not in capsys.readouterr().err

    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["model"]["algorithm"]["class_path"] == "metarec.algorithms.gradient.maml.MAML"
    module = MetaModule.load_from_checkpoint(best, weights_only=True)
    saved = torch.load(best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in saved.items())


@pytest.mark.usefixtures("movielens")
def test_training_goes_on_from_the_weights_of_an_earlier_period(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = ["base", "data/movielens-100k", "scenario/period", "net/neumf", "algorithm/fomaml"]

    def fit(name: str, *options: str) -> Path:
        folder, short = tmp_path / name, ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
        layered = [f"-c=configs/{layer}.yaml" for layer in layers]
        cli.main(["fit", *layered, *QUIET[:2], *short, f"--trainer.default_root_dir={folder}", *options])
        return folder / "checkpoints" / "best.ckpt"

    still = "--model.optimizer.init_args.lr=0"
    later = [f"--data.scenario.init_args.{option}" for option in ("period=2", "train=last")]
    first = fit("first")
    apart, on = fit("apart", *later, still), fit("on", *later, still, f"--start_from={first}")
    weights, begun, gone_on = (torch.load(path, weights_only=True)["state_dict"] for path in (first, apart, on))
    prior = "algorithm.net.decoder.user_prior"
    assert torch.equal(gone_on[prior], weights[prior])
    assert not torch.equal(begun[prior], weights[prior])
    assert yaml.safe_load((tmp_path / "on" / "config.yaml").read_text())["start_from"] == str(first)
    first.rename(tmp_path / "moved.ckpt")  # what a test of the run does without
    cli.main(["test", f"-c={tmp_path / 'on' / 'config.yaml'}", f"--ckpt_path={on}", *QUIET[:2]])
    with pytest.raises(SystemExit):
        fit("back", f"--start_from={on}")
    assert "may have seen what validates here" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", ["meta_emb", "mwuf"])
def test_new_items_are_the_tasks_where_the_fragment_of_the_data_swaps(
    algorithm: str, tmp_path: Path, movielens: Ratings
) -> None:
    layers = ["base", "scenario/user_cold", "net/neumf", "data/movielens-100k-items", f"algorithm/{algorithm}"]
    options = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1", "--trainer.limit_train_batches=3"]
    cli.main(["fit", *(f"-c=configs/{layer}.yaml" for layer in layers), *options, *QUIET[:2], "--then_test=true"])
    table = pd.read_parquet(tmp_path / "per_task.parquet")
    found = dict(zip(table["user"], table["support_size"] + table["query_size"], strict=True))
    rated = np.bincount(movielens.item, minlength=len(movielens.item_ids))
    assert json.loads((tmp_path / "metrics.json").read_text())["data"]["name"] == "movielens-100k-swapped"
    assert len(found) > 50
    for item, count in found.items():
        assert 17 <= count <= rated[movielens.item_ids.index(item)]


@pytest.mark.usefixtures("movielens")
def test_csv_logger_writes_into_the_run_folder(tmp_path: Path) -> None:
    metarec(
        "fit",
        *QUIET,
        "-c=configs/logger/csv.yaml",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.max_epochs=1",
    )
    logged = pd.read_csv(tmp_path / "csv" / "metrics.csv")
    assert {"train/gain_step", "val/adapted/mae", "val/zero_shot/mae"} <= set(logged.columns)


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.precision=bf16-mixed"],
        ["--trainer.gradient_clip_algorithm=value"],
        ["--model.net.init_args.sparse=true", "--model.optimizer=metarec.optim.RowAdamW"],
        ["--model.algorithm.init_args.update_rule=metarec.algorithms.update_rules.MetaSGD"],
        ["--model.algorithm.init_args.update_rule=metarec.algorithms.update_rules.Kronecker"],
        [
            "--data.length_sorted=true",
            "--model.algorithm.init_args.adapts=[decision]",
            "--model.algorithm.init_args.engine=fused",
            "--model.net.init_args.dropout=0",
        ],
    ],
    ids=lambda options: options[0],
)
def test_every_way_to_train_runs_from_the_command_line(tmp_path: Path, options: list[str]) -> None:
    metarec("fit", *QUIET, *options, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=12")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--trainer.max_epoch=3", "did you mean trainer.max_epochs"),
        ("--data.batchsize=3", "did you mean data.batch_size"),
        ("--model.algorithm.init_args.inner_rl=3", "did you mean inner_lr"),
        ("--model.net.init_args.gmff=3", "did you mean gmf"),
        ("--trainer.max_epochs=many", "trainer.max_epochs: 'many' is not a whole number or null"),
        ("--model.algorithm.init_args.inner_lr=fast", "inner_lr: 'fast' is not a number"),
        ("--data.train_support=3", "data.train_support: '3' is not a list"),
        ("--data.scenario.class_path=metarec.data.splits.UserCould", "did you mean UserCold"),
        ("--data.scenario.init_args.fraction=[1]", "did you mean fractions?"),
        ("--model.algorithm.class_path=metarec.algorithms.gradient.maml.MAMLX", "did you mean MAML?"),
        ("--model.algorithm.class_path=metarec.algorithms.gradient.mamml.MAML", "did you mean maml?"),
        ("--data.ratings.class_path=metarec.data.sources.movielens_10k", "did you mean movielens_100k or"),
        ("--model.algorithm.class_path=metarec.algorithmss.maml.MAML", "did you mean algorithms?"),
        ("--data.scenario=UserCould", "data.scenario: 'UserCould' is not a known class_path"),
        ("--model.optimizer=Adm", "model.optimizer: 'Adm' is not a known class_path"),
        ("--trainer.logger=foo", "trainer.logger: 'foo' is not a known class_path or a list"),
        ("--model.lr_scheduler=3", "model.lr_scheduler: '3' is not a known class_path or null"),
        ("--data.order=randm", "data.order: 'randm' is not one of 'random', 'time'; did you mean random?"),
        ("--trainer.precision=bf17-mixed", "did you mean bf16-mixed"),
    ],
)
def test_mistyped_options_are_refused_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], option: str, expected: str
) -> None:
    assert expected in refused(capsys, option)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("trainer: {max_epoch: 3}", "did you mean trainer.max_epochs"),
        ("model: {algorithm: {init_args: {inner_rl: 0.1}}}", "did you mean inner_lr"),
        ("dato: {batch_size: 3}", "did you mean data"),
        ("data: {batch_size: many}", "batch_size"),
        ("data: [", "layer.yaml: not YAML"),
        ("- 3", "holds no keys"),
        ("trainer: 3", "layer.yaml: trainer is 3; give it keys"),
        ("data: {ratings: 3}", "data.ratings: '3' is not a known class_path"),
    ],
)
def test_mistyped_keys_are_refused_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, layer: str, expected: str
) -> None:
    (tmp_path / "layer.yaml").write_text(layer)
    assert expected in refused(capsys, f"-c={tmp_path / 'layer.yaml'}")


def test_missing_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.yaml" in refused(capsys, "-c=configs/absent.yaml")


@pytest.mark.usefixtures("movielens")
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--data.scenario.init_args.fractions=[0.5,0.6,0.1]", "three positive shares"),
        ("--model.algorithm.init_args.adapts=[heads]", "did you mean head"),
        ("--model.net.init_args.user_features=[height]", "there are ['age'"),
        ("--data.ratings.init_args.path=/absent", "/absent"),
        ("--data.eval_support=500", "raise the scenario's min_ratings"),
        ("--data.batch_size=0", "data.batch_size 0: give a number >= 1"),
        ("--model.ndcg_at=0", "model.ndcg_at 0: give a number >= 1"),
        ("--model.more_metrics=[precision_to5@5]", "no metric 'precision_to5@5'; did you mean precision_top5@5"),
        ("--ckpt_path=/absent.ckpt", "/absent.ckpt: cannot be read"),
        ("--ckpt_path=README.md", "README.md: no checkpoint that can be loaded safely"),
        ("-c=configs/baseline/item_mean.yaml", "ItemMean has nothing to train"),
        ("--trainer.accelerator=abacus", "abacus"),
        ("--trainer.devices=many", "trainer: `devices` selected with `CPUAccelerator` should be an int > 0"),
        ("--seed_everything=-3", "seed_everything: -3 is no seed; give a whole number from 0"),
        ("--seed_everything=true", "seed_everything: True is no seed"),
        ("--model.net.init_args.dropout=2", "dropout 2.0: give a share"),
        ("--model.net.init_args.gmf=-1", "gmf -1: give a number >= 1"),
        ("--model.net.init_args.hidden=[4,0]", "hidden 0: give a number >= 1"),
        ("--model.algorithm.init_args.inner_lr=-1", "inner_lr -1.0: give a rate > 0"),
        ("--model.optimizer.init_args.lr=-1", "optimizer or lr_scheduler: Invalid learning rate: -1.0"),
        ("--data.scenario.init_args.seed=-1", "seed -1: give a number >= 0"),
        ("--trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch 0: give a number >= 1"),
        ("--ckpt_path=best", "best: cannot be read"),
        ("--trainer.default_root_dir=/proc/x", "/proc/x: cannot be made"),
        ("--data.num_workers=-2", "data.num_workers -2: give a number >= 0"),
    ],
)
def test_values_that_cannot_be_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, expected: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        metarec("fit", *QUIET, f"--trainer.default_root_dir={tmp_path / 'run'}", option)
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("metarec: error: ")
    assert expected in line
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"config.yaml"}


@pytest.mark.usefixtures("movielens")
def test_further_metrics_are_reported_and_kept_with_the_weights(tmp_path: Path) -> None:
    folder, more = f"--trainer.default_root_dir={tmp_path}", ["precision_top5@3", "map_values@4"]
    few = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.accelerator=cpu"]
    metarec("fit", folder, *few, f"--model.more_metrics={json.dumps(more)}", "--then_test=true")
    table, summary = (
        pd.read_parquet(tmp_path / "per_task.parquet"),
        json.loads((tmp_path / "metrics.json").read_text())["metrics"],
    )
    for name in (f"{mode}/{metric}" for mode in ("zero_shot", "adapted") for metric in more):
        assert table[name].between(0, 1).sum() > 80
        assert summary[f"test/{name}"] == pytest.approx(table[name].mean(), abs=1e-6)
    assert {f"test/gain/{metric}" for metric in more} <= set(summary)
    weights = tmp_path / "checkpoints" / "best.ckpt"
    module = MetaModule.load_from_checkpoint(weights, weights_only=True)
    assert [metric.name for metric in module.metrics["adapted"].values()][-2:] == more


@pytest.mark.usefixtures("movielens")
def test_a_constant_prediction_is_chance_in_the_protocol_of_recbole_metarec(tmp_path: Path) -> None:
    """Computed from binomial coefficients: five of ten are relevant."""
    layers = ["base", "protocol/recbole-metarec-100k", "baseline/global_mean"]
    options = ["--trainer.accelerator=cpu", f"--trainer.default_root_dir={tmp_path}", "--verbose=false"]
    cli.main(["test", *(f"-c=configs/{layer}.yaml" for layer in layers), *options])
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["tasks"] == 58
    names = [f"{name}_top5@5" for name in ("precision", "recall", "hit", "ndcg", "mrr")]
    found = [round(summary["metrics"][f"test/adapted/{name}"], 3) for name in names]
    assert found == [0.5, 0.5, 0.996, 0.5, 0.704]


@pytest.mark.usefixtures("movielens")
def test_early_stopping_without_validation_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        metarec(
            "fit",
            f"--trainer.default_root_dir={tmp_path}",
            "--trainer.accelerator=cpu",
            "--trainer.enable_progress_bar=false",
            "--trainer.max_epochs=1",
            "--trainer.limit_val_batches=0",
        )
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("metarec: error: trainer.callbacks: Early stopping conditioned on metric")


class MakeOnly(training.MetarecCLI):
    """Makes what the configuration says and runs nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def test_a_copy_of_the_module_does_not_drag_in_the_trainer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = training._run_cli(MakeOnly, ["fit", *LAYERS, *QUIET, f"--trainer.default_root_dir={tmp_path}"])

    def refuse(trainer: Trainer, memo: dict) -> None:
        raise AssertionError("the trainer was copied")

    monkeypatch.setattr(Trainer, "__deepcopy__", refuse, raising=False)
    copied = copy.deepcopy(made.model)
    assert copied.state_dict().keys() == made.model.state_dict().keys()


class Payload:
    """What a checkpoint must not be able to do."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("payload-ran"),))


def test_a_checkpoint_with_a_payload_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": {}, "metarec": Payload()}, tmp_path / "bad.ckpt")
    with pytest.raises(SystemExit) as stopped:
        metarec("test", *QUIET, f"--ckpt_path={tmp_path / 'bad.ckpt'}")
    assert stopped.value.code == 2
    assert "no checkpoint that can be loaded safely" in capsys.readouterr().err
    assert not Path("payload-ran").exists()


@pytest.mark.fault("config")
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches 0: give a number >= 1"),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val -1: give a number >= 0"),
        ("trainer.log_every_n_steps=-1", "trainer.log_every_n_steps -1: give a number >= 0"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches 0: give a share of an epoch > 0"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval 0: give a share of an epoch > 0"),
        ("trainer.val_check_interval=100", "trainer: `val_check_interval` (100) must be less than or equal"),
        ("trainer.logger=lightning.pytorch.loggers.MLFlowLogger", "MLFlowLogger: cannot be made (Requirement 'mlflow"),
        ("trainer.strategy.class_path=lightning.pytorch.strategies.DeepSpeedStrategy", "DeepSpeedStrategy: cannot be"),
        (
            "trainer.callbacks={class_path: metarec.callbacks.AverageWeights, init_args: {decay: 3}}",
            "decay 3.0: give a",
        ),
        (
            "trainer.callbacks=[{class_path: metarec.callbacks.AverageWeights, init_args: {decay: 3}}]",
            "error: decay 3.0: give a number between 0 and 1",
        ),
        (
            "trainer.callbacks="
            "{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: a, mode: up}}",
            "EarlyStopping: cannot be made (`mode` can be min, max, got up); give other arguments",
        ),
    ],
)
def test_a_trainer_that_cannot_be_made_is_one_line(
    option: str, expected: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"--trainer.default_root_dir={tmp_path / 'run'}"
    assert expected in small.refused(capsys, ["fit", *small.layers(trained), folder, f"--{option}"])
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"config.yaml"}
