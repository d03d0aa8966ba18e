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
from metarec.experiment import expand, load, parts


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
    for job in expand(load(file), tmp_path / "results" / "two"):
        (job.folder / "job.json").write_text(json.dumps({"digest": job.digest}))
    return file


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(["table", *arguments])
    return capsys.readouterr().out


def test_a_block_a_scenario(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = parts(load(experiment), experiment.parent / "results" / "two")
    means = {
        (name, method): runs.values(method, "adapted/mae").mean()
        for name, (part, results) in by_name.items()
        for runs in [report.finished(part, results)]
        for method in runs.users
    }
    assert len(means) == 4
    text = printed(capsys, str(experiment))
    heads = [line for line in text.splitlines() if line.startswith("**")]
    assert [line for line in heads if "Not as" not in line] == ["**warm**", "**cold**"]
    assert text.index("**warm**") < text.index("Mean over 30 test tasks") < text.index("**cold**")
    assert text.index("**cold**") < text.index("Mean over 20 test tasks")
    found = json.loads(printed(capsys, str(experiment), "--format", "json"))
    assert {name: table["title"] for name, table in found.items()} == {"warm": "two-warm", "cold": "two-cold"}
    cells = {(name, row["method"]): row["cells"]["mae"]["mean"] for name, own in found.items() for row in own["rows"]}
    assert cells == pytest.approx(means)
    lines = list(csv.DictReader(io.StringIO(printed(capsys, str(experiment), "--format", "csv"))))
    assert {(line["scenario"], line["method"]): float(line["mean"]) for line in lines if line["column"] == "mae"} == (
        pytest.approx(means)
    )
    for form, head in (("latex", "% cold\n"), ("html", "<h3>cold</h3>\n")):
        assert head in printed(capsys, str(experiment), "--format", form)


def test_each_scenario_is_checked(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = experiment.read_text()
    wide = whole.replace("reference: bias", "reference: bias\n        expected: {bias: {mae: [0.1, 2.0]}}")
    experiment.write_text(wide)
    assert "all results are within" in printed(capsys, str(experiment), "--check")
    only_one = whole.replace("cold: {}", "cold: {expected: {bias: {mae: [0.1, 2.0]}}}")
    experiment.write_text(only_one)  # the other has no ranges to be held to
    assert "all results are within" in printed(capsys, str(experiment), "--check")
    experiment.write_text(wide.replace("cold: {}", "cold: {expected: {bias: {mae: [0.1, 0.2]}}}"))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["table", str(experiment), "--check"])
    assert stopped.value.code == 1
    assert "is not within 0.1 to 0.2" in capsys.readouterr().err


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
