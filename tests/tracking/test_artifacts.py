"""Lineage raw -> split -> model -> predictions -> table, in offline files, without ratings and secrets."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from metarec.experiment import Experiment, Method
from metarec.report import finished
from metarec.tables.made import made
from metarec.tables.markdown import as_markdown
from metarec.tables.plain import records
from metarec.tracking.offline import offline_runs
from metarec.tracking.table_run import log_table, place_of
from tests.tracking.conftest import SECRETS, Tracked
from tests.tracking.read import FOMAML, Read, contents, finish, metarec, read


def files(found: Read, kind: str) -> dict[str, Path]:
    """The files that wait to be uploaded, of the last artifact of a type."""
    artifact = [artifact for artifact in found.artifacts if artifact.type == kind][-1]
    return {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}


def test_a_fit_and_its_test(tracked: Tracked) -> None:
    run = tracked.read.run.run_id
    split = json.loads((tracked.folder / "metrics.json").read_text())["split"]["digest"]
    assert tracked.read.lineage == [
        ("dataset", "raw-synthetic", "used"),
        ("split", f"split-synthetic-{split[:12]}", "used"),
        ("model", f"model-{run}", "made"),
        ("model", f"model-{run}", "used"),
        ("predictions", f"predictions-{run}", "made"),
    ]
    made, used = (artifact for artifact in tracked.read.artifacts if artifact.type == "model")
    assert made.digest == used.digest
    [weights] = files(tracked.read, "model").values()
    assert weights.read_bytes() == (tracked.folder / "checkpoints" / "best.ckpt").read_bytes()
    assert weights.is_relative_to(tracked.folder)


def test_cards_say_what_the_data_are(tracked: Tracked) -> None:
    metrics = json.loads((tracked.folder / "metrics.json").read_text())
    card = json.loads(files(tracked.read, "dataset")["dataset.json"].read_text())
    assert card == {"name": "synthetic", "digest": "0" * 64, "users": 40, "items": 30, "scale": [1.0, 5.0]} | {
        "ratings": card["ratings"]
    }
    split = json.loads(files(tracked.read, "split")["split.json"].read_text())
    assert split["digest"] == metrics["split"]["digest"]
    assert split["dataset"] == card["digest"]
    assert split["train"] + split["val"] + split["test"] <= card["ratings"]
    assert split["left_out"] == metrics["split"]["left_out"]


def test_no_rating_is_passed_on(tracked: Tracked) -> None:
    """Neither of data set and split, whose cards are small, nor of predictions, which name users but no item."""
    assert (
        max(path.stat().st_size for kind in ("dataset", "split") for path in files(tracked.read, kind).values()) < 1e3
    )
    left = files(tracked.read, "predictions")
    assert set(left) == {"per_task.parquet", "metrics.json"}
    assert not {"item", "rating", "prediction"} & set(pq.read_schema(left["per_task.parquet"]).names)
    uploaded = {entry.path for artifact in tracked.read.artifacts for entry in artifact.manifest.contents}
    assert not {"predictions.parquet", "stream.parquet"} & uploaded


def test_borrowed_weights_and_a_table_meet_in_the_same_artifacts(tmp_path: Path) -> None:
    results = tmp_path / "results"
    own, other = results / "fomaml" / "seed-0", results / "borrowed" / "seed-0"
    metarec("fit", own, FOMAML, "--then_test=true", "--trainer.max_epochs=1")
    best = own / "checkpoints" / "best.ckpt"
    metarec("test", other, FOMAML, f"--ckpt_path={best}", "--model.algorithm.init_args.adaptation_steps=2")
    [trained], [borrowed] = read(own), read(other)
    assert trained.run.run_id != borrowed.run.run_id
    used = ("model", f"model-{trained.run.run_id}", "used")
    assert used in borrowed.lineage
    assert ("predictions", f"predictions-{borrowed.run.run_id}", "made") in borrowed.lineage
    both = [next(a for a in found.artifacts if a.type == "model") for found in (trained, borrowed)]
    assert both[0].digest == both[1].digest
    assert trained.lineage[:2] == borrowed.lineage[:2]

    methods = {"fomaml": Method(), "borrowed": Method(weights_from="fomaml")}
    plan = Experiment("A tiny table.", [], "fomaml", ["mae", "rmse"], methods)
    table = made(plan, finished(plan, results), {}, "tiny")
    rows, text = records(table), as_markdown(table)
    place = place_of({"trainer.logger.init_args.group": "my-group"}, plan.metrics, "tiny")
    ids = {log_table(place, "tiny", rows, text, results, list(methods)) for _ in range(2)}
    finish()
    [path, again] = [path for path in offline_runs(results) if path.parents[2] == results]
    table = Read(path)
    assert ids == {table.run.run_id} == {Read(again).run.run_id}
    assert (table.run.project, table.run.run_group, table.run.job_type) == ("metarec", "my-group", "table")
    assert sorted(table.lineage) == [
        ("predictions", f"predictions-{run}", "used") for run in sorted((trained.run.run_id, borrowed.run.run_id))
    ] + [("table", "table-tiny", "made")]
    digests = {a.name: a.digest for found in (trained, borrowed) for a in found.artifacts if a.type == "predictions"}
    assert {a.name: a.digest for a in table.artifacts if a.type == "predictions"} == digests
    card = json.loads(files(table, "table")["table.json"].read_text())
    assert card["rows"] == json.loads(json.dumps(rows))
    assert "A tiny table." in files(table, "table")["table.md"].read_text()
    assert table.summary["rows.nrows"] == len(rows)
    [logged] = path.parent.glob(f"files/{table.summary['rows.path']}")
    content = json.loads(logged.read_text())
    frame = pd.DataFrame(content["data"], columns=content["columns"]).set_index(["method", "metric"])
    expected = {(row["method"], row["metric"]): row["mean"] for row in rows}
    assert frame["mean"].astype(object).where(frame["mean"].notna(), None).to_dict() == expected


def test_no_secret_of_the_environment_is_in_any_file(tracked: Tracked) -> None:
    everything = contents(list(tracked.folder.rglob("*")))
    assert b"synthetic" in everything
    for name, secret in SECRETS.items():
        assert secret.encode() not in everything, name
