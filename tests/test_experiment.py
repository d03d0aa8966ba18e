import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from metarec import cli, experiment
from metarec.errors import InputError
from metarec.experiment import Job

DEMO = Path("experiments/movielens-100k-user-cold.yaml")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment with a trained method, one that borrows its weights, and one that is only tested."""
    (tmp_path / "a.yaml").write_text("trainer: {}\n")
    (tmp_path / "small.yaml").write_text(
        f"""
        shows: A small table.
        layers: [{tmp_path}/a.yaml]
        options: {{trainer.logger.init_args.name: "{{method}}-{{seed}}", trainer.max_epochs: 3}}
        metrics: [mae]
        reference: mean
        seeds: [0, 1]
        methods:
          tuned: {{weights_from: plain, options: {{data.batch_size: 4}}}}
          plain: {{layers: [{tmp_path}/a.yaml]}}
          mean: {{train: false}}
        """
    )
    return tmp_path / "small.yaml"


def test_expansion(small: Path, tmp_path: Path) -> None:
    jobs = experiment.expand(experiment.load(small), tmp_path / "results", options=["data.seed=1"])
    assert [(job.method, job.seed) for job in jobs] == [
        *(("plain", 0), ("mean", 0), ("tuned", 0)),
        *(("plain", 1), ("mean", 1), ("tuned", 1)),
    ]
    plain, mean, tuned = jobs[:3]
    layer = f"{tmp_path}/a.yaml"
    assert plain.command == [
        *("fit", "-c", layer, "-c", layer, "--seed_everything=0"),
        f"--trainer.default_root_dir={tmp_path}/results/plain/seed-0",
        *("--trainer.logger.init_args.name=plain-0", "--trainer.max_epochs=3", "--then_test=true", "--data.seed=1"),
    ]
    assert mean.command[0] == tuned.command[0] == "test"
    assert tuned.needs == plain.folder / "checkpoints" / "best.ckpt"
    assert f"--ckpt_path={tuned.needs}" in tuned.command
    assert "--data.batch_size=4" in tuned.command


def test_only_some_seeds_and_methods(small: Path, tmp_path: Path) -> None:
    jobs = experiment.expand(experiment.load(small), tmp_path, seeds=[7], methods=["mean"])
    assert [(job.method, job.seed) for job in jobs] == [("mean", 7)]
    with pytest.raises(InputError, match="no method 'maen'; did you mean mean"):
        experiment.expand(experiment.load(small), tmp_path, methods=["maen"])


def test_what_results_are_held_against_makes_no_run_stale(small: Path, tmp_path: Path) -> None:
    before = experiment.expand(experiment.load(small), tmp_path / "results")
    more = "published: {plain: {mae: lee}}\n        expected: {mean: {mae: [0.1, 0.2]}}"
    small.write_text(small.read_text().replace("reference: mean", f"reference: mean\n        {more}"))
    held = experiment.load(small)
    assert held.published == {"plain": {"mae": "lee"}}
    assert held.expected == {"mean": {"mae": [0.1, 0.2]}}
    after = experiment.expand(held, tmp_path / "results")
    assert [(job.digest, job.command) for job in after] == [(job.digest, job.command) for job in before]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reference: mean", "reference: mean\n        published: {maen: {}}", "no method 'maen'; did you mean mean"),
        ("reference: mean", "reference: mean\n        expected: {maen: {}}", "no method 'maen'; did you mean mean"),
        ("reference: mean", "referense: mean", "unknown key 'referense'; did you mean reference"),
        ("train: false", "trian: false", "unknown key 'trian'; did you mean train"),
        ("reference: mean", "reference: maen", "no method 'maen'; did you mean mean"),
        ("metrics: [mae]", "metrics: []", "metrics is empty"),
        ("seeds: [0, 1]", "seeds: []", "seeds is empty"),
        ("weights_from: plain", "weights_from: mean", "tuned: weights_from mean, which trains none"),
        ("weights_from: plain", "weights_from: plan", "no method 'plan'; did you mean plain"),
        ("seeds: [0, 1]", "seeds: [zero]", r"seeds\[0\]: Value 'zero'"),
        ("seeds: [0, 1]", "seeds: many", "seeds: this is no list"),
        ("train: false", "train: perhaps", "methods.mean.train: Value 'perhaps'"),
        ("shows: A small table.", "", "shows"),
        ("a.yaml]\n        options", "b.yaml]\n        options", "b.yaml is not a file"),
        ("metrics: [mae]", "metrics: [mae", "not YAML"),
        ("metrics: [mae]", "metrics: [mae]\n        metrics: [rmse]", "duplicate key"),
    ],
)
def test_faulty_experiment_files(small: Path, old: str, new: str, message: str) -> None:
    assert old in small.read_text()
    small.write_text(small.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        experiment.load(small)


def test_an_experiment_file_that_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 3\n")
    with pytest.raises(InputError, match=r"list\.yaml: holds no keys; begin with one of shows, layers, methods"):
        experiment.load(tmp_path / "list.yaml")


def test_missing_experiment_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "experiments/absent.yaml"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("metarec: error: experiments/absent.yaml: cannot be read")


class FakeProcess:
    """Leaves a run's results without running it; fails for the methods named."""

    def __init__(self, fails: tuple[str, ...] = ()) -> None:
        self.fails, self.ran = fails, []

    def __call__(self, command: list[str], check: bool) -> subprocess.CompletedProcess:
        folder = Path(next(a for a in command if a.startswith("--trainer.default_root_dir=")).split("=")[1])
        self.ran.append(folder.parent.name)
        if folder.parent.name in self.fails:
            return subprocess.CompletedProcess(command, 1)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints" / "best.ckpt").touch()
        (folder / "metrics.json").write_text("{}")
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def jobs(small: Path, tmp_path: Path) -> list[Job]:
    return experiment.expand(experiment.load(small), tmp_path / "results", seeds=[0])


