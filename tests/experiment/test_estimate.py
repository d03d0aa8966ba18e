import json
from pathlib import Path

import pytest

from metarec.experiment.estimate import Cost, Costs, about, cost_of, whole
from metarec.experiment.plan import Job


def job(results: Path, method: str, seed: int = 0, scenario: str = "", needs: str = "") -> Job:
    folder = results / scenario / method / f"seed-{seed}"
    checkpoint = results / scenario / needs / f"seed-{seed}" / "checkpoints" / "best.ckpt" if needs else None
    return Job(method, seed, folder, [], [], checkpoint, scenario)


def ran(one: Job, seconds: float, memory: int | None = None, noted: float | None = None) -> None:
    """Leave what a run leaves that trained, selected and tested for a third of the time each."""
    one.folder.mkdir(parents=True)
    parts = {f"{part}_seconds": seconds / 3 for part in ("fit", "select", "test")}
    peak = {} if memory is None else {"peak_memory_mb": memory}
    (one.folder / "metrics.json").write_text(json.dumps({**parts, **peak}))
    if noted is not None:
        (one.folder / "job.json").write_text(json.dumps({"seconds": noted}))


def test_what_a_finished_run_took(tmp_path: Path) -> None:
    old, new = job(tmp_path, "old"), job(tmp_path, "new")
    ran(old, 6.0, 1536)
    ran(new, 6.0, noted=9.0)
    assert cost_of(old.folder) == Cost(pytest.approx(6.0), 1.5)
    assert cost_of(new.folder) == Cost(9.0, None)
    assert cost_of(tmp_path / "absent") is None
    (old.folder / "metrics.json").write_text("{}")
    assert cost_of(old.folder) is None


def test_the_nearest_kind_counts(tmp_path: Path) -> None:
    maml = [job(tmp_path, "maml", seed, "cold") for seed in range(3)]
    for seed, one in enumerate(maml[:2]):
        ran(one, 10.0 * (1 + seed), 1024 * (1 + seed))
    ran(job(tmp_path, "als", 0, "cold"), 3.0, 512)
    ran(job(tmp_path, "als", 0, "warm"), 30.0, 4096)
    jobs = [*maml, *(job(tmp_path, name, 1, block) for name in ("als", "knn") for block in ("cold", "warm", "both"))]
    costs = Costs(jobs)
    assert costs.seconds(maml[2]) == pytest.approx(15.0)
    assert costs.memory(maml[2]) == 2.0
    als = {one.scenario: one for one in jobs if one.method == "als"}
    assert {name: costs.seconds(one) for name, one in als.items()} == pytest.approx(
        {"cold": 3.0, "warm": 30.0, "both": 16.5}
    )
    knn = jobs[-1]
    assert costs.seconds(knn) == pytest.approx((10 + 20 + 3 + 30) / 4)
    assert costs.memory(knn) == 4.0
    assert [costs.known(one) for one in (maml[0], als["both"], knn)] == [True, True, False]


def test_nothing_is_known(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "maml")]
    costs = Costs(jobs)
    assert (costs.seconds(jobs[0]), costs.memory(jobs[0]), whole(jobs, costs, 1)) == (None, None, None)
    ran(jobs[0], 4.0)
    costs.add(jobs[0], jobs[0].folder)
    assert costs.seconds(jobs[0]) == pytest.approx(4.0)


def test_the_whole_time(tmp_path: Path) -> None:
    """Shared out evenly; but a chain of jobs that need each other is not."""
    jobs = [
        *(job(tmp_path, "first"), job(tmp_path, "second", needs="first"), job(tmp_path, "third", needs="second")),
        *(job(tmp_path, name) for name in "abc"),
    ]
    for one, seconds in zip(jobs, (10, 20, 30, 1, 2, 3), strict=True):
        ran(one, seconds)
    costs = Costs(jobs)
    assert whole(jobs, costs, 1) == pytest.approx(66)
    assert whole(jobs, costs, 4) == pytest.approx(60)
    assert whole(jobs[3:], costs, 2) == pytest.approx(3)
    assert whole([], costs, 2) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5000, "83 min"), (12600, "3.5 h")],
)
def test_times_for_people(seconds: float | None, text: str) -> None:
    assert about(seconds) == (text if seconds is None else f"about {text}")
