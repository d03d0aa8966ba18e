"""The training commands through the command line, on files in the real format and on real data."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from metarec import cli
from metarec.module import MetaModule

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
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"] == pytest.approx(after_fit["metrics"])
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
    assert config["model"]["algorithm"]["class_path"] == "metarec.algorithms.maml.MAML"
    module = MetaModule.load_from_checkpoint(best, weights_only=True)
    saved = torch.load(best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in saved.items())


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
    ("option", "expected"),
    [
        ("--trainer.max_epoch=3", "did you mean trainer.max_epochs"),
        ("--data.batchsize=3", "did you mean data.batch_size"),
        ("--model.algorithm.init_args.inner_rl=3", "did you mean inner_lr"),
        ("--model.net.init_args.gmff=3", "did you mean gmf"),
        ("--trainer.max_epochs=many", "trainer.max_epochs"),
        ("--model.algorithm.init_args.inner_lr=fast", "inner_lr"),
        ("--data.scenario.class_path=metarec.data.splits.UserCould", "did you mean UserCold"),
        ("--data.scenario.init_args.fraction=[1]", "did you mean fractions"),
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
        ("--model.algorithm.init_args.adapts=[heads]", "nearest ['head'"),
        ("--model.net.init_args.user_features=[height]", "there are ['age'"),
        ("--data.ratings.init_args.path=/absent", "/absent"),
        ("--data.eval_support=500", "raise the scenario's min_ratings"),
        ("--data.batch_size=0", "data.batch_size 0: give a number >= 1"),
        ("--model.ndcg_at=0", "model.ndcg_at 0: give a cut-off >= 1"),
        ("--ckpt_path=/absent.ckpt", "/absent.ckpt: cannot be read"),
        ("--ckpt_path=README.md", "README.md: no checkpoint that can be loaded safely"),
        ("-c=configs/baseline/item_mean.yaml", "ItemMean has nothing to train"),
        ("--trainer.accelerator=abacus", "abacus"),
    ],
)
def test_values_that_cannot_be_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, expected: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        metarec("fit", *QUIET, f"--trainer.default_root_dir={tmp_path / 'run'}", option)
    assert stopped.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("metarec: error: ")
    assert expected in line


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
