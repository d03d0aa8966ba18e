"""Hosts of all faults, on this machine: the next source serves, or one line says how to get the file by hand."""

import contextlib
import hashlib
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from metarec.data import download, fetch
from metarec.data.fetch import Download, obtain
from metarec.errors import InputError

CONTENT = b"what the archive holds" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Host(BaseHTTPRequestHandler):
    """A host whose pages each go wrong in their own way."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            getattr(self, self.path.rpartition("/")[2].partition(".")[0])()

    def good(self) -> None:
        self._head(200, len(CONTENT))
        self.wfile.write(CONTENT)

    def slow(self) -> None:
        time.sleep(0.3)
        self.good()

    def other(self) -> None:
        self._head(200, 5)
        self.wfile.write(b"other")

    def absent(self) -> None:
        self.send_error(404)

    def broken(self) -> None:
        self.send_error(500)

    def cut(self) -> None:
        self._head(200, len(CONTENT))
        self.wfile.write(CONTENT[:-5])

    def endless(self) -> None:
        self._head(200)
        while True:
            self.wfile.write(b"x" * 2**16)

    def dripping(self) -> None:
        self._head(200, 10**6)
        while True:
            self.wfile.write(b"x")
            time.sleep(0.02)

    def silent(self) -> None:
        time.sleep(3)

    def file(self) -> None:
        self._head(302, location="file:///etc/passwd")

    def loop(self) -> None:
        self._head(302, location="/loop.zip")

    def _head(self, status: int, length: int | None = None, location: str | None = None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.daemon_threads, server.asked = True, []  # type: ignore[attr-defined]
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with serving() as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST", 2**20)
    monkeypatch.setattr(download, "SECONDS", 0.5)
    monkeypatch.setattr(download, "SILENT", 0.5)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "thing").iterdir() if path.name != "lock")


WRONG = {
    "other": "does not match",
    "absent": "404",
    "broken": "500",
    "cut": "the body ends early",
    "endless": "the body has more than 1 MB",
    "dripping": "the body takes more than 0.5 seconds",
    "silent": "timed out",
    "file": "file:///etc/passwd",
    "loop": "redirects",
}


@pytest.mark.fault("host")
@pytest.mark.parametrize(("page", "said"), WRONG.items())
def test_a_host_that_fails(host: str, page: str, said: str, tmp_path: Path) -> None:
    """Alone it is refused, with the way to get the file by hand, and nothing is kept; else the next source serves."""
    wrong = Download(f"{host}/{page}.zip", DIGEST)
    with pytest.raises(InputError) as error:
        obtain("thing", (wrong,), str(tmp_path))
    line = str(error.value)
    assert said in line
    place = tmp_path / "thing" / f"{page}.zip"
    assert line.endswith(f"; get {wrong.url} with a browser and give its path, or put it at {place}")
    assert "\n" not in line
    assert kept(tmp_path) == []
    path, _ = obtain("thing", (wrong, Download(f"{host}/good.zip", DIGEST)), str(tmp_path))
    assert (path.read_bytes(), kept(tmp_path)) == (CONTENT, ["good.zip"])


@pytest.mark.fault("digest")
def test_a_download_that_is_another_is_refused_and_the_next_source_is_tried(host: str, tmp_path: Path) -> None:
    other, good = (Download(f"{host}/{page}.zip", DIGEST) for page in ("other", "good"))
    with pytest.raises(InputError, match="SHA256 hash of downloaded file"):
        obtain("thing", (other, other), str(tmp_path))
    assert kept(tmp_path) == []
    (tmp_path / "thing" / "other.zip").write_bytes(b"put here by hand")
    assert obtain("thing", (other, good), str(tmp_path))[0].name == "good.zip"


@pytest.mark.fault("host")
def test_a_host_that_is_down(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9/x.zip", "http://nowhere.invalid/x.zip"):
        with pytest.raises(InputError, match=r"(refused|resolve|Name or service).*with a browser and give its path"):
            obtain("thing", (Download(url, DIGEST),), str(tmp_path))


EXPIRED = """
[ca]
default_ca=d
[d]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
x509_extensions=e
[p]
commonName=supplied
[e]
subjectAltName=DNS:localhost
[req]
distinguished_name=n
[n]
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost that ended in 2020, and its key."""
    folder = tmp_path_factory.mktemp("expired")
    for name, text in {"index.txt": "", "serial": "01\n", "c.cnf": EXPIRED}.items():
        (folder / name).write_text(text)
    ask = "req -newkey rsa:2048 -nodes -keyout key.pem -out ask.pem -subj /CN=localhost -config c.cnf"
    sign = "ca -config c.cnf -batch -notext -selfsign -keyfile key.pem -in ask.pem -out cert.pem"
    try:
        for command in (ask, f"{sign} -startdate 20200101000000Z -enddate 20200102000000Z"):
            subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl makes no certificate here: {error}")
    return folder


@pytest.mark.fault("host")
def test_a_certificate_that_has_expired(
    certificate: Path, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    with serving(context) as server:
        wrong = Download(f"https://localhost:{server.server_port}/good.zip", DIGEST)
        with pytest.raises(InputError, match=r"certificate has expired.*with a browser and give its path"):
            obtain("thing", (wrong,), str(tmp_path))
        assert kept(tmp_path) == []
        assert obtain("thing", (wrong, Download(f"{host}/slow.zip", DIGEST)), str(tmp_path))[0].name == "slow.zip"
        assert server.asked == []  # type: ignore[attr-defined]


ASK = """
import sys
from metarec.data.fetch import Download, obtain
print(obtain("thing", (Download(sys.argv[1], sys.argv[2]),), sys.argv[3])[1])
"""


@pytest.mark.fault("two-fetch")
def test_processes_that_ask_at_once_fetch_once(tmp_path: Path) -> None:
    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/slow.zip"
        command = [sys.executable, "-c", ASK, url, DIGEST, str(tmp_path)]
        asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = sorted(process.communicate(timeout=60)[0].strip() for process in asking)
        assert said == ["cache (official archive)", "cache (official archive)", "official archive"]
        assert server.asked == ["/slow.zip"]  # type: ignore[attr-defined]
    assert kept(tmp_path) == ["slow.zip"]


HOLD = """
import pathlib, sys, time
from filelock import FileLock
folder = pathlib.Path(sys.argv[1])
with FileLock(folder / "lock"):
    (folder / "fetch-half").mkdir()
    (folder / "fetch-half" / "good.zip").write_bytes(b"half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.fault("two-fetch")
def test_a_killed_process_neither_blocks_others_nor_leaves_anything(host: str, tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "thing")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    assert kept(tmp_path) == ["fetch-half"]
    started = time.monotonic()
    obtain("thing", (Download(f"{host}/good.zip", DIGEST),), str(tmp_path))
    assert time.monotonic() - started < 5
    assert kept(tmp_path) == ["good.zip"]


@pytest.mark.fault("two-fetch")
def test_who_waits_too_long_says_so(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.05)
    (tmp_path / "thing").mkdir()
    long = pytest.raises(InputError, match="another process has been fetching for long; stop it or try again")
    with FileLock(tmp_path / "thing" / "lock"), long:
        obtain("thing", (Download(f"{host}/good.zip", DIGEST),), str(tmp_path))
    assert kept(tmp_path) == []
