"""`metarec periods` through the command line, on run folders written by hand and as plain commands."""

import json
from pathlib import Path

import pytest

from metarec import cli
from tests.periods.test_table import write

FILE = "experiments/movielens-100k-periods.yaml"


def test_the_plain_commands(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["periods", FILE, "--methods", "item-mean", "fomaml", "--dry-run"])
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert len(lines) == 1 + 3 * 2 + 1 + 3 * 3
    assert all(line.startswith(("metarec fit ", "metarec test ")) for line in lines)
    assert sum("--start_from=" in line for line in lines) == 3


def test_what_is_done_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "item-mean-first", [1.0, 3.0])
    figure = tmp_path / "periods.png"
    show = ["--no-run", "--results", str(tmp_path), "--methods", "item-mean"]
    cli.main(["periods", FILE, *show, "--format", "json", "--figure", str(figure)])
    found = [(row["way"], row["tested_on"], row["mean"]) for row in json.loads(capsys.readouterr().out)]
    assert found == [("frozen", 2, 2.0), ("retrained", 2, 2.0)]
    assert figure.read_bytes().startswith(b"\x89PNG")
    page = tmp_path / "page.md"
    block = "movielens-100k-periods periods"
    page.write_text(f"<!-- begin {block} -->\n<!-- end {block} -->\n")
    cli.main(["periods", FILE, *show, "--into", str(page)])
    assert "| item-mean | frozen | 2.000 [1.000, 3.000] |" in page.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--option", "data.scenario.init_args.periods=3"], "set it in the experiment file"),
        (["--metric", "zero_shot/mea"], "no metric 'mea'"),
        (["--methods", "fomal"], "fomaml"),
    ],
)
def test_faults_are_one_line_before_anything_runs(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["periods", FILE, "--results", str(tmp_path), *options])
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not list(tmp_path.iterdir())
