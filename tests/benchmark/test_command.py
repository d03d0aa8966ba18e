import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from metarec import cli
from metarec.benchmark import command, training
from metarec.benchmark.figures import FIGURES
from metarec.benchmark.records import Record, as_json, read
from metarec.benchmark.report import TABLES, as_markdown
from metarec.commands import bench

KEYS = {"part", "engine", "adapts", "order", "steps", "batching", "threads", "ratio", "spread"}


@pytest.fixture(scope="module")
def quick(movielens: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one smoke run wrote."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "README.md").write_text("before\n<!-- begin bench -->\nold\n<!-- end bench -->\nafter\n")
    cli.main(
        f"bench --quick --data movielens-100k --save {folder}/records.json --figures {folder}/figures "
        f"--into {folder}/README.md".split()
    )
    return folder


def test_every_part_gives_records_with_all_keys(quick: Path) -> None:
    records = json.loads((quick / "records.json").read_text())
    assert all(record.keys() >= KEYS for record in records)
    assert {record["part"] for record in records} == set(bench.BENCH_PARTS)
    assert all("movielens-100k" in record["where"] for record in records)
    for record in records:
        if record["ratio"] is None:
            assert "not installed" in record["note"]
        else:
            assert record["spread"][0] <= record["ratio"] <= record["spread"][1]
            assert 0 < record["ratio"] < (100_000 if record["part"] == "ranking" else 1000)


def test_the_baseline_is_as_fast_as_itself_and_the_engines_are_there(quick: Path) -> None:
    grid = [record for record in read(quick / "records.json") if record.part == "grid"]
    assert {(r.engine, r.batching) for r in grid} >= {("loop", "task by task"), ("fused", "length-sorted")}
    [base] = [record for record in grid if record.engine == record.against]
    assert base.ratio == 1.0
    [loop] = [record for record in grid if record.engine == "loop"]
    assert loop.to_loop == 1.0


def test_figures_and_the_readme_are_written(quick: Path) -> None:
    assert {path.stem for path in (quick / "figures").iterdir()} == set(bench.BENCH_PARTS)
    text = (quick / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert all(f"](figures/{part}.png)" in text for part in bench.BENCH_PARTS)


def test_what_was_saved_can_be_read_and_shown_again(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["bench", "--read", f"{quick}/records.json", "--json"])
    assert capsys.readouterr().out == (quick / "records.json").read_text()


def test_a_library_that_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch, setting: Any) -> None:
    monkeypatch.setattr(training, "installed", lambda module: False)
    there, missing = training._libraries(setting, training.Cell("decision", 2, 1))
    assert not there
    assert [record.engine for record in missing] == list(training.PEERS)
    assert all(record.ratio is None and "not installed" in record.note for record in missing)
    assert "not installed" in as_markdown(missing)


def test_help_names_options_and_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("--json", "--profile", "--only", "--threads", "--rounds", "--quick", *bench.BENCH_PARTS):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--only", "gird"], "did you mean grid"),
        (["--rounds", "0"], "give a number >= 1"),
        (["--threads", "0"], "give a number >= 1"),
        (["--read", "absent.json"], "absent.json"),
        (["--device", "tpu9", "--quick"], "device tpu9"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", *arguments])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert expected in line


def test_profile_names_operations(movielens: object, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["bench", "--profile", "--quick", "--data", "movielens-100k"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("loop", "batched", "fused", "aten::", "Self CPU"))


def test_records_keep_five_digits_and_round_trip(tmp_path: Path) -> None:
    record = Record(
        "grid", "fused", "all", 2, 1, "buckets", 1, 7.1234567, (6.0, 8.7654321), "loop", 0.123456789, "ms/task"
    )
    (tmp_path / "r.json").write_text(as_json([record]))
    assert read(tmp_path / "r.json") == [dataclasses.replace(record, ratio=7.1235, spread=(6.0, 8.7654), value=0.12346)]


def test_the_tables_show_what_is_saved_to_the_last_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio of 1.049998 is saved as 1.05, and 1.05 and 1.049998 do not print alike."""
    odd = Record("data", "fused", ratio=0.01250049, spread=(0.01, 0.02), value=1.0, unit="ms/batch", rounds=1)
    monkeypatch.setattr(command, "_parts", lambda: {"data": lambda setting: [odd]})
    (tmp_path / "README.md").write_text("<!-- begin bench -->\n<!-- end bench -->\n")
    cli.main(f"bench --quick --data movielens-100k --save {tmp_path}/records.json --into {tmp_path}/README.md".split())
    shown = (tmp_path / "README.md").read_text()
    assert as_markdown(read(tmp_path / "records.json")) in shown
    assert as_markdown([odd]) not in shown


def test_the_readme_shows_the_saved_records() -> None:
    text = Path("README.md").read_text()
    shown = text.split("<!-- begin bench -->\n")[1].split("\n<!-- end bench -->")[0]
    assert shown == as_markdown(read(Path("docs/speed/records.json")), "docs/speed")


def test_every_part_has_a_table_and_a_figure() -> None:
    assert list(command._parts()) == list(bench.BENCH_PARTS)
    assert set(TABLES) == set(FIGURES) == set(bench.BENCH_PARTS)


def test_parts_measured_alone_keep_the_records_of_the_others(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = quick / "again.json"
    saved.write_text((quick / "records.json").read_text())
    before = read(saved)
    cli.main(f"bench --quick --data movielens-100k --only data --save {saved}".split())
    after = read(saved)
    assert [r for r in after if r.part != "data"] == [r for r in before if r.part != "data"]
    assert [r.value for r in after if r.part == "data"] != [r.value for r in before if r.part == "data"]
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", "--quick", "--only", "data", "--into", str(quick / "README.md")])
    assert left.value.code == 2
    assert "give --save FILE too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--figures", "/proc/nothing"], "/proc/nothing: cannot be made"),
        (["--save", "/proc/nothing/records.json"], "/proc/nothing: cannot be made"),
        (["--threads", "100000"], "threads 100000: this machine has"),
    ],
)
def test_what_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", "--quick", *options])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
