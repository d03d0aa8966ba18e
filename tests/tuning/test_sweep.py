"""Sweeps of W&B: the same space, trials that a shell can run, and no test users."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps import utils

from metarec import cli, experiment
from metarec.errors import InputError
from metarec.experiment import Experiment
from metarec.tuning.sweep import write_sweeps
from tests.tracking.read import Read

SPACE = """
model.algorithm.init_args.factors: {low: 2, high: 4}
model.algorithm.init_args.sweeps: {low: 1, high: 4, log: true}
model.algorithm.init_args.regularisation: {low: 1.0, high: 30.0, log: true}
model.algorithm.init_args.seed: {choices: [0, 1]}
"""


@pytest.fixture
def plan(tmp_path: Path, movielens: Any) -> Experiment:
    """Least squares, a pretraining whose steps are chosen after it, and a method without a search space."""
    (tmp_path / "als.yaml").write_text(Path("configs/baseline/als.yaml").read_text())
    (tmp_path / "als.search.yaml").write_text(SPACE)
    layers = ["base", "logger/wandb", "data/movielens-100k", "scenario/user_cold"]
    fragments = ("net/gmf", "algorithm/pretrain", "algorithm/finetune_head")
    finetuned = [f"configs/{name}.yaml" for name in fragments]
    (tmp_path / "plan.yaml").write_text(
        f"""
        shows: A small table.
        layers: [{", ".join(f"configs/{layer}.yaml" for layer in layers)}]
        options: {{trainer.accelerator: cpu, trainer.max_epochs: 1}}
        metrics: [mae]
        reference: als
        methods:
          als: {{layers: [{tmp_path}/als.yaml], train: false}}
          finetuned: {{layers: [{", ".join(finetuned)}], options: {{model.net.init_args.width: 4}}}}
          random: {{layers: [configs/baseline/random.yaml], train: false}}
        """
    )
    return experiment.load(tmp_path / "plan.yaml")


def run(sweep: dict[str, Any], settings: dict[str, Any], folder: Path) -> None:
    """Run a trial as an agent of W&B would, with W&B's own expansion of the command."""
    words = utils.create_sweep_command_args({"args": {name: {"value": value} for name, value in settings.items()}})
    command = [part for word in utils.create_sweep_command(sweep["command"]) for part in words.get(word[2:-1], [word])]
    metarec = folder / "bin" / "metarec"
    metarec.parent.mkdir()
    metarec.write_text(f'#!/bin/sh\nexec {sys.executable} -m metarec "$@"\n')
    metarec.chmod(0o755)
    agent = {"PATH": f"{metarec.parent}:{os.environ['PATH']}", "WANDB_RUN_ID": "abc123", "WANDB_SWEEP_ID": "sweep1"}
    subprocess.run(command, check=True, env={**os.environ, **agent, "WANDB_MODE": "offline"})


def test_the_space_in_the_words_of_wandb(plan: Experiment, tmp_path: Path) -> None:
    [path] = write_sweeps(plan, tmp_path / "results", ["als", "random"], trials=7, into=tmp_path / "sweeps")
    sweep = yaml.safe_load(path.read_text())
    assert path.name == "als.yaml"
    assert (sweep["project"], sweep["run_cap"], sweep["method"]) == ("metarec", 7, "bayes")
    assert sweep["metric"] == {"name": "val/adapted/mae", "goal": "minimize"}
    short = {name.rsplit(".")[-1]: values for name, values in sweep["parameters"].items()}
    assert short == {
        "factors": {"distribution": "int_uniform", "min": 2, "max": 4},
        "sweeps": {"distribution": "q_log_uniform_values", "min": 1, "max": 4, "q": 1},
        "regularisation": {"distribution": "log_uniform_values", "min": 1.0, "max": 30.0},
        "seed": {"values": [0, 1]},
    }


def test_a_trial_runs_as_the_agent_runs_it(plan: Experiment, tmp_path: Path) -> None:
    [path] = write_sweeps(plan, tmp_path / "my results", ["als"], trials=7, into=tmp_path / "sweeps")
    run(yaml.safe_load(path.read_text()), {"model.algorithm.init_args.factors": 3}, tmp_path)
    folder = tmp_path / "my results" / "sweeps" / "als" / "abc123"
    assert not (folder / "metrics.json").exists()  # no test user was looked at
    [file] = folder.rglob("run-*.wandb")
    assert file.name == "run-abc123.wandb"
    assert 0.7 < float(Read(file).summary["val/adapted/mae"]["last"]) < 0.9


@pytest.mark.slow
def test_a_trial_that_selects_is_judged_by_what_it_chose(plan: Experiment, tmp_path: Path) -> None:
    [path] = write_sweeps(plan, tmp_path / "results", ["finetuned"], trials=7, into=tmp_path / "sweeps")
    sweep = yaml.safe_load(path.read_text())
    assert "model.net.init_args.width" not in sweep["parameters"]  # the method gives it
    run(sweep, {"model.optimizer.init_args.lr": 0.003}, tmp_path)
    assert (tmp_path / "results/sweeps/finetuned/abc123/checkpoints/best.ckpt").is_file()
    assert not (tmp_path / "results/sweeps/finetuned/abc123/metrics.json").exists()


def test_runs_that_wandb_never_sees_cannot_be_swept(plan: Experiment, tmp_path: Path) -> None:
    plan.layers = [layer for layer in plan.layers if "wandb" not in layer]
    with pytest.raises(InputError, match=r"als: its runs are not logged to W&B; add configs/logger/wandb.yaml"):
        write_sweeps(plan, tmp_path, ["als"], trials=1, into=tmp_path / "sweeps")
    assert not (tmp_path / "sweeps").exists()
    with pytest.raises(InputError, match="--trials 0: give a number > 0"):
        write_sweeps(plan, tmp_path, ["als"], trials=0, into=tmp_path / "sweeps")


def test_command_line(plan: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["tune", str(tmp_path / "plan.yaml"), "--sweep", str(tmp_path / "sweeps"), "--methods", "als"])
    assert capsys.readouterr().out == f"wandb sweep {tmp_path}/sweeps/als.yaml\n"
