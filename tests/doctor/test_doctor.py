"""The doctor, where packages, folders and settings are missing or broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metarec.doctor.asking import ask
from metarec.doctor.check import without_secrets
from metarec.doctor.requirements import LEARN2LEARN, Requirement, parsed
from tests.doctor.world import NEEDS, World, need

pytestmark = pytest.mark.fault("doctor")

RAISES = {
    "error": ("raise ImportError('libx.so: cannot open')", "ImportError: libx.so: cannot open"),
    "value": ("raise ValueError('one\\nline')", "ValueError: one line"),
    "exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "syntax": ("def", "SyntaxError"),
    "ends": ("import os; os._exit(7)", "ends the process with exit code 7"),
    "ends well": ("import os; os._exit(0)", "ends the process with exit code 0"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "ends the process by SIGKILL"),
}
NOISE = (
    "import os, sys; print('noise'); print('noise', file=sys.stderr); os.write(1, b'noise'); os.write(2, b'noise')\n"
    "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
)


@pytest.mark.parametrize("kind", RAISES)
def test_a_package_that_is_broken_is_to_be_installed_again(kind: str, world: World) -> None:
    world.remove(need("wandb"))
    world.install(need("wandb"), RAISES[kind][0])
    found = world.ask()
    assert found.code == 1
    assert found.checks["wandb"]["state"] == "problem"
    assert RAISES[kind][1] in found.checks["wandb"]["found"]
    assert found.checks["wandb"]["cure"] == "pip install --force-reinstall --no-deps 'wandb>=0.31,<0.32'"
    others = [one.name for one in NEEDS if one.name not in ("wandb", "learn2learn")]
    assert [name for name in others if found.checks[name]["state"] != "ok"] == []


@pytest.mark.parametrize("name", ["torch", "wandb", "pyyaml", "learn2learn", "lightning", "pooch", "matplotlib"])
def test_a_package_that_is_missing_is_to_be_installed(name: str, world: World) -> None:
    world.remove(need(name))
    (world.folder / need(name).module).mkdir()  # a folder of that name, such as W&B leaves, is no package
    checks = world.ask().checks
    check = checks["installed" if name == "learn2learn" else name]
    assert check["found"].startswith("not installed")
    if name == "learn2learn":
        assert "make install" in check["cure"]
        assert "--requirement requirements/learn2learn.txt" in check["cure"]
    elif need(name).extra:
        assert (check["state"], check["cure"]) == ("ok", "")
        assert "pip install 'metarec[figures]'" in check["found"]
    else:
        assert (check["state"], check["cure"]) == ("problem", f"pip install {need(name).text}")


def test_a_python_without_any_package(empty: World) -> None:
    found = empty.ask()
    missing = [one.name for one in NEEDS if not one.extra and one.name != "learn2learn"]
    assert [found.checks[name]["cure"] for name in missing] == [f"pip install {need(name).text}" for name in missing]
    text = empty.doctor().stdout
    assert "cure: pip install 'torch>=" in text
    assert "problems, " in text.splitlines()[-1]


def test_what_a_package_lacks_and_what_fails_because_of_another(world: World) -> None:
    for name in ("torch", "lightning", "wandb"):
        world.remove(need(name))
    world.install(need("torch"), "raise OSError('no library')")
    world.install(need("lightning"), "import torch")
    world.install(need("wandb"), "import absent.part")
    checks = world.ask().checks
    assert checks["torch"]["cure"].startswith("pip install --force-reinstall")
    assert checks["lightning"]["cure"] == "mend torch first, then ask again"
    assert checks["adapts"]["cure"] == "mend torch first, then ask again"
    assert checks["wandb"]["cure"] == "pip install absent, which wandb needs"


def test_a_file_that_hides_a_package_is_named(world: World, tmp_path: Path) -> None:
    hides = tmp_path / "hides"
    hides.mkdir()
    (hides / "wandb.py").write_text("raise RuntimeError('mine')")
    world.before = [hides]
    check = world.ask().checks["wandb"]
    assert f"rename or remove {hides / 'wandb.py'}" in check["cure"]


@pytest.mark.parametrize("version", ["0.30.9", "0.32.0"])
def test_a_version_out_of_range(version: str, world: World) -> None:
    world.remove(need("wandb"))
    world.install(need("wandb"), version=version)
    check = world.ask().checks["wandb"]
    assert (check["state"], check["cure"]) == ("problem", "pip install 'wandb>=0.31,<0.32'")
    assert check["found"] == f"{version}, not in >=0.31,<0.32"


def test_what_packages_print_and_start_does_not_matter(world: World) -> None:
    world.remove(need("numpy"))
    world.install(need("numpy"), NOISE)
    assert world.ask().checks["numpy"]["state"] == "ok"


def test_an_import_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    found = ask(["json", "endless", "csv"], patience=1)
    assert [found[name]["error"] for name in ("json", "csv")] == [None, None]
    assert found["endless"]["error"] == "does not come to an end in 1 s"


@pytest.mark.parametrize(
    ("variable", "value", "name", "state", "cure"),
    [
        ("HOME", "/proc/none", "W&B settings", "warning", "WANDB_CONFIG_DIR"),
        ("METAREC_CACHE", "/proc/none", "data cache", "problem", "METAREC_CACHE"),
        ("METAREC_CACHE", "/dev/null", "data cache", "problem", "METAREC_CACHE"),
        ("WANDB_DIR", "/proc/none", "W&B folder", "problem", "WANDB_DIR"),
        ("METAREC_DATA", "/absent", "METAREC_DATA", "problem", "unset it"),
        ("METAREC_DATA", "/dev/null", "METAREC_DATA", "problem", "unset it"),
        ("METAREC_DATA", "/dev/shm", "METAREC_DATA", "warning", "ml-1m or ml-100k"),
        ("WANDB_MODE", "onlin", "mode", "problem", "one of online, offline, disabled"),
        ("OMP_NUM_THREADS", "9999", "cpu", "ok", ""),
    ],
)
def test_folders_and_settings(variable: str, value: str, name: str, state: str, cure: str, world: World) -> None:
    world.environment[variable] = value
    check = world.ask().checks[name]
    assert check["state"] == state
    assert value in check["found"]
    assert cure in check["cure"]


def test_a_run_folder_that_cannot_be_made(world: World) -> None:
    world.folder = Path("/proc")
    check = world.ask().checks["run folder"]
    assert check["state"] == "problem"
    assert "runs/latest: cannot be written" in check["found"]
    assert "--trainer.default_root_dir" in check["cure"]


def test_a_full_disk(world: World, tiny_disk: Path) -> None:
    (tiny_disk / "filler").write_bytes(b"\0" * 20_000)
    world.environment |= {"METAREC_CACHE": str(tiny_disk / "cache")}
    check = world.ask().checks["data cache"]
    assert check["state"] == "problem"
    assert "No space left on device" in check["found"]


def test_nothing_is_left(world: World) -> None:
    before = sorted(world.folder.parent.rglob("*"))
    world.ask()
    assert sorted(world.folder.parent.rglob("*")) == before


@pytest.mark.fault("secret")
def test_no_secret_is_shown(world: World) -> None:
    world.environment |= {
        "WANDB_API_KEY": "local-canary0wandb00000000000000000000000000000000",
        "MY_TOKEN": "canary1token",
        "HTTPS_PROXY": "http://someone:canary2proxy@127.0.0.1:9",
        "WANDB_BASE_URL": "http://someone:canary3base@127.0.0.1:9",
    }
    world.remove(need("wandb"))
    tells = ", ".join(f"os.environ[{name!r}]" for name in ("WANDB_API_KEY", "MY_TOKEN", "HTTPS_PROXY"))
    world.install(need("wandb"), f"import os; raise ValueError(' '.join(({tells})))")
    found = world.ask()
    assert "ValueError: *** *** http://***@127.0.0.1:9" in found.checks["wandb"]["found"]
    assert "canary" not in found.text + world.doctor().stdout


@pytest.mark.usefixtures("control")
def test_short_values_of_secrets_are_left_where_they_are_words() -> None:
    assert without_secrets("1 ok", {"SOME_KEY": "1"}) == "1 ok"


@pytest.mark.usefixtures("control")
def test_learn2learn_is_what_its_requirements_file_asks_for() -> None:
    text = Path("requirements/learn2learn.txt").read_text()
    assert LEARN2LEARN in [line.split(" ")[0] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("ranges", "inside", "outside"),
    [
        (">=2.10,<2.14", ["2.10", "2.13.0+cpu", "2.10.1"], ["2.9.1", "2.14", "2.14.0", "3", "odd"]),
        ("==0.2.1", ["0.2.1", "0.2.1.0"], ["0.2", "0.2.2"]),
        ("", ["1", "odd"], []),
    ],
)
@pytest.mark.usefixtures("control")
def test_ranges(ranges: str, inside: list[str], outside: list[str]) -> None:
    one = Requirement("x", ranges)
    assert [one.admits(version) for version in [*inside, *outside]] == [True] * len(inside) + [False] * len(outside)


@pytest.mark.usefixtures("control")
def test_requirements_as_packaging_notes_them() -> None:
    texts = ["jsonargparse[signatures]<5,>=4.53", 'ray<3,>=2.50; extra == "ray"', "metarec[figures]; extra == 'dev'"]
    assert parsed(texts) == [Requirement("jsonargparse", "<5,>=4.53"), Requirement("ray", "<3,>=2.50", "ray")]


@pytest.mark.slow
@pytest.mark.usefixtures("control")
def test_here_all_is_well_and_learn2learn_adapts() -> None:
    command = [sys.executable, "-m", "metarec", "doctor", "--json"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    surroundings = {**plain, "METAREC_DATA": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert checks["adapts"]["state"] == "ok"
    assert checks["account"]["state"] == "ok"
    assert "threads of torch" in checks["cpu"]["found"]
