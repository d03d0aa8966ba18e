"""What every source does with faults in its files: one line that says where, and nothing is written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metarec.commands.data import DATA_SETS
from tests.data.sets.all_sources import SOURCES, Source
from tests.data.sets.cases import cells, files, sources

Refused = Callable[..., str]
Recorder = Callable[[str, object], None]


def place(source: Source, text: str) -> str:
    """How a message names the last line of the ratings."""
    rows = text.count("\n")
    return rf"{source.file} row {rows - 1}: " if source.packed else rf"{source.file}:{rows}: "


def test_every_command_is_in_the_contract() -> None:
    assert {source.command for source in SOURCES.values()} == set(DATA_SETS)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_good_fake_is_read(source: Source, tmp_path: Path) -> None:
    plain = len(source.read_text(tmp_path, source.text))
    if source.row:
        assert len(source.read_text(tmp_path, source.with_row())) == plain + 1


@pytest.mark.fault("value")
@sources(lambda source: source.has("rating"))
def test_a_rating_that_is_none(source: Source, refused: Refused, record_property: Recorder) -> None:
    """Of plays, which have no highest number, there are none at least."""
    off = "0" if source.command == "lastfm-2k" else "99"
    bad = ["nan", "inf", "-inf", "1e999", "-1", off, ""]
    for rating in bad:
        text = source.with_row(rating=rating)
        assert re.search(place(source, text), refused(source, source.of(text)))
    record_property("injected", len(bad))


@pytest.mark.fault("value")
@sources(lambda source: source.has("rating"))
def test_how_many_ratings_are_none_is_told(source: Source, refused: Refused) -> None:
    row = source.row.format(**{**source.good, "rating": "nan"})
    line = refused(source, source.of(source.text + row * 5))
    assert re.search(r"and (4 more lines|2 more)", line)


@pytest.mark.fault("text")
@cells(["user", "item", "time"], lambda source, column: column in source.numbers)
def test_an_id_or_time_that_is_no_number(
    source: Source, column: str, refused: Refused, record_property: Recorder
) -> None:
    bad = ["x7", "nan", "9" * 18 + "0", "1e99"]
    for value in bad:
        text = source.with_row(**{column: value})
        line = refused(source, source.of(text))
        assert re.search(place(source, text), line)
        assert value in line or source.packed
    record_property("injected", len(bad))


@pytest.mark.fault("text")
@cells(["user", "item", "time"], lambda source, column: (source.command, column) != ("gowalla", "item"))
def test_an_id_or_time_that_is_missing(source: Source, column: str, refused: Refused) -> None:
    """In Gowalla a user without items is a line of the published file."""
    text = source.with_row(**{column: ""})
    assert re.search(place(source, text), refused(source, source.of(text)))


@pytest.mark.fault("shape")
@sources(lambda source: bool(source.row) and not source.packed)
def test_a_wrong_separator(source: Source, refused: Refused, record_property: Recorder) -> None:
    """In all lines but the header; the first is named."""
    own = next(mark for mark in ("::", "\t", ",", " ") if mark in source.row)
    head, rows = source.text.split("\n", 1) if source.header else ("", source.text)
    others = [separator for separator in (";", "\t", "|", ",", "::", " ") if separator != own]
    for separator in others:
        text = f"{head}\n" * source.header + rows.replace(own, separator)
        assert f"{source.file}:{1 + source.header}: " in refused(source, source.of(text))
    record_property("injected", len(others))


@pytest.mark.fault("shape")
@files(lambda source, file: not file.endswith("_map.txt"))
def test_a_file_that_is_cut_off(source: Source, file: str, refused: Refused) -> None:
    """The published lists of Coat's attributes have no line break at their end."""
    content = source.content(file)
    line = refused(source, content[:-3], file)
    lines = content[:-3].count(b"\n") + 1
    assert f"{file}:{lines}: " in line or (source.packed and f"{file} is no Parquet file" in line)


@pytest.mark.fault("shape")
@pytest.mark.parametrize("bad", ["nul", "cr", "long"])
@files()
def test_bytes_that_are_no_text(source: Source, file: str, bad: str, refused: Refused) -> None:
    content = source.content(file)
    if source.packed and file == source.file:
        content = content[:6] + content[7:]
    elif bad == "nul":
        content = content[:-2] + b"\0" + content[-2:]
    elif bad == "cr":
        content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r")
    else:
        start = content.rstrip(b"\n").rfind(b"\n") + 1
        content = content[:start] + b"7" * 2**21 + content[start:]
    line = refused(source, content, file)
    if source.packed and file == source.file:
        assert re.search(f"{file} is (no Parquet file|damaged)", line)
    else:
        said = {"nul": "zero byte|no text in", "cr": "CR alone", "long": "has more than 1 MB"}[bad]
        assert re.search(rf"{file}:\d+: .*({said})", line)


@pytest.mark.fault("empty")
@files()
def test_an_empty_file(source: Source, file: str, refused: Refused, record_property: Recorder) -> None:
    empty = [b"", b"\n", b"\n\n\n", b"\xef\xbb\xbf", b" \n"]
    for content in empty:
        assert file in refused(source, content, file)
    record_property("injected", len(empty))


@pytest.mark.fault("empty")
@sources(lambda source: source.header)
def test_a_header_alone(source: Source, refused: Refused) -> None:
    text = source.text.partition("\n")[0] + "\n"
    assert re.search(rf"{source.file} (is empty|holds no row)", refused(source, source.of(text)))
