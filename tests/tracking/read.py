"""A tiny fit through the command line, and what W&B's offline files say of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from metarec import cli
from metarec.tracking.offline import offline_runs, records, values

ALLOWED = "--allow-code=tests"
TINY = [
    "-c=configs/base.yaml",
    "-c=configs/logger/wandb.yaml",
    "-c=configs/scenario/user_cold.yaml",
    "-c=configs/net/neumf.yaml",
    ALLOWED,
    "--data.ratings=tests.conftest.synthetic_ratings",
    "--data.scenario.init_args.min_ratings=11",
    "--data.eval_support=4",
    "--data.batch_size=8",
    "--model.net.init_args.user_features=[group]",
    "--model.net.init_args.item_features=[genre]",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=2",
    "--trainer.max_epochs=2",
]
FOMAML = "-c=configs/algorithm/fomaml.yaml"


def finish() -> None:
    """End the run in progress and wait for W&B's own process, which writes the file."""
    wandb.finish()
    wandb.teardown()


def metarec(command: str, folder: Path, *options: str) -> None:
    """Run a command on the synthetic data."""
    try:
        cli.main([command, *TINY, *options, f"--trainer.default_root_dir={folder}"])
    finally:
        finish()


class Read:
    """An offline run, read back.

    Attributes:
        run: its run record.
        history: rows of its history.
        summary: its summary at the end.
        config: its configuration at the end.
        metrics: records of `define_metric`, by name.
        artifacts: artifact records, in order.
        alerts: alert records.
    """

    def __init__(self, path: Path) -> None:
        found = list(records(path))
        assert any(record.HasField("exit") for record in found), "W&B did not finish its file"
        [self.run] = [record.run for record in found if record.HasField("run")]
        self.history = [values(record.history.item) for record in found if record.HasField("history")]
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        for record in found:
            self.summary |= values(record.summary.update)
            for part in (record.run.config, record.config):
                self.config |= values(part.update)
        self.metrics = {r.metric.name or r.metric.glob_name: r.metric for r in found if r.HasField("metric")}
        self.artifacts = [record.artifact for record in found if record.HasField("artifact")]
        self.alerts = [record.alert for record in found if record.HasField("alert")]

    @property
    def lineage(self) -> list[tuple[str, str, str]]:
        """Type, name and whether it was made or used, of all artifacts but those of tables that were logged."""
        own = [artifact for artifact in self.artifacts if artifact.type != "run_table"]
        return [(a.type, a.name, "used" if a.use_after_commit else "made") for a in own]

    def column(self, name: str) -> list[Any]:
        """The values of a metric, where it was logged."""
        return [row[name] for row in self.history if name in row]


def read(folder: Path) -> list[Read]:
    """All offline runs below a folder."""
    return [Read(path) for path in offline_runs(folder)]


def contents(files: Sequence[Path]) -> bytes:
    """Everything that some files hold."""
    return b"\n".join(path.read_bytes() for path in files if path.is_file())
