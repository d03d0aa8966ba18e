"""One fit and test of Meta-SGD with k-shot curves, which many tests read back."""

from pathlib import Path
from typing import NamedTuple

import pytest
import wandb

from tests.test_report import EXPERIMENT, results
from tests.tracking.read import Read, metarec, read

__all__ = ["results"]

SECRETS = {
    "WANDB_API_KEY": "local-canary0wandb00000000000000000000000000000000",
    "AWS_SECRET_ACCESS_KEY": "canary1aws",
    "SOME_OTHER_VARIABLE": "canary2any",
}


class Tracked(NamedTuple):
    folder: Path
    read: Read


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    methods = "\n".join(f"  {name}: {{}}" for name in EXPERIMENT.methods)
    path.write_text(
        "shows: A small table.\nlayers: []\nreference: bias\nmetrics: [mae, ndcg_exp@5]\nseeds: [0, 1]\n"
        f"options: {{trainer.logger.init_args.group: my-group}}\nmethods:\n{methods}\n"
    )
    return path


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no network settings, no home of the person who runs the tests, and nothing remembered of either."""
    wandb.teardown()
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """A run in its folder, made while there were secrets in the environment."""
    folder = tmp_path_factory.mktemp("tracked")
    layer = folder.parent / "k_shot.yaml"
    callback = "metarec.k_shot.callback.KShotCurve"
    layer.write_text(
        f"trainer: {{callbacks+: [{{class_path: {callback}, init_args: {{shots: [0, 1, 2, 4], picture: false}}}}]}}\n"
    )
    wandb.teardown()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR"):
            patch.delenv(name, raising=False)
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        logger = "--trainer.logger.init_args."
        names = [f"{logger}group=my-table", f"{logger}job_type=meta-sgd", f"{logger}tags=[synthetic]"]
        layers = ["-c=configs/algorithm/meta_sgd.yaml", f"-c={layer}"]
        metarec("fit", folder, *layers, *names, "--then_test=true")
    [found] = read(folder)
    return Tracked(folder, found)