def test_what_is_done_is_skipped(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    monkeypatch.setattr(experiment.subprocess, "run", process)
    assert experiment.run(jobs) == []
    assert experiment.run(jobs) == []
    assert process.ran == ["plain", "mean", "tuned"]
    record = json.loads((jobs[0].folder / "job.json").read_text())
    assert record["command"] == str(jobs[0])


def test_what_changed_is_run_again(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    monkeypatch.setattr(experiment.subprocess, "run", process)
    experiment.run(jobs)
    changed = dataclasses.replace(jobs[1], command=[*jobs[1].command, "--data.seed=3"])
    assert experiment.ran_otherwise(jobs) == []
    assert experiment.ran_otherwise([jobs[0], changed]) == ["mean"]
    experiment.run([jobs[0], changed])
    assert process.ran == ["plain", "mean", "tuned", "mean"]
    Path(jobs[0].layers[0]).write_text("trainer: {max_epochs: 9}\n")
    experiment.run([jobs[0]])
    assert process.ran[-1] == "plain"


def test_a_failed_run_stops_only_those_that_need_it(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment.subprocess, "run", FakeProcess(fails=("plain",)))
    assert [job.method for job in experiment.run(jobs)] == ["plain", "tuned"]
    assert "best.ckpt is missing" in capsys.readouterr().err
    assert jobs[1].done
    assert not jobs[0].done


def test_new_weights_make_borrowed_ones_stale(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess()
    monkeypatch.setattr(experiment.subprocess, "run", process)
    experiment.run(jobs)
    (jobs[0].folder / "checkpoints" / "best.ckpt").write_text("other weights")
    experiment.run(jobs)
    assert process.ran == ["plain", "mean", "tuned", "tuned"]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("trainer.max_epoch=2", "did you mean trainer.max_epochs"),
        ("seed_everything=-1", "seed_everything: -1 is no seed"),
        ("model.ndcg_at=3", "metrics: no metric 'ndcg_exp@5'; did you mean ndcg_exp@3"),
    ],
)
def test_nothing_runs_when_a_command_is_wrong(
    option: str, message: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(DEMO), "--results", str(tmp_path), "--option", option, *more])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    [line] = err.strip().splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_dry_run_prints_plain_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cli.main(["run", str(DEMO), "--dry-run", "--results", str(tmp_path), "--methods", "maml", "item-mean"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith(("metarec fit -c ", "metarec test -c ")) for line in lines)
    assert not list(tmp_path.iterdir())
