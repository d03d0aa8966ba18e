"""W&B without account or network: what a run leaves on disk is read back record by record."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from metarec import cli
from tests.test_training import LAYERS

NAMES = ("--trainer.logger.init_args.group=my-table", "--trainer.logger.init_args.job_type=maml")


def records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """Records of an offline file: a 7-byte header, then 32 KiB blocks of chunks (crc, length, type, bytes)."""
    content, place, pending = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        if place + 7 + length > len(content):  # not written to its end yet
            return
        pending += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(pending)
            pending = b""


@pytest.fixture(scope="module")
def run(movielens, tmp_path_factory: pytest.TempPathFactory) -> list[wandb_internal_pb2.Record]:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
            patch.delenv(name, raising=False)
        cli.main(
            [
                "fit",
                *LAYERS,
                "-c=configs/logger/wandb.yaml",
                *NAMES,
                "--trainer.logger.init_args.tags=[movielens-100k]",
                f"--trainer.default_root_dir={folder}",
                "--trainer.max_epochs=2",
                "--then_test=true",
            ]
        )
        wandb.finish()
        wandb.teardown()  # waits for W&B's own process, which writes the file
    [path] = folder.rglob("*.wandb")
    found = list(records(path))
    assert any(record.HasField("exit") for record in found), "W&B did not finish its file"
    return found


def test_group_job_type_and_tags(run: list[wandb_internal_pb2.Record]) -> None:
    [meta] = [record.run for record in run if record.HasField("run")]
    assert (meta.project, meta.run_group, meta.job_type) == ("metarec", "my-table", "maml")
    assert list(meta.tags) == ["movielens-100k"]


def test_whole_configuration(run: list[wandb_internal_pb2.Record]) -> None:
    config: dict = {}
    for record in run:
        for part in (record.run.config, record.config):
            config |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in part.update}
    assert config["model"]["algorithm"]["class_path"] == "metarec.algorithms.gradient.maml.MAML"
    assert config["data"]["scenario"]["init_args"]["fractions"] == [0.8, 0.1, 0.1]
    assert config["trainer"]["max_epochs"] == 2
    assert config["seed_everything"] == 0


def test_curves(run: list[wandb_internal_pb2.Record]) -> None:
    history = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in run
        if record.HasField("history")
    ]
    names = {name for row in history for name in row}
    curves = ("loss", "support_loss_before", "support_loss_after", "query_loss_after", "gain")
    assert {"val/adapted/mae", "val/zero_shot/mae", "val/gain/mae", "test/adapted/mae"} <= names
    for name in curves:  # 48 steps in two epochs, logged every ten
        assert sum(f"train/{name}_step" in row for row in history) == 4, name
        assert sum(f"train/{name}_epoch" in row for row in history) == 2, name
    assert sum("val/adapted/mae" in row for row in history) == 2


def test_per_user_table_and_checkpoint_artifact(run: list[wandb_internal_pb2.Record]) -> None:
    logged = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for record in run
        for item in (*record.history.item, *record.summary.update)
    }
    assert logged["per_user._type"] == "table-file"
    assert logged["per_user.nrows"] == 94
    kinds = [record.request.log_artifact.artifact.type for record in run if record.request.HasField("log_artifact")]
    kinds += [record.artifact.type for record in run if record.HasField("artifact")]
    assert "model" in kinds
