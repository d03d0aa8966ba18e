from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from metarec.algorithms.gradient.maml import MAML
from metarec.data.ratings import Ratings
from metarec.data.tasks import TaskBatch
from metarec.nets.base import Net
from metarec.recommend import adapt_and_score, memory
from metarec.recommend.memory import Chunks, free_bytes, in_chunks, peak_bytes

CPU = torch.device("cpu")


def profiled(work: object) -> int:
    """The peak by torch's profiler, which sees every allocation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        work()
    now = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def test_peak_by_hand() -> None:
    kept = torch.ones(1000)

    def work() -> None:
        a = kept + 1  # 4,000 bytes
        b = a.view(10, 100) * 2  # 4,000 more; a view takes nothing
        del a
        b.add_(1)
        c = torch.cat([b, b])  # 8,000 more: 12,000 with b
        del b
        c.sum()

    assert peak_bytes(work, CPU) == 12_000


@pytest.mark.parametrize("adapts", [["decision"], ["all"]])
@pytest.mark.parametrize("steps", [1, 3])
def test_measured_peaks_are_those_of_the_profiler(net: Net, batch: TaskBatch, adapts: list[str], steps: int) -> None:
    algorithm = MAML(net, adapts, 0.1, steps)

    def work() -> None:
        with torch.no_grad():
            algorithm.predict(algorithm.adapt(batch.task, batch.support), batch.task, batch.query.item)

    work()
    assert peak_bytes(work, CPU) == pytest.approx(profiled(work), rel=0.15)


@pytest.mark.parametrize("adapts", [["decision"], ["head"], ["user_prior"], ["all"]])
def test_a_chunk_takes_no_more_than_estimated(net: Net, batch: TaskBatch, adapts: list[str]) -> None:
    report = adapt_and_score(MAML(net, adapts, 0.1, 2), batch).report
    assert report.chunk == 7
    assert 0.3 * report.estimated < report.measured <= report.estimated < report.budget


def test_chunks_go_from_the_longest_down_and_are_as_wide_as_they_must(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = torch.tensor([[1, 9], [7, 1], [2, 2], [0, 0], [5, 1], [1, 1], [1, 0]])
    seen = []

    def work(part: torch.Tensor, *widths: int) -> None:
        seen.append((part.tolist(), widths))
        torch.zeros(len(part), 100, dtype=torch.uint8)

    assert in_chunks(work, lengths, budget=250) == Chunks(2, 200, 200)
    assert seen == [([0], (7, 9)), ([1, 4], (7, 1)), ([2, 5], (2, 2)), ([6, 3], (1, 0))]
    seen.clear()
    monkeypatch.setattr(memory, "ROWS", 8)  # chunks grow as tasks get shorter
    assert in_chunks(work, lengths, budget=350) == Chunks(2, 200, 200)
    assert [part for part, _ in seen] == [[0], [1], [4], [2, 5], [6, 3]]
    assert in_chunks(work, lengths, budget=350, most=1) == Chunks(1, 100, 100)


def test_free_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CONTAINERS", ((tmp_path, "memory.max", "memory.current", "inactive_file"),))
    assert free_bytes(CPU) == 2**30  # nothing tells
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:    5000 kB\nHugePages_Total:       0\n")
    assert free_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 800000\ninactive_file 50000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_bytes(CPU) == 150_000


def test_free_bytes_of_this_machine(ratings: Ratings) -> None:
    assert 2**20 < free_bytes(CPU) < 2**45
