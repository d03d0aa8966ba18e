"""`metarec plot` and `metarec report` on run folders written by hand."""

from pathlib import Path

import pytest

from metarec import cli
from tests.plots.made import YAML, write_runs


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment file with its runs where they lie by default."""
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "made-up.yaml").write_text(YAML)
    write_runs(folder / "results" / "made-up")
    return folder / "made-up.yaml"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_all_kinds_in_both_formats(experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["plot", str(experiment), "--into", str(tmp_path / "figures")])
    names = ["dots-mae", "k-shot-mae", "learning-mae", "gain-mae", "differences-mae", "time"]
    written = [f"{name}.{ending}" for name in names for ending in ("png", "svg")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(written)
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(tmp_path / "figures" / name) for name in written]
    assert "not as" in told.err  # the runs were made by hand


def test_some_kinds_metrics_and_formats(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["plot", str(experiment), "--kind", "learning", "--metric", "mae", "ndcg_exp@5", "--format", "svg"])
    folder = experiment.parent / "results" / "made-up" / "figures"
    assert sorted(path.name for path in folder.iterdir()) == ["learning-mae.svg", "learning-ndcg_exp@5.svg"]


def test_what_there_is_nothing_of_is_named(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    write_runs(results)
    for path in [*results.rglob("k_shot.*"), *results.rglob("learning.csv")]:
        path.unlink()
    given = ["plot", str(experiment), "--results", str(results), "--into", str(tmp_path / "figures"), "--format", "svg"]
    cli.main(given)
    told = capsys.readouterr().err
    assert "no figure k-shot: " in told
    assert "no figure learning: " in told
    assert len(list((tmp_path / "figures").iterdir())) == 4
    assert "put configs/evaluation/k_shot.yaml among the layers" in refused([*given, "--kind", "k-shot"], capsys)


def test_refusals(experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = ["plot", str(experiment)]
    assert "no finished run" in refused([*plot, "--results", str(tmp_path)], capsys)
    assert "did you mean dots?" in refused([*plot, "--kind", "dot"], capsys)
    assert "did you mean svg?" in refused([*plot, "--format", "svgz"], capsys)
    nearest = refused([*plot, "--kind", "gain", "--metric", "ndcg_exp", "--into", str(tmp_path / "x")], capsys)
    assert "did you mean ndcg_exp@5?" in nearest
    assert "no finished run" in refused(["report", str(experiment), "--results", str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_report(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["report", str(experiment), "--seeds", "0"])
    [line] = capsys.readouterr().out.splitlines()
    beside = experiment.parent / "results" / "made-up" / "report.html"
    assert line == str(beside)
    page = beside.read_text("utf-8")
    assert page.endswith("</html>\n")
    assert "Not finished for all of the seeds [0]: absent." in page
    assert "Not as the experiment file says now: bias, item-mean, maml, chance." in page


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """The same in two scenarios."""
    (tmp_path / "two.yaml").write_text(YAML + "scenarios: {warm: {}, cold: {}}\n")
    for name in ("warm", "cold"):
        write_runs(tmp_path / "results" / "two" / name)
    return tmp_path / "two.yaml"


def test_figures_of_each_scenario(scenarios: Path, tmp_path: Path) -> None:
    cli.main(["plot", str(scenarios), "--kind", "dots", "--format", "svg"])
    for name in ("warm", "cold"):
        assert f"two, {name}: mae" in (tmp_path / f"results/two/{name}/figures/dots-mae.svg").read_text("utf-8")
    cli.main(
        ["plot", str(scenarios), "--kind", "time", "--format", "svg", "--scenarios", "cold", "--into", str(tmp_path)]
    )
    assert [path.name for path in tmp_path.rglob("time.svg")] == ["time.svg"]
    assert (tmp_path / "cold" / "time.svg").is_file()


def test_one_page_of_all_scenarios(scenarios: Path, tmp_path: Path) -> None:
    cli.main(["report", str(scenarios), "--into", str(tmp_path / "page.html"), "--seeds", "0"])
    page = (tmp_path / "page.html").read_text("utf-8")
    for name in ("warm", "cold"):
        assert f'<section id="{name}-results">\n<h2>Results of {name}</h2>' in page
        assert f'<a href="#{name}-figures">Figures of {name}</a>' in page
        assert f"{name}: Not finished for all of the seeds [0]: absent." in page
    assert page.count("How to run it again</h2>") == 1
    assert f"metarec table {scenarios} --seeds 0\n" in page
