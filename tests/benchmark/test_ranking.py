import pytest
import torch

from metarec.benchmark import ranking
from metarec.benchmark.setting import Setting
from metarec.errors import InputError


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_metric_is_faster_than_torchmetrics_and_gives_its_value(setting: Setting) -> None:
    found = ranking.ranking(setting)
    assert [record.engine for record in found] == list(ranking._pairs())
    assert all(record.ratio > 5 for record in found)


def test_another_value_is_refused(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_function_value", lambda *_: 0.123)
    with pytest.raises(InputError, match="its speed means nothing"):
        ranking.ranking(setting)


def test_memory_does_not_grow_with_users(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two users' scores at a time."""
    monkeypatch.setattr("metarec.catalogue.SCORES", 10_000)
    few, many = ranking.catalogue(setting)
    assert (few.engine, many.engine, few.ratio) == ("4 users", "16 users", 1.0)
    assert many.ratio < 1.3
