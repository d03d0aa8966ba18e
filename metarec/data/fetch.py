"""Files of data sets: from a folder or archive given by path, from the cache, from the internet."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from metarec.data import archive
from metarec.data.download import download
from metarec.errors import InputError
from metarec.files import require_file

logger = logging.getLogger(__name__)

LARGEST_MEMBER = 64 * 2**20
"""Bytes; an archive with a larger file is refused, but for data sets that are known to be larger."""

LARGEST_RATINGS = 2**30
"""Bytes of a file of those; ratings.csv of MovieLens 32M has some 900 million."""

FETCH_SECONDS = 300
"""How long one source may take, and how long another process may wait for it."""


class FetchError(Exception):
    """One source did not serve; the next one is tried."""


@dataclass(frozen=True)
class Document:
    """One file of a data set.

    Attributes:
        name: where it comes from, for messages, such as ``/data/ml-1m.zip:ml-1m/users.dat``.
        data: its bytes.
    """

    name: str
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Package:
    """A wheel of the package index pip is set up for; it is never installed or imported.

    Attributes:
        name: of the package.
        version: the pinned one.
        file: name of the wheel.
        sha256: its digest.
    """

    name: str
    version: str
    file: str
    sha256: str

    @property
    def source(self) -> str:
        """What it is, for people."""
        return f"PyPI package {self.name} {self.version}"

    @property
    def by_hand(self) -> str:
        """How people get it."""
        return f"{self.file} with pip download --no-deps {self.name}=={self.version}"

    def fetch(self, folder: Path) -> Path:
        """Put the wheel into a folder with ``pip download``; raises FetchError if that fails."""
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ]
        command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder)]
        command += ["-r", str(requirements)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FetchError(f"pip did not finish ({type(error).__name__})") from error
        wheel = folder / self.file
        if done.returncode or not wheel.is_file():
            raise FetchError(_last_error(done.stderr) or f"pip gave no {self.file}")
        return wheel


@dataclass(frozen=True)
class Download:
    """An archive at a fixed address.

    Attributes:
        url: its address.
        sha256: its digest.
    """

    url: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the cache."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def source(self) -> str:
        """What it is, for people."""
        return "official archive"

    @property
    def by_hand(self) -> str:
        """How people get it."""
        return f"{self.url} with a browser"

    def fetch(self, folder: Path) -> Path:
        """Download the archive into a folder; raises FetchError if that fails."""
        import pooch  # slow to import, and needed once

        pooch.get_logger().setLevel(logging.WARNING)
        try:
            known = f"sha256:{self.sha256}"
            found = pooch.retrieve(self.url, known, fname=self.file, path=folder, downloader=download)
        except (
            OSError,
            ValueError,
        ) as error:  # requests' errors are OSErrors, a wrong digest is a ValueError
            reason = getattr(error.args[0], "reason", error) if error.args else error
            raise FetchError(f"{self.url}: {_shorten(str(reason))}") from error
        return Path(found)


Archive = Package | Download
"""A zip file on the internet, pinned by its digest."""


def cache_folder(cache: str | None = None) -> Path:
    """Where fetched files are kept.

    Args:
        cache: the folder; without it the environment variable METAREC_CACHE names one, and without that
            it is the usual cache folder of the system.

    Returns:
        The folder, which may not exist yet.
    """
    chosen = cache or os.environ.get("METAREC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("metarec"))


def obtain(name: str, archives: Sequence[Archive], cache: str | None = None) -> tuple[Path, str]:
    """Give an archive of a data set from the cache, or from the first source that serves it.

    Of processes that ask at once, one fetches and the others wait. The cache is checked at each call.

    Args:
        name: the data set, for messages and as the folder in the cache.
        archives: the archives that hold the data set, in the order they are tried.
        cache: the cache folder, see `cache_folder`.

    Returns:
        The archive in the cache, and its source for people.

    Raises:
        InputError: no source serves it, or the cache cannot be written.
    """
    folder = cache_folder(cache) / name
    try:
        found = _cached(folder, archives)  # without the lock, so that a cache others wrote may be read-only
        if found:
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=2 * FETCH_SECONDS):
            return _cached(folder, archives) or _fetch_first(name, archives, folder)
    except Timeout as error:
        raise InputError(f"{folder}: another process has been fetching for long; stop it or try again") from error
    except OSError as error:
        cure = "set METAREC_CACHE to a folder that can be written, or give the data set's path"
        raise InputError(f"cannot use the cache {folder} ({error.strerror or error}); {cure}") from error


def read_files(path: Path, layouts: Sequence[tuple[str, ...]], largest: int | None = None) -> tuple[Document, ...]:
    """Read the files of a data set out of a folder or a zip archive.

    Args:
        path: the folder or archive.
        layouts: for each form the data set comes in, the names of its files; the first layout whose first
            file is there counts.
        largest: an archive with a larger file is refused, in bytes; null: `LARGEST_MEMBER`.

    Returns:
        The files, in the layout's order.

    Raises:
        InputError: a file is missing or cannot be read, or the archive is refused.
    """
    try:
        if path.is_dir():
            names = _choose(path, layouts, {file.name for file in path.iterdir()})
            return tuple(_document(path / name) for name in names)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({getattr(error, 'strerror', error)}); check the path") from error
    limit = LARGEST_MEMBER if largest is None else largest
    with archive.opened(path) as opened:
        found = archive.listed(path, opened, limit)
        names = _choose(path, layouts, set(found))
        return tuple(
            Document(f"{path}:{place}", data) for place, data in archive.contents(path, opened, found, names, 2 * limit)
        )


def _document(path: Path) -> Document:
    require_file(path)
    return Document(str(path), path.read_bytes())


def _cached(folder: Path, archives: Sequence[Archive]) -> tuple[Path, str] | None:
    for source in archives:
        path = folder / source.file
        if path.is_file() and _has_digest(path, source.sha256):
            return path, f"cache ({source.source})"
    return None


def _fetch_first(name: str, archives: Sequence[Archive], folder: Path) -> tuple[Path, str]:
    reasons = []
    for left in folder.glob("fetch-*"):  # by a process that was killed; none fetches now but this one
        shutil.rmtree(left, ignore_errors=True)
    for source in archives:
        try:
            return _store(source, folder), source.source
        except FetchError as error:
            reasons.append(f"{source.source}: {error}")
    cure = f"get {archives[-1].by_hand} and give its path, or put it at {folder / archives[-1].file}"
    raise InputError(f"no source serves {name}: {'; '.join(reasons)}; {cure}")


def _store(source: Archive, folder: Path) -> Path:
    target = folder / source.file
    if target.is_file():
        logger.warning("%s is damaged (its SHA-256 is not the known one); fetching it again", target)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
        fetched = source.fetch(Path(scratch))
        if not _has_digest(fetched, source.sha256):
            raise FetchError(f"the SHA-256 of {source.file} is not the pinned one")
        fetched.replace(target)  # the same file system, so others see the whole file or none
    return target


def _has_digest(path: Path, sha256: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _choose(path: Path, layouts: Sequence[tuple[str, ...]], there: set[str]) -> tuple[str, ...]:
    layout = next((names for names in layouts if names[0] in there), None)
    if layout is None:
        wanted = " or ".join(names[0] for names in layouts)
        raise InputError(f"{path} holds no {wanted}; give the folder or archive that does")
    missing = [name for name in layout if name not in there]
    if missing:
        raise InputError(f"{path} holds {layout[0]} but no {', '.join(missing)}; add what is missing")
    return layout


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _shorten(([line for line in lines if line.startswith("ERROR")] or lines or [""])[-1])


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "..."
