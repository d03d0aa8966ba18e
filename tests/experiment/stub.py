"""Stands for ``python -m metarec``: does what options say, leaves a run's results, and takes no time."""

import json
import os
import signal
import sys
import time
from pathlib import Path

given = dict(option.lstrip("-").split("=", 1) for option in sys.argv[1:] if option.startswith("--") and "=" in option)
folder = Path(given["trainer.default_root_dir"])
print(f"stub {folder.parent.name}", flush=True)
wanted = given.get("stub", "").split(":")[-1] if given.get("stub", "").startswith(f"{folder.parent.name}:") else ""
if wanted == "wait":
    (folder / "pid").write_text(str(os.getpid()))
    (folder / "pid").rename(folder / "begun")
    time.sleep(60)
if wanted == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if wanted == "fail":
    print("metarec: error: as asked", file=sys.stderr)
    sys.exit(2)
if wanted == "raise":
    raise ValueError("as asked")
(folder / "checkpoints").mkdir(parents=True, exist_ok=True)
(folder / "checkpoints" / "best.ckpt").touch()
seen = {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS"), "argv": sys.argv[1:], "main": __name__}
if wanted != "nothing":
    (folder / "metrics.json").write_text(json.dumps({"metrics": {"test/adapted/mae": 0.5}, "seen": seen}))
