"""What W&B's own code sends of our offline runs and dashboards, to a server that stands in for theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from metarec import cli
from metarec.callbacks import BestCheckpoint
from metarec.data.ratings import Ratings
from metarec.run_folder import RunFolder
from metarec.tracking.callback import Track
from metarec.tracking.logger import join_runs, wandb_logger
from metarec.tracking.offline import offline_runs
from tests.test_module import data_of, module_of, trainer_of
from tests.tracking.conftest import Tracked
from tests.tracking.read import finish
from tests.tracking.server import KEY, Server, serving
from tests.tracking.test_workspace import NEEDED

pytestmark = pytest.mark.slow


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server
        finish()


def test_an_offline_run_is_uploaded_with_its_lineage(
    tracked: Tracked, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["sync", str(tracked.folder)])
    assert "1 of 1 uploaded" in capsys.readouterr().out
    used = {name for _, name, how in tracked.read.lineage if how == "used"}
    assert server.used() == used
    assert len(used) == 3
    made = {given["artifactCollectionName"] for given in server.of("CreateArtifact")}
    assert {name for _, name, _ in tracked.read.lineage} <= made
    assert len(server.of("CommitArtifact")) == len(server.artifacts)
    first = server.of("UpsertBucket")[0]
    assert (first["name"], first["groupName"], first["jobType"]) == (tracked.read.run.run_id, "my-table", "meta-sgd")
    best = tracked.folder / "checkpoints" / "best.ckpt"
    assert server.uploads["best.ckpt"] == best.stat().st_size
    assert not [name for name in server.uploads if name.endswith((".py", ".patch"))]
    cli.main(["sync", str(tracked.folder)])
    assert "1 skipped, uploaded before" in capsys.readouterr().out


def test_alerts_are_sent_and_a_resumed_run_stays_one(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        run = wandb.init(project="metarec", dir=str(tmp_path), mode="offline", id="abc", resume="allow")
        run.log({"a": number})
        if number == 2:
            run.alert("metarec: loss not finite", "outer loss nan at step 3", level="ERROR")
        finish()
    assert len(offline_runs(tmp_path)) == 2
    cli.main(["sync", str(tmp_path)])
    assert "2 of 2 uploaded" in capsys.readouterr().out
    assert {given["name"] for given in server.of("UpsertBucket")} == {"abc"}
    assert {given["name"] for given in server.of("RunResumeStatus")} == {"abc"}
    [alert] = server.of("NotifyScriptableRunAlert")
    assert alert["text"] == "outer loss nan at step 3"


def test_an_online_run_says_the_same(tmp_path: Path, server: Server, ratings: Ratings) -> None:
    logger = wandb_logger(offline=False)
    trainer = trainer_of(tmp_path, logger=logger, callbacks=[RunFolder(), BestCheckpoint(), Track()])
    join_runs(trainer, {})
    module, data = module_of(ratings), data_of(ratings)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, ckpt_path="best", verbose=False)
    run = logger.experiment.id
    finish()
    assert not offline_runs(tmp_path)
    assert server.used() == {"raw-synthetic", f"split-synthetic-{data.split.digest[:12]}", f"model-{run}"}
    assert f"predictions-{run}" in {name for name, _ in server.artifacts}


@NEEDED
def test_a_dashboard_is_saved(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    file = "experiments/movielens-100k-user-cold.yaml"
    cli.main(["dashboard", file, "--results", str(tmp_path), "--into", str(tmp_path / "out"), "--save"])
    said = capsys.readouterr().out
    assert f"saved: {server.url}/me/metarec?nw=" in said
    assert f"saved: {server.url}/me/metarec/reports/movielens-100k-user-cold--v" in said
    assert [given["chartName"] for given in server.of("CreateCustomChart")] == [
        "metarec-dot-plot",
        "metarec-gain-by-support",
        "metarec-k-shot",
    ]
    [view], [report] = server.of("UpsertView2"), server.of("upsertView")
    assert view["entityName"] == report["entityName"] == "me"
    assert "me/metarec-dot-plot" in view["spec"]
    assert '"id":"7"' in report["spec"].replace(" ", "")
