"""Checks configurations in a child of the warm process, so that the runner itself needs no heavy library."""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarec.allowed import outside
from metarec.errors import InputError
from metarec.experiment.job import redirect
from metarec.experiment.local import Local
from metarec.experiment.plan import Job, check
from metarec.experiment.schema import Experiment

SETS = 4
"""Data sets that the warm process keeps in memory at most."""

LOG, DATA = "check.log", "data.json"


def checked(launcher: Local, experiment: Experiment, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """As `metarec.experiment.plan.check`, in a child.

    A fault ends the program with what the child said and its exit code, as it would in this process.
    """
    with tempfile.TemporaryDirectory(prefix="metarec-check-") as folder:
        code = launcher.call(_check, experiment, list(jobs), Path(folder))
        log = Path(folder) / LOG
        if code:
            said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else "the check did not end well\n"
            sys.stderr.write(said)
            sys.exit(code if code > 0 else 1)
        content: list[dict[str, Any]] = json.loads((Path(folder) / DATA).read_text(encoding="utf-8"))
        return content


def to_keep(data: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of what configurations say of their data, one for each split of each data set, of the sets most often used.

    None that names code beyond `metarec.allowed.PACKAGES`, which is for the jobs alone to import.
    """
    sets = Counter(_text(one["ratings"]) for one in data)
    often = [text for text, _ in sets.most_common(SETS)]
    parts = {_text([one["ratings"], one["scenario"], one["tasks"]]): one for one in data}
    return [one for one in parts.values() if _text(one["ratings"]) in often and not outside(one)]


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _check(experiment: Experiment, jobs: list[Job], folder: Path) -> int:
    """Check; say what is wrong in a file, and leave what the configurations say of their data in another."""
    redirect(folder / LOG)
    try:
        data = check(experiment, jobs)
    except InputError as error:
        print(f"metarec: error: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    (folder / DATA).write_text(json.dumps(data, default=str), encoding="utf-8")
    return 0
