import json
import subprocess
import sys
import time

import pytest

from metarec import __version__, cli


def test_help_is_quick_and_names_every_command() -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "metarec", "--help"], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - started)
    for command in ("fit", "validate", "test", "predict", "data", "run", "table", "dashboard", "sync", "bench"):
        assert command in done.stdout
    assert min(times) < 1.5


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from metarec import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'lightning', 'wandb', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == f"metarec {__version__}"


@pytest.mark.parametrize("arguments", [[], ["fitt"], ["data", "netflix"], ["table"], ["run", "x", "--seeds", "a"]])
def test_wrong_commands_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fitt"], "fit"),
        (["dta"], "data"),
        (["data", "movielens-10k"], "movielens-100k"),
        (["data", "movielens-100k", "--pth=x"], "path"),
        (["run", "experiments/movielens-100k-user-cold.yaml", "--dryrun"], "dry-run"),
        (["table", "experiments/movielens-100k-user-cold.yaml", "--fromat=md"], "format"),
        (["table", "experiments/movielens-100k-user-cold.yaml", "--format=jsn"], "json"),
        (["table", "experiments/movielens-100k-user-clod.yaml"], "movielens-100k-user-cold"),
    ],
)
def test_the_nearest_name_is_told(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"did you mean {expected}" in line


@pytest.mark.usefixtures("movielens")
def test_data_command(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["data", "movielens-100k", "--json"])
    counts = json.loads(capsys.readouterr().out)
    assert (counts["ratings"], counts["users"], counts["items_rated"]) == (100_000, 943, 1682)
    cli.main(["data", "movielens-100k"])
    assert "source" in capsys.readouterr().out


def test_data_command_with_a_wrong_path(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", "movielens-1m", "--path", "/absent"])
    assert stopped.value.code == 2
    assert "/absent" in capsys.readouterr().err
