"""Files out of zip archives that nobody vouches for: nothing is unpacked to disk, and what could do harm is refused."""

import contextlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from metarec.errors import InputError
from metarec.files import require_file

MEMBERS = 100_000
"""Files that an archive may list."""

RATIO = 200
"""How many times its packed size a file may have; text comes to some 10. Files below `SMALL` may have more."""

SMALL = 2**20
"""Bytes."""

_CHUNK = 2**20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, OverflowError, ValueError)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive that is open for reading; what goes wrong with it inside the block is told in one line.

    Raises:
        InputError: there is no such file, it is no zip archive or a damaged one, or it is encrypted.
    """
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); check the path") from error
    except _DAMAGED as error:
        raise InputError(f"{path} is no zip archive, or is damaged; give the folder or fetch it again") from error
    except (RuntimeError, NotImplementedError) as error:  # in a way that Python cannot undo
        raise InputError(f"{path} cannot be unpacked ({error}); unpack it and give the folder") from error


def listed(path: Path, archive: zipfile.ZipFile, largest: int) -> dict[str, list[zipfile.ZipInfo]]:
    """The files of an archive by their names without folders.

    Args:
        path: where the archive lies, for messages.
        archive: the same, opened.
        largest: bytes that each may have.

    Raises:
        InputError: one points out of the archive, is no regular file, is there twice, or is a bomb.
    """
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise _refusal(path, f"it lists {len(members)} files, more than {MEMBERS}")
    found: dict[str, list[zipfile.ZipInfo]] = {}
    seen: set[PurePosixPath] = set()
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        _require_harmless(path, member, place, largest)
        if member.is_dir():
            continue
        if place in seen:
            raise _refusal(path, f"{_shown(member)} is there twice")
        seen.add(place)
        found.setdefault(place.name, []).append(member)
    return found


def contents(
    path: Path, archive: zipfile.ZipFile, found: dict[str, list[zipfile.ZipInfo]], names: Sequence[str], most: int
) -> list[tuple[str, bytes]]:
    """The files of those names: where each stands in the archive, and its bytes.

    Args:
        path: where the archive lies, for messages.
        archive: the same, opened.
        found: as `listed` gives them.
        names: of files, without folders.
        most: bytes that all of them may have.

    Raises:
        InputError: a name stands in several folders, or they are too large together.
    """
    chosen = []
    for name in names:
        if len(found[name]) > 1:
            places = ", ".join(map(_shown, found[name][:3]))
            raise InputError(f"{path} holds {name} in several folders ({places}); unpack it and give one of them")
        chosen.append(found[name][0])
    total = sum(member.file_size for member in chosen)
    if total > most:
        raise _refusal(path, f"its files have {total / 2**20:.0f} MB together, more than {most / 2**20:.0f}")
    return [(member.filename, _content(archive, member)) for member in chosen]


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a file, a piece at a time: one that is longer than the archive says is not unpacked as a whole."""
    with archive.open(member) as file:
        return b"".join(iter(lambda: file.read(_CHUNK), b""))


def _require_harmless(path: Path, member: zipfile.ZipInfo, place: PurePosixPath, largest: int) -> None:
    if place.is_absolute() or ".." in place.parts or ":" in member.filename:
        raise _refusal(path, f"{_shown(member)} points out of the archive")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if stat.S_ISLNK(kind):
        raise _refusal(path, f"{_shown(member)} is a symbolic link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refusal(path, f"{_shown(member)} is a device, pipe or socket")
    size, packed = member.file_size, member.compress_size
    if size > largest:
        raise _refusal(path, f"{_shown(member)} has {size / 2**20:.0f} MB, more than {largest / 2**20:.0f}")
    if size > SMALL and size > RATIO * packed:
        raise _refusal(path, f"{_shown(member)} grows from {packed} to {size} bytes, as a bomb does")
    odd = "is encrypted" * (member.flag_bits & 1)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        odd = odd or "is not deflated, as zip files are"
    if odd:
        raise InputError(f"{path} cannot be unpacked ({_shown(member)} {odd}); unpack it and give the folder")


def _refusal(path: Path, fault: str) -> InputError:
    return InputError(f"{path} is refused: {fault}; get a clean copy")


def _shown(member: zipfile.ZipInfo) -> str:
    """Its name in one short line."""
    return repr(member.filename if len(member.filename) <= 80 else f"{member.filename[:77]}...")
