import dataclasses
import json
from hashlib import sha256
from pathlib import Path

import pytest

from metarec import experiment
from metarec.errors import InputError
from metarec.experiment import Job
from metarec.experiment.plan import typical


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
    jobs = experiment.expand(experiment.load(small), tmp_path, seeds=[7, 7], methods=["mean"])
    assert [(job.method, job.seed) for job in jobs] == [("mean", 7)]
    with pytest.raises(InputError, match="no method 'maen'; did you mean mean"):
        experiment.expand(experiment.load(small), tmp_path, methods=["maen"])


def test_scenarios_times_seeds_times_methods(small: Path, tmp_path: Path) -> None:
    block = """
        scenarios:
          warm: {options: {trainer.logger.init_args.name: "{scenario}-{method}-{seed}"}}
          cold: {options: {trainer.max_epochs: 5}}
        """
    small.write_text(small.read_text() + block)
    plan, results = experiment.load(small), tmp_path / "results"
    jobs = experiment.expand(plan, results)
    assert [(job.scenario, job.seed, job.method) for job in jobs] == [
        (scenario, seed, method)
        for scenario in ("warm", "cold")
        for seed in (0, 1)
        for method in ("plain", "mean", "tuned")
    ]
    assert jobs[0].folder == results / "warm" / "plain" / "seed-0"
    assert jobs[0].name == "warm: plain, seed 0"
    assert "--trainer.logger.init_args.name=warm-plain-0" in jobs[0].command
    assert "--trainer.max_epochs=5" in jobs[-1].command
    assert jobs[-1].needs == results / "cold" / "plain" / "seed-1" / "checkpoints" / "best.ckpt"
    assert len({job.digest for job in jobs}) == len(jobs)
    part, folder = experiment.parts(plan, results)["warm"]
    assert [job.command for job in experiment.expand(part, folder)] == [job.command for job in jobs[:6]]
    assert [job.scenario for job in experiment.expand(plan, results, [0], ["mean"], scenarios=["cold"])] == ["cold"]


def test_typical_jobs_have_every_method_of_every_scenario_and_every_seed(small: Path, tmp_path: Path) -> None:
    small.write_text(small.read_text() + "\n        scenarios: {warm: {}, cold: {}}\n")
    jobs = experiment.expand(experiment.load(small), tmp_path)
    assert [(job.scenario, job.method, job.seed) for job in typical(jobs)] == [
        *(("warm", "plain", 0), ("warm", "mean", 0), ("warm", "tuned", 0), ("warm", "plain", 1)),
        *(("cold", "plain", 0), ("cold", "mean", 0), ("cold", "tuned", 0)),
    ]


def finish(job: Job) -> None:
    """Leave what a finished run leaves."""
    (job.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (job.folder / "checkpoints" / "best.ckpt").touch()
    (job.folder / "metrics.json").write_text("{}")
    (job.folder / "job.json").write_text(json.dumps({"digest": job.digest}))


def test_what_changed_is_not_done(jobs: list[Job]) -> None:
    plain, mean, _ = jobs
    assert not any(job.done for job in jobs)
    for job in jobs:
        finish(job)
    assert all(job.done for job in jobs)
    changed = dataclasses.replace(mean, command=[*mean.command, "--data.seed=3"])
    assert not changed.done
    assert experiment.ran_otherwise(jobs) == []
    assert experiment.ran_otherwise([plain, changed]) == ["mean"]
    (plain.folder / "checkpoints" / "best.ckpt").write_text("other weights")
    assert experiment.ran_otherwise(jobs) == ["tuned"]
    Path(plain.layers[0]).write_text("trainer: {max_epochs: 9}\n")
    assert experiment.ran_otherwise(jobs) == ["plain", "mean", "tuned"]
    (mean.folder / "metrics.json").unlink()
    assert experiment.ran_otherwise(jobs) == ["plain", "tuned"]


def test_the_digest_of_a_run_without_scenarios_is_what_it_was(jobs: list[Job]) -> None:
    """Of its command, its layers and the weights it needs; finished runs would count as run otherwise if it changed."""
    plain, _, tuned = jobs
    layer = Path(plain.layers[0]).read_bytes()
    assert plain.digest == sha256(json.dumps(plain.command).encode() + 2 * layer).hexdigest()
    assert tuned.digest == sha256(json.dumps(tuned.command).encode() + layer).hexdigest()
    finish(plain)
    (plain.folder / "checkpoints" / "best.ckpt").write_text("weights")
    assert tuned.digest == sha256(json.dumps(tuned.command).encode() + layer + b"weights").hexdigest()
