"""``metarec table`` on run folders with made-up values."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from metarec import cli
from metarec.experiment import expand, load
from tests.folders import write_runs

FILE = """
shows: A small table.
layers: [{folder}/a.yaml]
metrics: [mae]
reference: bias
seeds: [0, 1]
methods:
  maml: {{}}
  bias: {{layers: [configs/baseline/item_user_bias.yaml], train: false}}
  absent: {{}}
published: {{maml: {{mae: lee}}}}
expected:
  maml: {{mae: [0.7, 0.8]}}
  bias: {{gain in mae: [0.05, 0.2]}}
"""
FIGURES = """id,source,place,dataset,scenario,model,metric,value,unit,verified
lee,"Lee et al., KDD 2019",Table 2,movielens-1m,user_cold,MeLU-5,mae,.7854,1,yes
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_runs(tmp_path / "results" / "small")
    (tmp_path / "a.yaml").write_text("trainer: {}\n")
    (tmp_path / "small.yaml").write_text(FILE.format(folder=tmp_path))
    (tmp_path / "published.csv").write_text(FIGURES)
    return tmp_path / "small.yaml"


def note(small: Path) -> None:
    """Let the runs be those that the experiment file says."""
    for job in expand(load(small), small.parent / "results" / "small"):
        if job.folder.exists():
            (job.folder / "job.json").write_text(json.dumps({"digest": job.digest}))


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("md", "| maml | **0.7"),
        ("latex", r"maml & \textbf{0.7"),
        ("html", '<tr><th scope="row">maml</th><td><b>0.7'),
        ("csv", "maml,False,mae,0.7"),
        ("json", '"method": "maml"'),
    ],
)
def test_every_format(small: Path, capsys: pytest.CaptureFixture[str], kind: str, line: str) -> None:
    cli.main(["table", str(small), "--format", kind])
    out, err = capsys.readouterr()
    assert line in out
    assert "0.7854" in out
    assert err == "metarec: maml, bias: not as " + str(small) + " says now; run it again\n"


def test_values_of_users(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["table", str(small), "--format", "users"])
    values = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(values)[:5] == ["method", "seed", "user", "support_size", "query_size"]
    assert list(values)[5:] == ["adapted/mae", "zero_shot/mae"]
    assert len(values) == 2 * 2 * 50
    own = pd.read_parquet(small.parent / "results/small/maml/seed-1/per_task.parquet")
    kept = values[(values["method"] == "maml") & (values["seed"] == 1)]
    assert list(kept["adapted/mae"]) == pytest.approx(list(own["adapted/mae"]), abs=5e-5)


def test_into_a_file(small: Path) -> None:
    page = small.parent / "page.md"
    page.write_text("<!-- begin small -->\n<!-- end small -->\n")
    cli.main(["table", str(small), "--into", str(page)])
    assert "| maml | **0.7" in page.read_text()


def test_check_is_silent_success(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note(small)
    cli.main(["table", str(small), "--check"])
    assert capsys.readouterr().out == "small: all results are within their expected ranges\n"


def test_check_fails_and_names_each_result(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note(small)
    text = small.read_text().replace("[0.7, 0.8]", "[0.8, 0.9]") + "  absent: {mae: [0, 1]}\n"
    small.write_text(text)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["table", str(small), "--check"])
    assert exit_.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "metarec: maml, mae: 0.7" in err
    assert "is not within 0.8 to 0.9" in err
    assert "metarec: absent, mae: no result; expected 0 to 1" in err
    assert "bias, gain" not in err
    assert "Not as" not in err


def test_check_fails_where_runs_are_not_as_the_file_says(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note(small)
    small.write_text(small.read_text().replace("maml: {}", "maml: {options: {trainer.max_epochs: 9}}", 1))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["table", str(small), "--check"])
    assert exit_.value.code == 1
    assert "metarec: Not as the experiment file says now: maml." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("published: {maml", "published: {mamal", "no method 'mamal'; did you mean maml"),
        ("  bias: {gain", "  bais: {gain", "no method 'bais'; did you mean bias"),
        ("mae: lee", "mae: le", "no id 'le'"),
        ("[0.7, 0.8]", "[0.7, high]", "expected.maml.mae"),
        ("[0.7, 0.8]", "0.7", "mae: this is no list"),
    ],
)
def test_wrong_files_are_one_line(
    small: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    small.write_text(small.read_text().replace(old, new))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["table", str(small), "--check"])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.strip().count("\n") == err.count("says now")


def test_the_demo_runs_without_expectations_are_not_checked(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_text(small.read_text().partition("expected:")[0])
    with pytest.raises(SystemExit):
        cli.main(["table", str(small), "--check"])
    assert "no expected ranges to check" in capsys.readouterr().err


def test_json_is_the_whole_table(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["table", str(small), "--format", "json", "--seeds", "1"])
    content = json.loads(capsys.readouterr().out)
    assert content["title"] == "small"
    assert {row["cells"]["mae"]["seeds"] for row in content["rows"]} == {1}
    assert "not run: absent" in content["foot"]
