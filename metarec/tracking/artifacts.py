"""Artifacts of W&B and their lineage: raw -> split -> model -> predictions -> table.

Of a data set and a split there is a card alone, a small JSON file with names, digests and counts: the terms of use of
most data sets forbid passing ratings on. W&B takes artifacts of one name and content for the same version, so that runs
which use the same one meet in it: name and content are functions of what the artifact stands for.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarec.tracking.identity import What, who

if TYPE_CHECKING:
    from metarec.data.datamodule import EpisodeDataModule
    from metarec.data.ratings import Ratings


@contextmanager
def staging_in(folder: Path) -> Iterator[None]:
    """Let W&B keep the copies that wait to be uploaded in a run folder, not in the home folder, where they stay.

    Args:
        folder: the run folder.
    """
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = before or str((folder / "wandb").resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DATA_DIR"]


def made(run: Any, artifact: Any) -> None:
    """Note that a run made an artifact."""
    run.log_artifact(artifact)


def used(run: Any, artifact: Any) -> None:
    """Note that a run used an artifact, which is uploaded with it where it is not there yet.

    `wandb.Run.use_artifact` refuses offline; this is what it does online with an artifact that is not uploaded yet,
    without the waiting.
    """
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def dataset(ratings: "Ratings") -> Any:
    """The card of a data set: name, digest and counts, no rating."""
    return _card(
        f"raw-{ratings.name}",
        "dataset",
        {
            "name": ratings.name,
            "digest": ratings.digest,
            "ratings": len(ratings.rating),
            "users": len(ratings.user_ids) - 1,
            "items": len(ratings.item_ids) - 1,
            "scale": list(ratings.scale),
        },
    )


def split(data: "EpisodeDataModule") -> Any:
    """The card of a split: its digest, that of its data set, and counts, no rating."""
    found = data.split
    return _card(
        f"split-{data.ratings.name}-{found.digest[:12]}",
        "split",
        {
            "dataset": data.ratings.digest,
            "scenario": type(data.scenario).__name__,
            "tasks": data.tasks,
            "digest": found.digest,
            **{stage: len(getattr(found, stage)) for stage in ("train", "val", "test")},
            "left_out": found.left_out,
        },
    )


def model(checkpoint: Path) -> Any:
    """A checkpoint.

    Args:
        checkpoint: the file, such as ``checkpoints/best.ckpt`` in a run folder.
    """
    return _files("model", "trained", checkpoint.parent.parent, [checkpoint])


def predictions(folder: Path) -> Any:
    """What a test left of each user, ``per_task.parquet``, with ``metrics.json``: errors and counts, no rating.

    Args:
        folder: the run folder.
    """
    return _files("predictions", "tested", folder, [folder / "per_task.parquet", folder / "metrics.json"])


def _files(kind: str, did: What, folder: Path, files: Sequence[Path]) -> Any:
    """Files by the name of the run that made them, so that a run which borrows them names the same artifact.

    The name is found in the run folder; that of files from elsewhere is the SHA-256 of the first one.
    """
    import wandb

    name = who(folder, did) or hashlib.sha256(files[0].read_bytes()).hexdigest()[:12]
    artifact = wandb.Artifact(f"{kind}-{name}", type=kind)
    for file in files:
        artifact.add_file(str(file), name=file.name)
    return artifact


def table(name: str, rows: Sequence[dict[str, Any]], text: str) -> Any:
    """A table: its records as JSON, and how it was printed.

    Args:
        name: of the experiment.
        rows: the records.
        text: the printed table.
    """
    artifact = _card(f"table-{name}", "table", {"experiment": name, "rows": list(rows)})
    with artifact.new_file("table.md", encoding="utf-8") as file:
        file.write(text)
    return artifact


def _card(name: str, kind: str, content: dict[str, Any]) -> Any:
    """An artifact of one small file, ``KIND.json``; of the same content, it is the same version."""
    import wandb

    metadata = {key: value for key, value in content.items() if key != "rows"}
    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", name)[:128], type=kind, metadata=metadata)
    with artifact.new_file(f"{kind}.json", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True)
    return artifact
