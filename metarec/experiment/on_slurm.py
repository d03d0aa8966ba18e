"""Runs jobs through SLURM, by way of submitit: each is a job of the queue, which runs the plain command."""

import time
from pathlib import Path
from typing import Any

from metarec.errors import InputError
from metarec.experiment.job import Task, in_subprocess, last_of, reason

MINUTES = 24 * 60
"""How long a job may take, unless told otherwise; submitit's own default is five minutes."""


class Slurm:
    """Hands jobs to SLURM.

    Args:
        results: folder of the runs; submitit's own files go into ``submitit/`` there. All nodes must see it.
        threads: cores of each job.
        parameters: submitit's parameters, such as ``slurm_partition`` or ``mem_gb``; ``cluster: local`` runs the jobs
            as processes of this machine, to try a plan.

    Raises:
        InputError: submitit or SLURM is not there, or there is no such parameter.
    """

    def __init__(self, results: Path, threads: int, parameters: dict[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise InputError("--launcher slurm: needs submitit; pip install 'metarec[slurm]'") from error
        if "cpus_per_task" in parameters:
            raise InputError("--resource cpus_per_task: the number of cores is that of --threads; give that")
        given = {"timeout_min": MINUTES, "name": "metarec", **parameters, "cpus_per_task": threads}
        self.threads = threads
        try:
            executor = submitit.AutoExecutor(results / "submitit", cluster=given.pop("cluster", "slurm"))
            executor.update_parameters(**given)
        except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
            raise InputError(f"--launcher slurm: {' '.join(str(error).split())}") from error
        self._executor, self._jobs = executor, dict[Path, Any]()

    def start(self, task: Task) -> None:
        """Put a job into the queue.

        Raises:
            InputError: SLURM does not take it.
        """
        try:
            self._jobs[task.folder] = self._executor.submit(in_subprocess, task)
        except (RuntimeError, OSError) as error:
            raise InputError(f"--launcher slurm: the job was not taken: {last_of(error)}") from error

    def ended(self, timeout: float) -> dict[Path, str]:
        """By folder, why jobs that have ended failed; see `metarec.experiment.runner.Launcher`."""
        until = time.monotonic() + timeout
        while not (done := [folder for folder, job in self._jobs.items() if job.done()]) and time.monotonic() < until:
            time.sleep(0.1)
        return {folder: _outcome(self._jobs.pop(folder)) for folder in done}

    def close(self) -> None:
        """Cancel what is queued or runs."""
        for job in self._jobs.values():
            job.cancel()
        self._jobs.clear()


def _outcome(job: Any) -> str:
    """Why a job of the queue failed; empty: it did not."""
    if error := job.exception():
        return f"SLURM job {job.job_id} ended without a result: {last_of(error)}"
    return reason(job.result())
