"""`metarec data csv`, and its data trained on."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from metarec import cli

ROWS = "who;what;stars;at\nb;x9;3;2024-05-01\na;x1;5;2024-05-02\nb;y;1.5;2024-05-03\n"
OPTIONS = ["--user=who", "--item=what", "--rating=stars", "--separator=;"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))


def written(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command says, its status being 2."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", *arguments])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    [line] = err.strip().splitlines()
    assert not out
    return line


def test_counts_of_ones_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "own.csv", ROWS)
    items = written(tmp_path, "items.csv", "id;year\nx1;1999\nx9;2001\nz;\n")
    more = ["--time", "at", "--time_unit", "iso", "--scale", "[1, 5]", "--items.path", items]
    cli.main(["data", "csv", path, *OPTIONS, *more, "--items.numeric", "{year: [2000]}", "--json"])
    counts = json.loads(capsys.readouterr().out)
    assert {name: counts[name] for name in ("users", "items_listed", "items_rated", "ratings", "first_time")} == {
        "users": 2,
        "items_listed": 4,
        "items_rated": 3,
        "ratings": 3,
        "first_time": 1714521600,
    }
    cli.main(["data", "csv", path, *OPTIONS, "--rating", "null"])
    assert "mean_rating           1.0" in capsys.readouterr().out


def test_help_shows_how(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, parts in (
        (["csv"], ["--time_unit {s,ms,us,iso}", "--users.numeric", "examples:", "lowest and highest rating"]),
        (["movielens-25m"], ["--tags", "62,423"]),
        ([], ["csv", "metarec data csv ratings.csv"]),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["data", *arguments, "--help"])
        assert stopped.value.code == 0
        out = capsys.readouterr().out
        assert all(part in out for part in parts)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tiem=at"], "did you mean time"),
        (["--users.categoricl=[a]"], "did you mean users.categorical"),
        (["--repeats=lst"], "'lst' is not one of 'last', 'mean', 'error'; did you mean last?"),
        (["--time_unit=sec"], "is not one of 's', 'ms', 'us', 'iso'"),
        (["--scale=5"], "scale: '5' is not a list or null"),
        (["--users.path=absent.csv"], "cannot read absent.csv"),
        (["--time=when"], "no column 'when'; there are 'who', 'what', 'stars', 'at'"),
        (
            ["--time=at"],
            "own.csv:2: at '2024-05-01' is not a number of s; give time_unit iso; also own.csv:3, own.csv:4",
        ),
    ],
)
def test_bad_options_are_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "own.csv", ROWS)
    assert expected in refused(["csv", path, *OPTIONS, *arguments], capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["own.csv"]


def test_no_path_and_a_nearly_right_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the following arguments are required: path" in refused(["csv"], capsys)
    assert "did you mean csv" in refused(["csvs", "x"], capsys)


@pytest.mark.slow
def test_training_on_ones_own_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [f"u{u};i{i};{random.integers(1, 6)}\n" for u in range(60) for i in random.permutation(30)[:25]]
    path = written(tmp_path, "own.csv", "who;what;stars\n" + "".join(lines))
    users = written(tmp_path, "users.csv", "id;age;job\n" + "".join(f"u{u};{u};{'ab'[u % 2]}\n" for u in range(59)))
    layers = ["base", "data/csv", "scenario/user_cold", "net/neumf", "algorithm/maml"]
    arguments = [part for layer in layers for part in ("-c", f"configs/{layer}.yaml")]
    own = {"path": path, "user": "who", "item": "what", "rating": "stars", "separator": ";"}
    own |= {"users.path": users, "users.numeric": "{age: [20, 40]}", "users.categorical": "[job]"}
    arguments += [f"--data.ratings.init_args.{name}={value}" for name, value in own.items()]
    arguments += ["--model.net.init_args.user_features=[job, age]", "--model.net.init_args.item_features=[]"]
    folder = tmp_path / "run"
    options = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false"]
    cli.main(["fit", *arguments, *options])
    cli.main(["test", "-c", f"{folder}/config.yaml", f"--ckpt_path={folder}/checkpoints/best.ckpt"])
    summary = json.loads((folder / "metrics.json").read_text())
    assert summary["data"]["name"] == "own"
    told = f"1 of 60 rated users are not in {users}: unknown attributes; found in training: the scale 1 to 5"
    assert summary["data"]["source"].endswith(told)
    assert summary["unseen_values"] == {}
    assert set(pq.read_table(folder / "per_task.parquet")["user"].to_pylist()) <= {f"u{u}" for u in range(60)}
