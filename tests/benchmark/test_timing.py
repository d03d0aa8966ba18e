import time

import pytest
import torch

from metarec.benchmark import timing

CPU = torch.device("cpu")


def test_each_contender_is_called_once_a_round_in_changing_order() -> None:
    calls: list[tuple[str, int]] = []
    runs = {name: (lambda number, name=name: calls.append((name, number))) for name in "abcd"}
    found = timing.interleaved(runs, rounds=6, device=CPU, least=0.0)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys("abcd", 6)
    rounds = [calls[start : start + 4] for start in range(0, 24, 4)]
    assert all(sorted(names) == [(name, number) for name in "abcd"] for number, names in enumerate(rounds))
    assert len({tuple(name for name, _ in names) for names in rounds}) > 1


def test_quick_work_is_repeated_and_counted_once() -> None:
    calls = []
    took = timing.seconds(lambda: calls.append(time.sleep(0.005)), CPU, least=0.03)
    assert 2 <= len(calls) <= 7
    assert 0.005 <= took < 0.03


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    found = timing.ratio([2.0, 6.0, 40.0], [1.0, 2.0, 10.0])  # 2, 3, 4, though the times themselves jump
    assert found.median == 3.0
    assert (found.low, found.high) == (2.5, 3.5)


def test_what_sleeps_three_times_as_long_is_three_times_as_slow() -> None:
    runs = {"slow": lambda _: time.sleep(0.03), "fast": lambda _: time.sleep(0.01), "same": lambda _: time.sleep(0.01)}
    found = timing.interleaved(runs, rounds=3, device=CPU, least=0.0)
    assert timing.ratio(found["slow"], found["fast"]).median == pytest.approx(3.0, rel=0.4)
    assert timing.ratio(found["same"], found["fast"]).median == pytest.approx(1.0, rel=0.4)
