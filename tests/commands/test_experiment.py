"""Tables of an experiment with scenarios, from run folders written by hand."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import cli, report
from metarec.commands.experiment import joined
from metarec.experiment import load, parts


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two scenarios, of 30 and 20 users, two methods, one seed."""
    (tmp_path / "a.yaml").write_text("trainer: {}\n")
    file = tmp_path / "two.yaml"
    file.write_text(
        f"""
        shows: Two scenarios.
        layers: [{tmp_path}/a.yaml]
        metrics: [mae]
        reference: bias
        methods: {{bias: {{train: false}}, maml: {{}}}}
        scenarios: {{warm: {{}}, cold: {{}}}}
        """
    )
    random = np.random.default_rng(0)
    for (_, results), users in zip(parts(load(file), tmp_path / "results" / "two").values(), (30, 20), strict=True):
        for method in ("bias", "maml"):
            folder = results / method / "seed-0"
            folder.mkdir(parents=True)
            table = pd.DataFrame({"user": [f"u{n}" for n in range(users)], "seconds": 0.001})
            table = table.assign(support_size=5, query_size=9, **{"adapted/mae": random.normal(0.8, 0.1, users)})
            table.assign(**{"zero_shot/mae": 0.9}).to_parquet(folder / "per_task.parquet")
            summary = {"data": {"digest": "d"}, "split": {"digest": results.name}, "fit_seconds": 1.0}
            (folder / "metrics.json").write_text(json.dumps(summary))
    return file


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(["table", *arguments])
    return capsys.readouterr().out


def test_a_block_a_scenario(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = parts(load(experiment), experiment.parent / "results" / "two")
    rows = {name: report.records(part, results) for name, (part, results) in by_name.items()}
    assert rows["warm"][0]["tasks"] == 30
    text = printed(capsys, str(experiment))
    heads = [line for line in text.splitlines() if line.startswith("**")]
    assert [line for line in heads if "Not as" not in line] == ["**warm**", "**cold**"]
    assert text.index("**warm**") < text.index("Mean over 30 test users") < text.index("**cold**")
    assert text.index("**cold**") < text.index("Mean over 20 test users")
    found = json.loads(printed(capsys, str(experiment), "--format", "json"))
    assert found == rows
    lines = list(csv.DictReader(io.StringIO(printed(capsys, str(experiment), "--format", "csv"))))
    assert [(line["scenario"], line["method"]) for line in lines] == [
        (name, row["method"]) for name, own in rows.items() for row in own
    ]
    means = [row["mean"] for own in rows.values() for row in own]
    assert [float(line["mean"]) for line in lines] == pytest.approx(means)


def test_only_some_scenarios(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, str(experiment), "--scenarios", "cold")
    assert "**cold**" in text
    assert "**warm**" not in text
    with pytest.raises(SystemExit):
        cli.main(["table", str(experiment), "--scenarios", "cod"])
    assert "no scenario 'cod'; did you mean cold" in capsys.readouterr().err


def test_tables_joined() -> None:
    assert joined({"a": "x", "b": "y"}, "md") == "**a**\n\nx\n\n**b**\n\ny"
    assert joined({"a": 'n,m\n"1,5",2', "b": "n,m\n3,4"}, "csv") == 'scenario,n,m\na,"1,5",2\nb,3,4'
    assert json.loads(joined({"a": "[1]", "b": "[2]"}, "json")) == {"a": [1], "b": [2]}
