"""Ray, on a cluster that it makes on this machine."""

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from metarec.errors import InputError
from metarec.experiment import Job
from metarec.experiment.on_ray import Ray
from tests.experiment.launched import asked, check_close, check_the_plan


def test_what_is_missing_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *rest: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return ordinary(name, *rest)

    ordinary = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"needs Ray; pip install 'metarec\[ray\]'"):
        Ray(1, {})


@pytest.mark.slow
class TestWithRay:
    """Each cluster takes some ten seconds to make."""

    @pytest.fixture(autouse=True)
    def ray(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        ray = pytest.importorskip("ray", reason="needs the extra: pip install 'metarec[ray]'")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        yield ray
        ray.shutdown()

    def test_faulty_options(self) -> None:
        with pytest.raises(InputError, match=r"--launcher ray: .*partition"):
            Ray(1, {"partition": "long"})

    def test_the_plan_runs_one_job_a_worker(self, jobs: list[Job]) -> None:
        assert check_the_plan(Ray(1, {}), jobs) == {}

    def test_a_job_that_fails(self, jobs: list[Job]) -> None:
        failed = check_the_plan(Ray(1, {}), jobs, "fail")
        assert failed["plain"] == "exit code 2: metarec: error: as asked"
        assert set(failed) == {"plain", "tuned"}

    def test_close_cancels(self, jobs: list[Job]) -> None:
        check_close(Ray(1, {}), jobs[1])
        assert asked(jobs[1]).module == "tests.experiment.stub"
