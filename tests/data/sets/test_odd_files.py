"""What every source does with files that are odd but can be read, and with paths that lead to no file."""

import codecs
import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metarec.data.ratings import Ratings
from metarec.data.sets.csv_file import csv_ratings
from metarec.errors import InputError
from tests.data.sets.all_sources import SOURCES, Source
from tests.data.sets.cases import files, sources
from tests.data.test_movielens import assert_same
from tests.fuzz.parsers import within

Refused = Callable[..., str]
Recorder = Callable[[str, object], None]
pytestmark = pytest.mark.usefixtures("cache")
TIMED = ["recbole-atomic", "csv", "csv-separated", "parquet"]


def left_out(ratings: Ratings) -> int:
    """How many ratings of pairs that came again the source says were left out."""
    found = re.search(r"(\d+) (earlier|repeated) rating", ratings.source)
    return int(found[1]) if found else 0


@pytest.mark.fault("duplicates")
@sources(lambda source: source.repeats != "impossible")
def test_pairs_that_come_again(source: Source, tmp_path: Path, refused: Refused) -> None:
    """They are refused, two lines named and the others counted, or one stays and the rest is counted."""
    row = source.row.format(**source.good)
    if source.repeats == "refused":
        line = refused(source, source.of(source.text + row * 3))
        assert f"{source.file}:" in line
        assert "again after line" in line or "comes twice" in line
        assert "(and 1 more lines)" in line
        return
    once, again = (source.read_text(tmp_path / str(times), source.text + row * times) for times in (1, 3))
    assert left_out(again) == left_out(once) + 2
    for column in ("user", "item", "rating", "time"):
        np.testing.assert_array_equal(getattr(once, column), getattr(again, column))


def timed(source: Source, folder: Path, *times: object) -> Ratings:
    """The header of a source's fake and rows of one user with those times."""
    head = source.text.partition("\n")[0] + "\n" if source.header else ""
    rows = [
        source.row.format(**{**source.good, "user": "b", "item": f"i{number}", "rating": number % 5 + 1, "time": time})
        for number, time in enumerate(times)
    ]
    return source.read_text(folder, head + "".join(rows))


@pytest.mark.fault("times")
@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((10**9, 10**9 + 1, 10**9 + 1, 10**9 + 2), ""),
        ((*[10**9] * 9, 10**9 + 1), "8 of 10 ratings have the same time"),
        ((10**9, -5, 10**9 + 1, -7), "2 of 4 times are negative"),
        ((1_700_000_000_000, 1_600_000_000_000, 1_650_000_000_000), "behind the year 2286"),
        ((5, 5, 5), "all times are the same"),
    ],
)
@pytest.mark.parametrize("name", TIMED)
def test_odd_times_are_one_line_for_whoever_uses_them(
    name: str, times: tuple[int, ...], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ratings = timed(SOURCES[name], tmp_path, *times)
    assert ratings.time.tolist() in (list(times), sorted(times))
    assert bool(ratings.odd_times) == bool(said)
    assert said in ratings.odd_times
    assert said in ratings.source
    assert "\n" not in ratings.odd_times
    assert not caplog.records


@pytest.mark.fault("times")
@sources(lambda source: source.has("time"))
def test_published_times_are_no_reason_to_warn(source: Source, tmp_path: Path) -> None:
    ratings = source.read_text(tmp_path, source.with_row(time="-7"))
    assert bool(ratings.odd_times) == (source.command in ("csv", "recbole-atomic"))
    assert -7 in ratings.time


@pytest.mark.fault("encoding")
@pytest.mark.parametrize("change", ["crlf", "bom", "both"])
@sources()
def test_crlf_and_a_byte_order_mark_change_nothing(source: Source, change: str, tmp_path: Path) -> None:
    plain = source.read(source.write(tmp_path / "plain"))
    changed = {}
    for file in source.files:
        if source.packed and file == source.file:
            continue
        content = source.content(file).replace(b"\r\n", b"\n")
        if change != "bom":
            content = content.replace(b"\n", b"\r\n")
        if change != "crlf":
            text = content.decode("latin-1" if b"Caf\xe9" in content else "utf-8")
            content = text.encode()
            content = codecs.BOM_UTF8 + content
        changed[file] = content
    odd = source.read(source.write(tmp_path / "odd", changed))
    plain, odd = (ratings.settled(np.arange(len(ratings))) for ratings in (plain, odd))
    assert_same(plain, dataclasses.replace(odd, digest=plain.digest, odd_times=plain.odd_times))


@pytest.mark.fault("encoding")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_the_encoding_of_ones_own_file_can_be_given(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes("user,item,rating\nJos\u00e9,Caf\u00e9,3\nJos\u00e9,Th\u00e9,4\n".encode(encoding))
    ratings = csv_ratings(str(path), encoding=encoding)
    assert (ratings.user_ids, ratings.item_ids) == (("", "Jos\u00e9"), ("", "Caf\u00e9", "Th\u00e9"))
    if encoding in ("latin-1", "cp1252"):
        with pytest.raises(
            InputError, match=r"own\.csv:2: no text in utf-8; give the encoding it has, such as latin-1"
        ):
            csv_ratings(str(path))


def put(path: Path, kind: str) -> None:
    """In the place of a file: nothing, a folder, a pipe that nobody writes to, a device that never ends."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")


@pytest.mark.fault("empty")
@files()
def test_a_file_that_is_none(
    source: Source, file: str, tmp_path: Path, refused: Refused, record_property: Recorder
) -> None:
    folder = source.write(tmp_path / "set")
    kinds = {
        "missing": "",
        "folder": "",
        "pipe": "it is no regular file",
        "zero": "it is no regular file",
    }
    for kind, said in kinds.items():
        put(Path(folder) / file, kind)
        with within(5):
            line = refused.of_path(source, folder)  # type: ignore[attr-defined]
        assert Path(file).name in line
        assert said in line
    record_property("injected", len(kinds))


@pytest.mark.fault("empty")
@sources()
def test_a_path_that_leads_nowhere(source: Source, tmp_path: Path, refused: Refused, record_property: Recorder) -> None:
    kinds = ["missing", "folder", "pipe", "zero"]
    for kind in kinds:
        put(tmp_path / "set", kind)
        with within(5):
            assert str(tmp_path / "set") in refused.of_path(source, str(tmp_path / "set"))  # type: ignore[attr-defined]
    assert "cannot read" in refused.of_path(source, f"{tmp_path}/a\0b")  # type: ignore[attr-defined]
    record_property("injected", len(kinds) + 1)
