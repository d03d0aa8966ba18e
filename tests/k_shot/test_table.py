"""Curves of several methods and seeds: one table, one picture, and refusals."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metarec import cli
from metarec.errors import InputError
from metarec.experiment import Experiment, Method
from metarec.k_shot import figure, table
from metarec.k_shot.summary import curve, of_users
from metarec.metrics.intervals import mean_interval
from metarec.metrics.shots import area_under_shots

SHOTS = [0, 1, 3]
EXPERIMENT = Experiment(
    shows="A small table.",
    layers=[],
    reference="bias",
    metrics=["mae", "ndcg_exp@5"],
    methods={"bias": Method(), "absent": Method(), "maml": Method()},
    seeds=[0, 1],
)


def frame(users: int = 12, seed: int = 0, slope: float = 0.1) -> pd.DataFrame:
    """Two draws of each user at each k; errors fall by `slope` a step, user u3 has no nDCG in one draw."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([[f"u{n}" for n in range(users)], SHOTS, [0, 1]], names=["user", "k", "draw"])
    found = pd.DataFrame(index=index).reset_index()[["user", "draw", "k"]]
    step = found["k"].map({0: 0, 1: 1, 3: 2})
    found["mae"] = 1 - slope * step + random.normal(0, 0.1, len(found))
    found["ndcg_exp@5"] = 0.6 + slope * step
    found.loc[(found["user"] == "u3") & (found["draw"] == 1) & (found["k"] == 1), "ndcg_exp@5"] = np.nan
    return found


def write(folder: Path, content: pd.DataFrame, **changes: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content.to_parquet(folder / "k_shot.parquet")
    better = {"mae": {"higher_is_better": False}, "ndcg_exp@5": {"higher_is_better": True}}
    summary = {
        "data": {"digest": "d"},
        "split": {"digest": "s"},
        "episodes": {"digest": "e"},
        "shots": SHOTS,
        "users": 12,
        "left_out": {"fewer than 4 ratings": 2},
        "metrics": better,
    }
    (folder / "k_shot.json").write_text(json.dumps(summary | changes))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write(tmp_path / "bias" / f"seed-{seed}", frame(slope=0.0))
        write(tmp_path / "maml" / f"seed-{seed}", frame(seed=seed))
    return tmp_path


def test_users_are_means_over_draws() -> None:
    content = frame().sample(frac=1, random_state=0)
    shots, values = of_users(content, "ndcg_exp@5")
    assert shots == SHOTS
    names = sorted(content["user"].unique())
    assert np.isnan(values[names.index("u3")]).tolist() == [False, True, False]
    assert np.isnan(values).sum() == 1
    mine = content[(content["user"] == "u7") & (content["k"] == 3)]["mae"].mean()
    assert of_users(content, "mae")[1][names.index("u7"), 2] == pytest.approx(mine)


def test_every_point_is_of_the_same_users() -> None:
    values = np.array([[1.0, 0.8, 0.7], [2.0, np.nan, 0.1], [1.0, 0.6, 0.5]])
    found = curve(SHOTS, values, higher_is_better=False)
    assert [point.mean for point in found.points] == pytest.approx([1.0, 0.7, 0.6])
    assert {(point.tasks, point.missing) for point in (*found.points, found.area)} == {(2, 1)}
    assert found.area.mean == pytest.approx((0.85 + 0.65) / 2)
    assert found.needed == pytest.approx(2**1.8 - 1)


def test_curves_of_methods(results: Path) -> None:
    found = table.curves(EXPERIMENT, results)
    assert (found.metric, list(found.methods), found.without) == ("mae", ["bias", "maml"], ["absent"])
    seeds = np.stack([of_users(frame(seed=seed), "mae")[1] for seed in (0, 1)])
    line = found.methods["maml"]
    assert line.points[1] == mean_interval(seeds[:, :, 1])
    assert line.area == mean_interval(area_under_shots(SHOTS, seeds))
    assert line.points[2].mean < line.points[0].mean
    assert np.isfinite(line.needed)
    assert found.seeds == {"bias": 2, "maml": 2}
    rising = table.curves(EXPERIMENT, results, "ndcg_exp@5").methods["maml"]
    assert rising.higher_is_better
    assert rising.needed == pytest.approx(2**1.9 - 1)
    assert (rising.area.tasks, rising.area.missing) == (11, 1)
    assert np.isnan(table.curves(EXPERIMENT, results, "ndcg_exp@5").methods["bias"].needed)


def test_formats_agree(results: Path) -> None:
    found = table.curves(EXPERIMENT, results, "ndcg_exp@5", [0])
    rows = table.records(found)
    assert json.loads(table.as_json(found)) == rows
    read = list(csv.DictReader(io.StringIO(table.as_csv(found))))
    assert [(row["method"], int(row["k"])) for row in read] == [(m, k) for m in ("bias", "maml") for k in SHOTS]
    assert float(read[-1]["mean"]) == pytest.approx(rows[-1]["mean"]) == pytest.approx(0.8)
    lines = table.as_markdown(found, EXPERIMENT, ["maml"]).splitlines()
    assert lines[0] == "**Not as the experiment file says now: maml.**"
    assert "12 test users at every k, of whom 1 have no value; left out: 2 with fewer than 4 ratings" in lines[2]
    assert "over 1 model seed(s)" in lines[2]
    assert "No curves: absent." in lines[2]
    assert lines[4] == "| method | k = 0 | k = 1 | k = 3 | area | shots to 95 % |"
    assert lines[6].startswith("| bias | 0.600 [0.600, 0.600] |")
    assert lines[6].endswith("| - |")
    assert lines[7].endswith("| 2.7 |")
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (frame(users=11), {}),
        (frame()[lambda table: table["k"] > 0], {}),
        (frame(), {"episodes": {"digest": "other"}}),
        (frame(), {"data": {"digest": "other"}}),
    ],
    ids=["users", "shots", "episodes", "data"],
)
def test_different_users_or_ratings_are_refused(results: Path, content: pd.DataFrame, changes: dict) -> None:
    write(results / "maml" / "seed-1", content, **changes)
    with pytest.raises(InputError, match="different users, ratings or shots"):
        table.curves(EXPERIMENT, results)


