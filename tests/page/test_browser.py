"""The page in a real browser: Chromium as it comes with PyQt6-WebEngine, where that is installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BROWSER = """
import json, os, sys
from PyQt6.QtCore import QTimer, QUrl
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineUrlRequestInterceptor
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

found = {"console": [], "requests": []}

class Requests(QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, info):
        found["requests"].append(info.requestUrl().toString())

class Page(QWebEnginePage):
    def javaScriptConsoleMessage(self, level, message, line, source):
        found["console"].append(message)

ASKED = '''[...document.querySelectorAll("details")].forEach(one => one.open = true);
({width: document.documentElement.scrollWidth, window: window.innerWidth, title: document.title,
images: [...document.images].map(one => one.naturalWidth), rows: document.querySelectorAll("tbody tr").length})'''

app = QApplication(sys.argv[:1])
profile, requests = QWebEngineProfile(), Requests()
profile.setUrlRequestInterceptor(requests)
view = QWebEngineView()
page = Page(profile, view)
view.setPage(page)
view.resize(int(sys.argv[2]), 900)
view.show()

def answered(answer):
    found.update(answer)
    app.quit()

page.loadFinished.connect(lambda ok: QTimer.singleShot(500, lambda: page.runJavaScript(ASKED, answered)))
QTimer.singleShot(60_000, app.quit)
view.setUrl(QUrl.fromLocalFile(os.path.abspath(sys.argv[1])))
app.exec()
print(json.dumps(found), flush=True)
os._exit(0)
"""


def needs_browser() -> None:
    """Skip where there is none."""
    if importlib.util.find_spec("PyQt6") is None or importlib.util.find_spec("PyQt6.QtWebEngineCore") is None:
        pytest.skip("no browser: pip install PyQt6-WebEngine, which brings Chromium")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_network_or_errors(html: str, tmp_path: Path, width: int) -> None:
    needs_browser()
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    offscreen = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1"}  # root has no sandbox
    offscreen["QTWEBENGINE_CHROMIUM_FLAGS"] = "--disable-gpu"
    command = [sys.executable, "-c", BROWSER, str(path), str(width)]
    done = subprocess.run(command, env=os.environ | offscreen, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["console"] == []
    assert found["requests"] == [path.as_uri()]
    assert found["title"] == "made-up"
    assert len(found["images"]) == 7
    assert all(found["images"])
    assert found["rows"] == 4 + 2 + 4
    assert found["width"] <= found["window"] <= width
