"""What the notes of the part `inference` say of how its times came about."""

import re

import pytest
import torch

from metarec.benchmark import inference
from metarec.benchmark.batching import draw_pool
from metarec.benchmark.records import Record
from metarec.benchmark.report import as_markdown
from metarec.benchmark.setting import QUERY, Cell, Setting


@pytest.fixture(scope="module")
def records(setting: Setting) -> list[Record]:
    """Two rounds on 10 users, of whom one chunk, all that the loops are timed on, holds 4."""
    cell, pool = Cell("decision", 2, 1), draw_pool(setting.tasks, torch.full((10,), inference.SUPPORT), QUERY, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "CHUNK", 4)
        return inference._catalogue(setting, cell, pool) + inference._many(setting, cell, pool)


def test_a_time_for_all_users_says_if_it_was_measured_on_few(records: list[Record]) -> None:
    notes = {record.engine: record.note for record in records if record.batching == "all users, ten queries"}
    for name in ("loop", "learn2learn"):
        assert re.fullmatch(r"10 users: [\d.]+ s, extrapolated from 4", notes.pop(name))
    assert set(notes) == {"batched", "fused", inference.OWN}
    assert all(re.fullmatch(r"10 users: [\d.]+ s", note) for note in notes.values())


def test_what_is_computed_before_the_clock_runs_is_said_with_its_time(records: list[Record]) -> None:
    notes = {record.engine: record.note for record in records if record.batching == "one user, all items"}
    found = re.fullmatch(
        r"item side computed before, once for all users, in ([\d.]+) ms; by the others for each user",
        notes.pop(inference.OWN),
    )
    assert found is not None
    assert 0 < float(found[1]) < 10_000
    assert set(notes.values()) == {""}


def test_the_notes_and_the_exceptions_are_printed(records: list[Record]) -> None:
    text = as_markdown(records)
    assert "extrapolated from 4" in text
    assert "item side computed before" in text
    assert "with two exceptions" in text
