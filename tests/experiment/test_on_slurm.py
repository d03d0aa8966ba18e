"""SLURM by way of submitit, whose local executor runs the jobs as processes of this machine."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from metarec.errors import InputError
from metarec.experiment import Job
from metarec.experiment.on_slurm import Slurm
from tests.experiment.launched import asked, check_close, check_the_plan

LOCAL = {"cluster": "local"}


def test_what_is_missing_has_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *rest: Any) -> Any:
        if name == "submitit":
            raise ImportError(name)
        return ordinary(name, *rest)

    ordinary = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"needs submitit; pip install 'metarec\[slurm\]'"):
        Slurm(tmp_path, 1, {})


class TestWithSubmitit:
    @pytest.fixture(autouse=True)
    def submitit(self) -> Any:
        return pytest.importorskip("submitit", reason="needs the extra: pip install 'metarec[slurm]'")

    def test_no_slurm_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(InputError, match="--launcher slurm: "):
            Slurm(tmp_path, 1, {})

    @pytest.mark.parametrize("parameters", [{"slurm_partitoin": "long"}, {"mem_gb": "much"}, {"cluster": "moon"}])
    def test_faulty_parameters(self, tmp_path: Path, parameters: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="--launcher slurm: "):
            Slurm(tmp_path, 1, {**LOCAL, **parameters})

    def test_cores_are_those_of_threads(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="--resource cpus_per_task: the number of cores is that of --threads"):
            Slurm(tmp_path, 1, {**LOCAL, "cpus_per_task": 4})

    def test_a_job_that_the_queue_refuses(
        self, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, submitit: Any
    ) -> None:
        def refused(*_: Any) -> None:
            raise submitit.core.utils.FailedJobError("sbatch: error: invalid partition\nBatch job submission failed")

        launcher = Slurm(tmp_path, 1, dict(LOCAL))
        monkeypatch.setattr(launcher._executor, "submit", refused)
        with pytest.raises(InputError, match="the job was not taken: Batch job submission failed"):
            launcher.start(asked(jobs[1]))

    @pytest.mark.slow
    def test_the_plan_runs_one_job_a_worker(self, jobs: list[Job], tmp_path: Path) -> None:
        assert check_the_plan(Slurm(tmp_path / "results", 2, dict(LOCAL)), jobs) == {}
        assert len(list((tmp_path / "results" / "submitit").glob("*_result.pkl"))) == 3

    @pytest.mark.slow
    def test_a_job_that_fails(self, jobs: list[Job], tmp_path: Path) -> None:
        failed = check_the_plan(Slurm(tmp_path / "results", 2, dict(LOCAL)), jobs, "fail")
        assert failed["plain"] == "exit code 2: metarec: error: as asked"
        assert failed["tuned"].startswith("not run, since it needs")
        assert set(failed) == {"plain", "tuned"}

    @pytest.mark.slow
    def test_close_cancels(self, jobs: list[Job], tmp_path: Path) -> None:
        check_close(Slurm(tmp_path / "results", 1, dict(LOCAL)), jobs[1])

    @pytest.mark.slow
    def test_a_worker_that_is_ended(self, jobs: list[Job], tmp_path: Path) -> None:
        """As SLURM ends one that takes too much memory."""
        launcher = Slurm(tmp_path / "results", 1, dict(LOCAL))
        launcher.start(asked(jobs[1], "wait"))
        [job] = launcher._jobs.values()
        job._process.kill()
        [why] = launcher.ended(20).values()
        assert why.startswith(f"SLURM job {job.job_id} ended without a result: ")
        assert "\n" not in why
