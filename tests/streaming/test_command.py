"""`metarec stream` through the command line, on MovieLens 100K."""

import json
from pathlib import Path

import pandas as pd
import pytest
import wandb

from metarec import cli
from metarec.tracking.offline import records

LAYERS = ["-c=configs/base.yaml", "-c=configs/data/movielens-100k.yaml", "-c=configs/scenario/user_cold.yaml"]
BIAS = [*LAYERS, "-c=configs/baseline/item_user_bias.yaml", "--trainer.accelerator=cpu"]
QUIET = ["--trainer.enable_progress_bar=false"]


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["stream", *options])
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.usefixtures("movielens")
def test_a_stream_leaves_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = [f"--trainer.default_root_dir={tmp_path}"]
    few = ["--data.scenario.init_args.fractions=[0.8,0.18,0.02]"]
    cli.main(
        ["stream", *BIAS, *folder, *QUIET, *few, "--modes=[reset,decay]", "--half_life_in=days", "--curve_window=50"]
    )
    assert "MAE" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "stream.parquet")
    assert list(table.columns) == ["time", "user", "item", "seen", "rating", "zero_shot", "reset", "decay"]
    assert table["time"].is_monotonic_increasing
    assert (table.groupby("user")["seen"].first() == 0).all()
    found = json.loads((tmp_path / "stream.json").read_text())
    assert found["events"] == len(table)
    assert found["users"] == table["user"].nunique() == 19
    assert found["settings"]["half_life_in"] == "days"
    assert found["scored"] == "the ratings of the test tasks"
    assert found["modes"]["reset"]["mae"] == pytest.approx((table["reset"] - table["rating"]).abs().mean(), abs=1e-6)
    assert found["modes"]["reset"]["mae"] < found["modes"]["zero_shot"]["mae"]
    left = {path.name for path in tmp_path.iterdir()}
    assert {"config.yaml", "stream.json", "stream.parquet"} <= left
    assert "predictions.parquet" not in left


@pytest.mark.usefixtures("movielens")
def test_what_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*BIAS, *QUIET, f"--trainer.default_root_dir={tmp_path}"]
    assert "continue: ItemUserBias has no inner loop" in refused(capsys, *options, "--modes=[continue]")
    assert "window 0: give a number >= 1" in refused(capsys, *options, "--window=0")
    assert "fading 2.0: give a factor" in refused(capsys, *options, "--fading=2")
    assert "no rating is later than the last training rating" in refused(capsys, *options, "--who=all")
    assert "did you mean window" in refused(capsys, *options, "--windw=3")
    maml = [*LAYERS, "-c=configs/net/neumf.yaml", "-c=configs/algorithm/maml.yaml", "--trainer.accelerator=cpu"]
    assert "the model is not trained" in refused(capsys, *maml, *QUIET, f"--trainer.default_root_dir={tmp_path}")
    assert not list(tmp_path.glob("stream.*"))


@pytest.mark.slow
@pytest.mark.usefixtures("movielens")
def test_a_trained_model_streams_from_its_run_folder(tmp_path: Path) -> None:
    layers = [*LAYERS, "-c=configs/net/neumf.yaml", "-c=configs/algorithm/maml.yaml"]
    few = "--data.scenario.init_args.fractions=[0.8,0.18,0.02]"
    cli.main(["fit", *layers, *QUIET, few, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=2"])
    best = tmp_path / "checkpoints" / "best.ckpt"
    again = [f"-c={tmp_path / 'config.yaml'}", "-c=configs/logger/wandb.yaml", f"--ckpt_path={best}"]
    cli.main(["stream", *again])
    wandb.finish()
    wandb.teardown()  # waits for W&B's own process, which writes the file
    found = json.loads((tmp_path / "stream.json").read_text())
    assert list(found["modes"]) == ["zero_shot", "reset", "continue", "window", "decay"]
    assert len({values["mae"] for values in found["modes"].values()}) == 5
    [path] = tmp_path.rglob("*.wandb")
    names = {item.key or ".".join(item.nested_key) for record in records(path) for item in record.summary.update}
    assert "stream/reset/mae" in names
    assert any(name.startswith("stream/fading_mae") for name in names)