def test_no_curves_and_no_metric(results: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run left a k-shot curve; put configs"):
        table.curves(EXPERIMENT, tmp_path / "nowhere")
    with pytest.raises(InputError, match="no curve of 'ndcg_exp'; did you mean"):
        table.curves(EXPERIMENT, results, "ndcg_exp")


def test_command(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path, text = tmp_path / "small.yaml", tmp_path / "text.md"
    path.write_text(
        "{shows: A small table., layers: [], reference: bias, metrics: [mae], seeds: [0, 1], "
        "methods: {bias: {}, absent: {}, maml: {}}}"
    )
    arguments = ["curves", str(path), "--results", str(results)]
    cli.main([*arguments, "--figure", str(tmp_path / "k.png")])
    captured = capsys.readouterr()
    assert "| maml |" in captured.out
    assert "no curves of absent" in captured.err
    assert (tmp_path / "k.png").read_bytes().startswith(b"\x89PNG")
    cli.main([*arguments, "--methods", "maml", "--format", "csv"])
    captured = capsys.readouterr()
    assert {line.split(",")[0] for line in captured.out.splitlines()} == {"method", "maml"}
    assert "absent" not in captured.err
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--methods", "mamll"])
    assert "did you mean maml" in capsys.readouterr().err
    text.write_text("<!-- begin small ndcg_exp@5 -->\n<!-- end small ndcg_exp@5 -->\n")
    cli.main([*arguments, "--metric", "ndcg_exp@5", "--into", str(text)])
    assert "| maml | 0.600" in text.read_text()


def test_picture_of_many_lines(tmp_path: Path) -> None:
    mpl_figure = pytest.importorskip("matplotlib.figure")
    lines = {f"m{number}": curve(SHOTS, np.full((2, 3), float(number)), False) for number in range(12)}
    axes = mpl_figure.Figure().subplots()
    figure._panel(axes, "mae", lines, list(lines))
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(looks) == 12
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "3"]
    assert axes.get_lines()[3].get_ydata().tolist() == [3.0, 3.0, 3.0]


def test_the_readme_shows_the_committed_curves() -> None:
    """Every cell of the README's table is a record of the committed file, and every record stands there."""
    path = Path("experiments/curves/movielens-100k-k-shot.csv")
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    text = Path("README.md").read_text(encoding="utf-8")
    block = text.split(f"<!-- begin {path.stem} mae -->\n")[1].split(f"\n<!-- end {path.stem} mae -->")[0]
    lines = [line for line in block.splitlines() if line.startswith("| ")][2:]
    shown = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:8] for line in lines}
    expected: dict[str, list[str]] = {}
    for row in rows:
        mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
        expected.setdefault(row["method"], []).append(f"{mean:.3f} [{low:.3f}, {high:.3f}]")
    assert shown == expected
