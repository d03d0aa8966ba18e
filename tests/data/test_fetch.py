import hashlib
import subprocess
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from metarec.data import fetch
from metarec.data.fetch import Download, FetchError, Package, cache_folder, obtain, read_files
from metarec.errors import InputError

CONTENT = b"what the archive holds"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PACKAGE = Package(name="thing", version="1.0", file="thing.whl", sha256=DIGEST)
OFFICIAL = Download(url="https://example.org/sets/thing.zip", sha256=DIGEST)


def serve(content=CONTENT, calls=None, seconds=0.0):
    def fake(self, folder):
        if calls is not None:
            calls.append(self.source)
        time.sleep(seconds)
        path = folder / self.file
        path.write_bytes(content)
        return path

    return fake


def fail(reason):
    def fake(self, folder):
        raise FetchError(reason)

    return fake


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_sources_are_tried_in_order_and_then_the_cache_serves(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(Package, "fetch", serve(calls=calls))
    monkeypatch.setattr(Download, "fetch", serve(calls=calls))
    path, source = obtain("thing", (PACKAGE, OFFICIAL), str(tmp_path))
    assert path.read_bytes() == CONTENT
    assert source == "PyPI package thing 1.0"
    assert obtain("thing", (PACKAGE, OFFICIAL), str(tmp_path)) == (path, "cache (PyPI package thing 1.0)")
    assert calls == ["PyPI package thing 1.0"]


@pytest.mark.fault("host")
def test_next_source_serves_when_the_first_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(Package, "fetch", fail("no pip"))
    monkeypatch.setattr(Download, "fetch", serve())
    path, source = obtain("thing", (PACKAGE, OFFICIAL), str(tmp_path))
    assert (path.name, source) == ("thing.zip", "official archive")


def test_all_failing_gives_one_line_with_every_reason_and_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(Package, "fetch", fail("no pip"))
    monkeypatch.setattr(Download, "fetch", fail("certificate expired"))
    with pytest.raises(InputError) as error:
        obtain("thing", (PACKAGE, OFFICIAL), str(tmp_path))
    message = str(error.value)
    assert "no pip" in message
    assert "certificate expired" in message
    assert "give its path" in message
    assert "\n" not in message


@pytest.mark.fault("digest")
def test_wrong_digest_is_refused_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Download, "fetch", serve(b"something else"))
    with pytest.raises(InputError, match=r"SHA-256 of thing\.zip is not the pinned one"):
        obtain("thing", (OFFICIAL,), str(tmp_path))
    assert [file.name for file in (tmp_path / "thing").iterdir() if file.name != "lock"] == []


@pytest.mark.fault("digest")
def test_damaged_cache_is_fetched_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Download, "fetch", serve())
    path, _ = obtain("thing", (OFFICIAL,), str(tmp_path))
    path.write_bytes(CONTENT[:-1])
    assert obtain("thing", (OFFICIAL,), str(tmp_path)) == (path, "official archive")
    assert path.read_bytes() == CONTENT
    assert caplog.text.count("is damaged") == 1


@pytest.mark.fault("two-fetch")
def test_threads_fetch_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(Download, "fetch", serve(calls=calls, seconds=0.3))
    start = threading.Barrier(4)

    def ask(_):
        start.wait()
        return obtain("thing", (OFFICIAL,), str(tmp_path))[0].read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [CONTENT] * 4
    assert len(calls) == 1


def test_cache_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="set METAREC_CACHE"):
        obtain("thing", (OFFICIAL,), str(tmp_path / "file"))


def test_cache_folder_is_the_argument_then_the_environment_then_the_system(tmp_path, monkeypatch):
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "env"))
    assert cache_folder(str(tmp_path / "given")) == tmp_path / "given"
    assert cache_folder() == tmp_path / "env"
    monkeypatch.delenv("METAREC_CACHE")
    assert cache_folder().name == "metarec"


def test_package_is_fetched_by_pip_with_its_hash_and_without_dependencies(tmp_path, monkeypatch):
    seen = []

    def run(command, **options):
        seen.append((command, (tmp_path / "requirements.txt").read_text()))
        (tmp_path / PACKAGE.file).write_bytes(CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    assert PACKAGE.fetch(tmp_path) == tmp_path / "thing.whl"
    command, requirements = seen[0]
    assert {"download", "--no-deps", "--only-binary", "--require-hashes"} <= set(command)
    assert requirements == f"thing==1.0 --hash=sha256:{DIGEST}\n"


@pytest.mark.parametrize(
    ("returncode", "stderr", "reason"),
    [
        (1, "WARNING: old\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  Got abc\n", "DO NOT MATCH"),
        (1, "python: No module named pip\n", "No module named pip"),
        (0, "", "pip gave no thing.whl"),
    ],
)
def test_failing_pip_says_why(tmp_path, monkeypatch, returncode, stderr, reason):
    done = subprocess.CompletedProcess([], returncode, "", stderr)
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(FetchError, match=reason):
        PACKAGE.fetch(tmp_path)


def test_pip_that_hangs_is_given_up(tmp_path, monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(fetch.subprocess, "run", run)
    with pytest.raises(FetchError, match="TimeoutExpired"):
        PACKAGE.fetch(tmp_path)


@pytest.mark.parametrize("error", [OSError("certificate expired"), ValueError("hash differs"), OSError()])
def test_failing_download_is_a_fetch_error(tmp_path, monkeypatch, error):
    pooch = pytest.importorskip("pooch")

    def retrieve(url, known_hash, **options):
        assert known_hash == f"sha256:{DIGEST}"
        raise error

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(FetchError, match=r"example\.org"):
        OFFICIAL.fetch(tmp_path)


def test_files_are_read_by_layout_from_a_folder_and_from_a_zip(tmp_path):
    (tmp_path / "b1").write_bytes(b"one")
    (tmp_path / "b2").write_bytes(b"two")
    archive = write_zip(tmp_path / "x.zip", {"deep/b1": b"one", "deep/b2": b"two", "other": b""})
    layouts = (("a1", "a2"), ("b1", "b2"))
    assert [document.data for document in read_files(tmp_path, layouts)] == [b"one", b"two"]
    files = read_files(archive, layouts)
    assert [document.data for document in files] == [b"one", b"two"]
    assert files[0].name == f"{archive}:deep/b1"
    assert files[0].digest == hashlib.sha256(b"one").hexdigest()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="holds no a1 or b1"):
        read_files(tmp_path, (("a1", "a2"), ("b1", "b2")))
    (tmp_path / "a1").write_bytes(b"")
    with pytest.raises(InputError, match="holds a1 but no a2, a3"):
        read_files(tmp_path, (("a1", "a2", "a3"),))
    with pytest.raises(InputError, match="cannot read"):
        read_files(tmp_path / "absent", (("a1",),))


@pytest.mark.fault("archive")
def test_archive_with_a_huge_member_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "LARGEST_MEMBER", 1000)
    with pytest.raises(InputError, match="is refused: 'a1' has"):
        read_files(write_zip(tmp_path / "x.zip", {"a1": b"0" * 1001}), (("a1",),))
    assert read_files(write_zip(tmp_path / "x.zip", {"a1": b"0" * 1000}), (("a1",),))
    assert read_files(write_zip(tmp_path / "x.zip", {"a1": b"0" * 1001}), (("a1",),), largest=1001)
