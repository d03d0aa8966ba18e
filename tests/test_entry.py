"""The process of `metarec`: signals and errors of the operating system end it in one line, and leave files whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_table import FIGURES, FILE
from tests.faults.disk import mounted
from tests.folders import write_runs
from tests.tracking.read import TINY

ROOT = Path.cwd()
ENDS = [
    pytest.param(signal.SIGINT, "metarec: interrupted", 130, marks=pytest.mark.fault("sigint")),
    pytest.param(signal.SIGTERM, "metarec: ended by SIGTERM", 143, marks=pytest.mark.fault("sigterm")),
]
AT_IMPORT = """
import os, sys
class Signal:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Signal())
"""
"""Sends a signal to this process when it begins to import a module; as `sitecustomize`, before metarec begins."""

COMMANDS = {
    "metarec.cli": ["methods"],
    "argparse": ["methods"],
    "metarec.methods": ["methods"],
    "torch": ["tasks", *TINY],
    "jsonargparse": ["fit", *TINY],
    "metarec.streaming.command": ["stream"],
    "pandas": ["table", "experiments/movielens-100k-user-cold.yaml"],
    "metarec.doctor.checkup": ["doctor"],
    "rich.console": ["run", "experiments/movielens-100k-user-cold.yaml"],
}
"""Commands by the module while whose import the signal comes."""


def called(command: list[str], path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A command of this interpreter."""
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [path or ROOT, ROOT]))}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=surroundings, check=False, timeout=120
    )


@pytest.mark.parametrize(("number", "line", "code"), ENDS)
@pytest.mark.parametrize("module", COMMANDS)
def test_a_signal_while_importing(module: str, number: int, line: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_IMPORT.format(module=module, number=int(number)))
    results = ["--results", str(tmp_path / "results")] if module == "rich.console" else []
    done = called(["-m", "metarec", *COMMANDS[module], *results], tmp_path)
    assert done.returncode == code, done.stderr
    said = "metarec: stopped; the next call goes on with what is not done"
    own = {("rich.console", 130): [said], ("rich.console", 143): []}
    assert done.stderr.splitlines() == own.get((module, code), [line])
    assert not done.stdout


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from metarec import cli, entry
path = Path(sys.argv[1])
def end():
    os.kill(os.getpid(), {number})
    time.sleep(20)
def main(arguments):
{body}
cli.main = main
entry.main()
"""
BODIES = {
    "writing": """
    from metarec.files import replacing
    with replacing(path) as temporary:
        temporary.write_text("half")
        end()
""",
    "destructor": """
    class Odd:
        def __del__(self):
            end()
    Odd()
    time.sleep(20)
""",
    "destructor, and then anywhere": """
    class Odd:
        def __del__(self):
            end()
    Odd()
    os.kill(os.getpid(), {number})
""",
    "turned into another error": """
    try:
        end()
    except BaseException as error:
        raise ImportError("cannot load a library") from error
""",
    "turned into an exit": """
    try:
        end()
    except BaseException:
        sys.exit(1)
""",
}


@pytest.mark.parametrize(("number", "line", "code"), ENDS)
@pytest.mark.parametrize("body", BODIES)
def test_a_signal_anywhere_else_leaves_files_whole(
    body: str, number: int, line: str, code: int, tmp_path: Path
) -> None:
    path = tmp_path / "table.md"
    path.write_text("whole")
    done = called(
        ["-c", SCRIPT.format(number=int(number), body=BODIES[body].replace("{number}", str(int(number)))), str(path)]
    )
    assert (done.returncode, done.stderr.splitlines()) == (code, [line]), done.stderr
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "whole"


@pytest.mark.fault("sigterm")
def test_a_child_that_was_forked_ends_as_it_would_without_us(tmp_path: Path) -> None:
    body = """
    child = os.fork()
    if child == 0:
        end()
    print(os.waitpid(child, 0)[1])
