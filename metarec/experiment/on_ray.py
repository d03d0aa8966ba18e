"""Runs jobs through Ray: each is a task of the cluster, which runs the plain command."""

import os
from pathlib import Path
from typing import Any

from metarec.errors import InputError
from metarec.experiment.job import Task, in_subprocess, last_of, reason

PREFIXES = ("METAREC_", "WANDB_")
"""Variables of the environment that jobs are to see on other nodes, too."""

SECRET = "WANDB_API_KEY"
"""Not handed on: Ray keeps such variables where others can read them. Nodes log in by themselves, or sync later."""

PATIENCE = 10.0
"""Seconds that cancelled jobs may take to end."""


class Ray:
    """Hands jobs to Ray: to the cluster that RAY_ADDRESS names, else to one that it starts on this machine.

    Args:
        threads: cores of each job.
        options: of each task, such as ``num_gpus`` or ``memory``, as `ray.remote` takes them.

    Raises:
        InputError: Ray is not there, its cluster is not, or there is no such option.
    """

    def __init__(self, threads: int, options: dict[str, Any]) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("--launcher ray: needs Ray; pip install 'metarec[ray]'") from error
        self._ray, self.threads = ray, threads
        self._folders: dict[Any, Path] = {}
        shared = {name: value for name, value in os.environ.items() if name.startswith(PREFIXES) and name != SECRET}
        try:
            self._function = ray.remote(in_subprocess).options(num_cpus=threads, max_retries=0, **options)
            ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": shared})
        except (ConnectionError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"--launcher ray: {' '.join(str(error).split())}") from error

    def start(self, task: Task) -> None:
        """Hand a job to the cluster."""
        self._folders[self._function.remote(task)] = task.folder

    def ended(self, timeout: float) -> dict[Path, str]:
        """By folder, why jobs that have ended failed; see `metarec.experiment.runner.Launcher`."""
        done, _ = self._ray.wait(list(self._folders), num_returns=1, timeout=timeout)
        return {self._folders.pop(reference): self._outcome(reference) for reference in done}

    def close(self) -> None:
        """Cancel what is queued or runs, wait until it has ended, and leave the cluster."""
        if rest := list(self._folders):
            for reference in rest:
                self._ray.cancel(reference)
            self._ray.wait(rest, num_returns=len(rest), timeout=PATIENCE)
        self._folders.clear()
        self._ray.shutdown()

    def _outcome(self, reference: Any) -> str:
        """Why a task failed; empty: it did not."""
        try:
            return reason(self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            return f"its Ray task ended without a result: {last_of(error)}"
