"""A Python without any package, and made-up packages to put in its way."""

import json
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Any, NamedTuple

from metarec.doctor.packages import needed
from metarec.doctor.requirements import LEARN2LEARN, Requirement, parsed, requirements

ROOT = Path.cwd()
HIDDEN = re.compile(r"WANDB|METAREC|PYTHON|TOKEN|KEY|SECRET")
NEEDS = [*needed(requirements()[1]), *parsed([LEARN2LEARN])]


class Answer(NamedTuple):
    code: int
    text: str
    checks: dict[str, dict[str, Any]]


class World:
    """Where the doctor is called.

    Attributes:
        python: the interpreter, which has no package.
        packages: folder with what is importable beside metarec.
        folder: the working directory.
        environment: more variables.
        before: folders that come before `packages`.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.packages, self.folder = python, folder / "packages", folder / "cwd"
        self.environment = {"HOME": str(folder / "home"), "TMPDIR": str(folder)}
        self.before: list[Path] = []
        for path in (self.packages, self.folder, folder / "home"):
            path.mkdir()

    def install(self, need: Requirement, code: str = "", version: str | None = None) -> None:
        """Put a package there, of the lowest version that is in range unless another is given."""
        lowest = re.search(r"[>=]=([\d.]+)", need.ranges)
        version = version or (lowest[1] if lowest else "1")
        (self.packages / f"{need.module}.py").write_text(code)
        info = self.packages / f"{_file(need)}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {need.name}\nVersion: {version}\n")

    def remove(self, need: Requirement) -> None:
        """Take a package away."""
        (self.packages / f"{need.module}.py").unlink()
        for info in self.packages.glob(f"{_file(need)}-*.dist-info"):
            shutil.rmtree(info)

    def doctor(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Call the doctor."""
        path = os.pathsep.join(str(folder) for folder in [*self.before, ROOT, self.packages])
        plain = {name: value for name, value in os.environ.items() if not HIDDEN.search(name)}
        surroundings = {**plain, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **self.environment}
        command = [str(self.python), "-m", "metarec", "doctor", *options]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=surroundings, check=False, timeout=120
        )

    def ask(self) -> Answer:
        """What the doctor says; nothing but JSON is printed, and no traceback."""
        done = self.doctor("--json")
        assert not done.stderr
        content = json.loads(done.stdout)
        assert done.returncode == (1 if content["problems"] else 0)
        for check in content["checks"]:
            assert "\n" not in check["found"] + check["cure"]
            assert bool(check["cure"]) == (check["state"] != "ok"), check
        return Answer(done.returncode, done.stdout, {check["name"]: check for check in content["checks"]})


def bare_python(folder: Path) -> Path:
    """An interpreter of this version, without any package."""
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


def _file(one: Requirement) -> str:
    return one.name.replace("-", "_")


def need(name: str) -> Requirement:
    return next(one for one in NEEDS if one.name == name)
