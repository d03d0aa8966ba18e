"""Archives that nobody should open: each is refused in one line, and nothing of it is kept or unpacked."""

import gzip
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metarec.data import archive
from metarec.data.fetch import read_files
from metarec.data.sets.gowalla import gowalla
from metarec.errors import InputError

MB = 2**20


def member(name: str = "a1", kind: int = 0, packed: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    info.compress_type = packed
    return info


def packed(folder: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def refused(path: Path, largest: int | None = None) -> str:
    """The line that refuses an archive, beside which nothing is there afterwards."""
    with pytest.raises(InputError) as error:
        read_files(path, (("a1", "a2"), ("a1",)) if path.name == "two.zip" else (("a1",),), largest)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert str(error.value).startswith(str(path))
    assert list(path.parent.iterdir()) == [path]
    return str(error.value)


@pytest.mark.fault("archive")
@pytest.mark.parametrize(
    "name", ["/a1", "../a1", "deep/../../a1", "..\\a1", "C:\\a1", "//host/a1", "a1\\..\\..\\b", "../" * 90 + "a1"]
)
def test_a_name_that_points_outside(tmp_path: Path, name: str) -> None:
    assert "points out of the archive; get a clean copy" in refused(packed(tmp_path, ("a1", b"1"), (name, b"2")))


@pytest.mark.fault("archive")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (stat.S_IFLNK, "is a symbolic link"),
        (stat.S_IFCHR, "is a device, pipe or socket"),
        (stat.S_IFBLK, "is a device, pipe or socket"),
        (stat.S_IFIFO, "is a device, pipe or socket"),
        (stat.S_IFSOCK, "is a device, pipe or socket"),
    ],
)
def test_what_is_no_regular_file(tmp_path: Path, kind: int, said: str) -> None:
    assert f"'a1' {said}" in refused(packed(tmp_path, (member(kind=kind), b"/etc/passwd")))


@pytest.mark.fault("archive")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice(tmp_path: Path) -> None:
    assert "'a1' is there twice" in refused(packed(tmp_path, ("a1", b"1"), ("a1", b"2")))
    assert "'./a1' is there twice" in refused(packed(tmp_path, ("a1", b"1"), ("./a1", b"2")))


@pytest.mark.fault("archive")
def test_a_file_in_several_folders_is_not_guessed_at(tmp_path: Path) -> None:
    """The archive of LightGCN's code holds train.txt of each of its data sets."""
    lists = [(f"Data/{name}/{part}.txt", b"0 1\n") for name in ("amazon", "gowalla") for part in ("train", "test")]
    with pytest.raises(InputError, match=r"in several folders \('Data/amazon/train.txt', 'Data/gowalla/train.txt'\)"):
        gowalla(str(packed(tmp_path, *lists)))


@pytest.mark.fault("archive")
def test_a_file_that_is_too_large_alone_or_with_others(tmp_path: Path) -> None:
    path = packed(tmp_path, ("a1", b"0123456789" * 100), ("deep/a2", b"0123456789" * 100))
    assert "'a1' has 0 MB, more than 0" in refused(path, largest=999)
    two = path.rename(tmp_path / "two.zip")
    with zipfile.ZipFile(two) as opened, pytest.raises(InputError, match="have 0 MB together, more than 0"):
        archive.contents(two, opened, archive.listed(two, opened, 1000), ["a1", "a2"], 1999)
    assert len(read_files(two, (("a1", "a2"),), 1000)) == 2


@pytest.mark.fault("archive")
def test_a_bomb(tmp_path: Path) -> None:
    assert "'a1' grows from " in refused(packed(tmp_path, ("a1", b"\0" * 8 * MB)))
    assert "'b' grows from " in refused(packed(tmp_path, ("a1", b"1"), ("b", b"\0" * 8 * MB)))
    files = read_files(packed(tmp_path, ("a1", b"\0" * MB)), (("a1",),))
    assert len(files[0].data) == MB


@pytest.mark.fault("archive")
def test_a_bomb_that_says_it_is_small_is_not_unpacked(tmp_path: Path) -> None:
    """Its lists of files give 10 bytes in the place of 64 MB."""
    path = packed(tmp_path, ("a1", b"\0" * 64 * MB))
    true, small = struct.pack("<L", 64 * MB), struct.pack("<L", 10)
    path.write_bytes(path.read_bytes().replace(true, small))
    tracemalloc.start()
    try:
        assert "is damaged" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.fault("archive")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_packed_in_a_way_that_no_bound_holds_for(tmp_path: Path, method: int) -> None:
    assert "'a1' is not deflated" in refused(packed(tmp_path, (member(packed=method), b"1")))


@pytest.mark.fault("archive")
def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS", 9)
    path = packed(tmp_path, *((f"a{number}", b"1") for number in range(10)))
    assert "lists 10 files, more than 9" in refused(path)


def flagged(content: bytes, bit: int) -> bytes:
    """With a bit of the first file's flags, in both lists of files: 0 for one that is encrypted, 11 for UTF-8 names."""
    changed = bytearray(content)
    for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[content.find(head) + place + bit // 8] |= 1 << bit % 8
    return bytes(changed)


@pytest.mark.fault("archive")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: flagged(content, 0), "cannot be unpacked ('a1' is encrypted); unpack it and give the folder"),
        (lambda content: content[:-10], "is no zip archive, or is damaged"),
        (lambda content: content[: len(content) // 2], "is no zip archive, or is damaged"),
        (lambda content: content.replace(b"original", b"modified"), "is no zip archive, or is damaged"),
        (lambda content: b"", "is no zip archive, or is damaged"),
        (lambda content: gzip.compress(content), "is no zip archive, or is damaged; give the folder"),
        (lambda content: content.replace(b"a1", b"\xff\xfe"), "holds no a1"),
        (lambda content: flagged(content.replace(b"a1", b"\xff\xfe"), 11), "is no zip archive, or is damaged"),
    ],
    ids=["encrypted", "cut", "half", "changed", "empty", "gzip", "name", "utf8"],
)
def test_an_archive_that_is_damaged(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    path = packed(tmp_path, (member(packed=zipfile.ZIP_STORED), b"original"))
    path.write_bytes(damage(path.read_bytes()))
    assert said in refused(path)


@pytest.mark.fault("archive")
def test_every_byte_changed_or_cut_is_read_or_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = packed(tmp_path, ("deep/a1", b"0123456789" * 5))
    whole = path.read_bytes()
    flips = [(place, bit) for place in range(len(whole)) for bit in (1, 255)]
    changed = [whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :] for place, bit in flips]
    changed += [whole[:place] for place in range(len(whole))]
    for content in changed:
        path.write_bytes(content)
        said, found = "", [b"0123456789" * 5]
        try:
            found = [file.data for file in read_files(path, (("a1",),))]
        except InputError as error:
            said = str(error)
        assert "\n" not in said
        assert found == [b"0123456789" * 5]
    record_property("injected", len(changed))
