"""Training does not depend on W&B: whatever becomes of it, weights and metrics are those of a run without it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch

from metarec.tracking import ending
from metarec.tracking.offline import offline_runs, records
from metarec.tracking.sync import find
from tests.tracking.read import FOMAML, TINY

pytestmark = pytest.mark.fault("wandb")

ONLINE = "--trainer.logger.init_args.offline=false"
KILL = "--trainer.callbacks+=tests.tracking.crash.KillService"
DEAD = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "3"}
KEY = {"WANDB_API_KEY": "local-" + "0" * 40}


class Way(NamedTuple):
    """One thing that can become of W&B.

    Attributes:
        options: of the command line.
        environment: more variables.
        package: what `import wandb` runs instead of it; null: itself.
        said: what is printed.
        logged: whether something was, so that the way to upload it is printed.
    """

    options: list[str]
    environment: dict[str, str]
    said: str
    package: str | None = None
    logged: bool = True


WAYS = {
    "killed in a step": Way([KILL], {}, "Weights & Biases has failed ("),
    "killed at the end": Way([KILL, f"{KILL.split('+=')[0]}.step=null"], {}, "has failed at its end ("),
    "no network": Way([ONLINE], DEAD | KEY, "Weights & Biases is offline ("),
    "no key": Way([ONLINE], DEAD, "no account: neither"),
    "disabled": Way([], {"WANDB_MODE": "disabled"}, "(WANDB_MODE=disabled)", logged=False),
    "not installed": Way([], {}, "(No module named 'wandb')", "raise ModuleNotFoundError(MISSING)", logged=False),
    "broken": Way([], {}, "(no library)", "raise RuntimeError('no library')", logged=False),
    "cannot begin": Way([ONLINE], DEAD | KEY | {"WANDB_MODE": "odd"}, "Weights & Biases has failed (", logged=False),
}


def fit(folder: Path, options: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A fit and test on the synthetic data, in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    settings = {"WANDB_CONFIG_DIR": str(folder / "config"), "NETRC": str(folder / "netrc")}
    command = [sys.executable, "-m", "metarec", "fit", *TINY, FOMAML, "--then_test=true", *options]
    return subprocess.run(
        [*command, f"--trainer.default_root_dir={folder / 'run'}"],
        capture_output=True,
        text=True,
        env={**plain, **settings, **environment},
        check=False,
        timeout=200,
    )


def results(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Weights that were kept, and metrics of the test."""
    content = torch.load(folder / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    return content["state_dict"], json.loads((folder / "run" / "metrics.json").read_text())["metrics"]


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """What a run without W&B leaves."""
    folder = tmp_path_factory.mktemp("without")
    done = fit(folder, ["--trainer.logger=false"], {})
    assert done.returncode == 0, done.stderr
    return results(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_training_is_as_without(
    name: str, without: tuple[dict[str, torch.Tensor], dict[str, float]], tmp_path: Path
) -> None:
    way = WAYS[name]
    environment = way.environment
    if way.package:
        (tmp_path / "packages").mkdir()
        code = way.package.replace("MISSING", "\"No module named 'wandb'\", name='wandb'")
        (tmp_path / "packages" / "wandb.py").write_text(code)
        environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])}
    done = fit(tmp_path, way.options, environment)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "Traceback" not in printed
    assert printed.count("Weights & Biases") == 1
    assert way.said in printed
    assert ("`metarec sync" in printed) == way.logged
    if way.logged:
        found = find([tmp_path / "run"])
        assert found.new or found.running
    weights, metrics = results(tmp_path)
    assert metrics == without[1]
    assert all(torch.equal(weights[key], value) for key, value in without[0].items())


@pytest.mark.slow
@pytest.mark.fault("wandb-resume")
def test_a_run_that_was_killed_and_goes_on_is_one_run(tmp_path: Path) -> None:
    options = ["--trainer.callbacks+=tests.tracking.crash.KillSelf"]
    assert fit(tmp_path, options, {"KILL": "4"}).returncode == -signal.SIGKILL
    done = fit(tmp_path, [*options, "--resume=true"], {})
    assert done.returncode == 0, done.stderr
    [known] = json.loads((tmp_path / "run" / "tracking.json").read_text())["runs"].values()
    begun, gone_on = offline_runs(tmp_path)
    assert [path.parent.name.rsplit("-", 1)[1] for path in (begun, gone_on)] == [known] * 2
    [run] = [record.run for record in records(gone_on) if record.HasField("run")]
    assert run.run_id == known
    assert run.resume


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), SystemExit(-9), None])
def test_a_job_that_is_done_does_not_fail_from_the_end_of_wandb(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = []

    def teardown(code: int) -> None:
        codes.append(code)
        if error:
            raise error

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(teardown=teardown))
    ending.finish(3)
    assert codes == [3]
    said = capsys.readouterr().out
    assert said.count("`metarec sync` uploads what was logged") == (error is not None)


@pytest.mark.usefixtures("control")
def test_an_error_that_is_ours_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def teardown(code: int) -> None:
        raise KeyError("ours")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(teardown=teardown))
    with pytest.raises(KeyError):
        ending.finish(0)
