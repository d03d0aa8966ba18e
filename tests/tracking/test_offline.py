"""The reader of offline files, on files written here byte by byte; and which runs are found."""

import os
import struct
import time
import zlib
from pathlib import Path

import pytest
from wandb.proto import wandb_internal_pb2

from metarec.errors import InputError
from metarec.tracking.offline import BLOCK, may_be_running, offline_runs, records, values


def written(path: Path, parts: list[bytes]) -> Path:
    """The format as LevelDB's log writers write it: what does not fit in a block goes on in the next."""
    content = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    for part in parts:
        first = True
        while True:
            room = BLOCK - len(content) % BLOCK
            if room < 7:
                content += b"\0" * room
                room = BLOCK
            chunk, part = part[: room - 7], part[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not part]
            content += struct.pack("<IHB", zlib.crc32(bytes([kind]) + chunk), len(chunk), kind) + chunk
            first = False
            if not part:
                break
    path.write_bytes(content)
    return path


def record(size: int, ends: bool = False) -> bytes:
    """A record with a text of some length, or the one at the end of a run."""
    if ends:
        return wandb_internal_pb2.Record(exit=wandb_internal_pb2.RunExitRecord()).SerializeToString()
    item = wandb_internal_pb2.HistoryItem(nested_key=["a", "b"], value_json='"' + "x" * size + '"')
    return wandb_internal_pb2.Record(history=wandb_internal_pb2.HistoryRecord(item=[item])).SerializeToString()


@pytest.mark.parametrize("sizes", [[1, 5, 70_000, 3], [BLOCK] * 5, *([BLOCK - more, 5, 7] for more in range(20, 60))])
def test_records_of_any_length_come_back(sizes: list[int], tmp_path: Path) -> None:
    """Those that leave a block 0 to 7 bytes among them."""
    found = list(records(written(tmp_path / "run.wandb", [record(size) for size in sizes])))
    assert [len(values(one.history.item)["a.b"]) for one in found] == sizes


def test_what_a_killed_run_did_not_write_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "run.wandb", [record(10), record(2 * BLOCK), record(10)])
    whole = path.read_bytes()
    for cut, expected in ((len(whole) - 3, 2), (BLOCK + 100, 1), (30, 0)):
        path.write_bytes(whole[:cut])
        assert len(list(records(path))) == expected


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wandb").write_text("something else")
    with pytest.raises(InputError, match=r"x\.wandb: no file of Weights & Biases"):
        next(records(tmp_path / "x.wandb"))


def run(folder: Path, name: str, ends: bool) -> Path:
    (folder / "wandb" / name).mkdir(parents=True)
    return written(folder / "wandb" / name / "run-a.wandb", [record(3), *([record(0, True)] if ends else [])])


def test_runs_are_found_once_the_oldest_first(tmp_path: Path) -> None:
    late = run(tmp_path / "a", "offline-run-20260102_000000-a", True)
    early = run(tmp_path / "b" / "c", "offline-run-20260101_000000-a", True)
    run(tmp_path / "b", "run-20260101_000000-online", True)
    (tmp_path / "a" / "wandb" / "latest-run").symlink_to(late.parent)
    assert offline_runs(tmp_path) == [early, late]


def test_a_run_without_an_end_may_be_running_for_ten_minutes(tmp_path: Path) -> None:
    ended, open_ = run(tmp_path / "a", "offline-run-1-a", True), run(tmp_path / "b", "offline-run-2-a", False)
    assert [may_be_running(path) for path in (ended, open_)] == [False, True]
    os.utime(open_, (time.time() - 700,) * 2)
    assert not may_be_running(open_)
