"""What the repository holds, and what it must not."""

import subprocess
from pathlib import Path

import pytest


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        pytest.skip("not a git checkout")
    return [Path(name) for name in done.stdout.splitlines() if Path(name).exists()]


def test_no_data_no_weights_no_runs() -> None:
    for path in tracked():
        assert path.suffix not in {".ckpt", ".parquet", ".dat", ".data", ".zip", ".whl", ".wandb"}, path
        assert not {"runs", "wandb", "results", "lightning_logs"} & set(path.parts), path
        made = path.parts[:2] in {("experiments", "tables"), ("experiments", "users")}  # generated, from results alone
        assert path.stat().st_size < (400_000 if made else 200_000), path


def test_modules_stay_small() -> None:
    for path in Path("metarec").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path


def test_importing_metarec_metrics_and_reports_needs_no_torch() -> None:
    import sys

    modules = (
        "metarec.tables.made, metarec.experiment, metarec.data.sources, metarec.plots.pictures, metarec.page.document, "
    )
    modules += ", ".join(f"metarec.tracking.{name}" for name in ("sync", "table_run", "workspace"))
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