"""
    done = called(["-c", SCRIPT.format(number=15, body=body), str(tmp_path)])
    assert (done.returncode, done.stdout, done.stderr) == (0, "15\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "line", "code"), ENDS)
@pytest.mark.parametrize("where", ["tests.faults.sending.ratings", "tests.faults.sending.Early"])
def test_a_signal_while_reading_data_or_early_in_a_test(
    where: str, number: int, line: str, code: int, tmp_path: Path
) -> None:
    options = ["-c=configs/baseline/item_mean.yaml", f"--trainer.default_root_dir={tmp_path}"]
    tiny = [
        option for option in TINY if "logger" not in option and "configs/net" not in option and "net." not in option
    ]
    more = [f"--data.ratings={where}"] if where.endswith("ratings") else [f"--trainer.callbacks+={where}"]
    script = f"import os; os.environ['SENT'] = '{int(number)}'; from metarec import entry; entry.main()"
    done = called(["-c", script, "test", *tiny, *options, *more])
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "metrics.json").exists()


def table(folder: Path, into: Path) -> "subprocess.CompletedProcess[str]":
    """`metarec table --into` of an experiment with made-up results."""
    write_runs(folder / "results" / "small")
    (folder / "a.yaml").write_text("trainer: {}\n")
    (folder / "published.csv").write_text(FIGURES)
    (folder / "small.yaml").write_text(FILE.format(folder=folder))
    return called(["-m", "metarec", "table", str(folder / "small.yaml"), "--into", str(into)])


def refused(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    """One line that has these parts, exit code 1."""
    assert done.returncode == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("metarec: error: ")
    assert [part for part in parts if part not in line] == []
    assert "Traceback" not in done.stderr


BLOCK = "<!-- begin small -->\n<!-- end small -->\n"


@pytest.mark.fault("disk-full")
def test_a_table_on_a_full_disk(tiny_disk: Path, tmp_path: Path) -> None:
    into = tiny_disk / "README.md"
    into.write_text(BLOCK)
    (tiny_disk / "filler").write_bytes(b"\0" * 60_000)
    done = table(tmp_path, into)
    refused(done, f"{into}: No space left on device; make space")
    assert into.read_text() == BLOCK
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["README.md", "filler"]


@pytest.mark.fault("disk-full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("letters", [1, 100_000])
def test_output_on_a_full_disk(letters: int, unbuffered: str, tmp_path: Path) -> None:
    script = SCRIPT.format(number=0, body=f"    print('x' * {letters})")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", script, str(tmp_path)]
        surroundings = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=surroundings, check=False)
    refused(done, "output: No space left on device; make space")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_who_reads_may_stop_reading(unbuffered: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    script = SCRIPT.format(number=0, body="    print('x')")
    surroundings = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=surroundings, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.fault("read-only")
def test_a_table_on_a_read_only_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        (disk / "README.md").write_text(BLOCK)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = table(tmp_path, disk / "README.md")
        refused(done, f"{disk}", "Read-only file system; write to another place")
        assert (disk / "README.md").read_text() == BLOCK


@pytest.mark.fault("read-only")
def test_a_table_into_what_is_no_folder(tmp_path: Path) -> None:
    done = table(tmp_path, Path("/proc/self/README.md"))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "/proc/self/README.md" in done.stderr.splitlines()[-1]


def test_too_many_open_files(tmp_path: Path) -> None:
    body = "    held = []\n    while True: held.append(open(os.devnull))"
    script = SCRIPT.format(number=0, body=body).replace("import os,", "import resource, os,", 1)
    limited = script.replace("entry.main()", "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); entry.main()")
    refused(called(["-c", limited, str(tmp_path)]), "/dev/null: Too many open files; allow more")


def test_an_error_of_our_own_keeps_its_traceback(tmp_path: Path) -> None:
    done = called(["-c", SCRIPT.format(number=0, body="    {}['absent']"), str(tmp_path)])
    assert done.returncode == 1
    assert "KeyError: 'absent'" in done.stderr
