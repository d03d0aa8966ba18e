"""What a run is in W&B, which run a folder is, and that training does not need W&B."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger

from metarec.tracking.logger import join_runs, wandb_logger
from tests.test_module import trainer_of
from tests.tracking.conftest import Tracked
from tests.tracking.read import FOMAML, TINY, finish, metarec, read

PLAIN = [FOMAML, "--trainer.max_epochs=1"]


def test_group_job_type_and_tags(tracked: Tracked) -> None:
    run = tracked.read.run
    assert (run.project, run.run_group, run.job_type) == ("metarec", "my-table", "meta-sgd")
    assert list(run.tags) == ["synthetic"]


def test_whole_configuration(tracked: Tracked) -> None:
    config = tracked.read.config
    assert config["model"]["algorithm"]["class_path"] == "metarec.algorithms.gradient.maml.MAML"
    assert config["data"]["scenario"]["init_args"]["min_ratings"] == 11
    assert config["trainer"]["max_epochs"] == 2
    assert config["seed_everything"] == 0


@pytest.mark.fault("wandb-resume")
def test_a_folder_is_one_run_and_another_folder_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    longer = ["--trainer.max_epochs=2", "--allow_changes=true"]
    metarec("fit", first, *PLAIN)
    metarec("fit", first, *PLAIN, f"--ckpt_path={first / 'checkpoints/last.ckpt'}", *longer)
    shutil.copy(first / "config.yaml", tmp_path)
    metarec("fit", second, f"-c={tmp_path / 'config.yaml'}", "--ckpt_path=null", "--trainer.max_epochs=1")
    begun, gone_on = read(first)
    [elsewhere] = read(second)
    assert begun.run.run_id == gone_on.run.run_id != elsewhere.run.run_id
    assert all(found.run.resume for found in (begun, gone_on, elsewhere))
    assert max(gone_on.column("epoch")) == 1
    assert min(gone_on.column("trainer/global_step")) >= max(begun.column("trainer/global_step"))
    noted = json.loads((first / "tracking.json").read_text())
    assert noted["trained"] == begun.run.run_id
    assert ("model", f"model-{begun.run.run_id}", "made") in gone_on.lineage
    assert not begun.alerts
    assert not [name for row in begun.history for name in row if name.startswith("inner_lr")]


@pytest.mark.fault("wandb")
def test_without_the_package_there_is_a_line_and_a_logger_that_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert isinstance(wandb_logger(), DummyLogger)
    [line] = capsys.readouterr().out.splitlines()
    assert "nothing is logged to Weights & Biases" in line
    assert "pip install wandb" in line


@pytest.mark.fault("wandb")
@pytest.mark.parametrize("account", [False, True])
def test_online_without_account_or_network_goes_on_offline(
    account: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finish()
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    if account:
        monkeypatch.setenv("WANDB_API_KEY", "local-" + "0" * 40)
    logger = wandb_logger(offline=False)
    assert isinstance(logger, WandbLogger)
    join_runs(trainer_of(tmp_path, logger=logger), {})
    logger.experiment.log({"a": 1})
    finish()
    [found] = read(tmp_path)
    assert found.column("a") == [1]
    said = capsys.readouterr().out
    assert ("no account" in said) is not account
    assert said.count("is offline (") == 1


HIDDEN = """
import sys
sys.modules["wandb"] = None
from metarec import cli
cli.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.fault("wandb")
def test_a_whole_fit_and_test_without_the_package(tmp_path: Path) -> None:
    options = [*TINY, *PLAIN, f"--trainer.default_root_dir={tmp_path}", "--then_test=true"]
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, "fit", *options], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("nothing is logged to Weights & Biases") == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert {"config.yaml", "metrics.json", "per_task.parquet", "checkpoints"} <= left
    assert "wandb" not in left
