"""``metarec run``: what it prints, what it refuses, what it leaves; slow: real runs on tiny data."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metarec import cli, experiment
from metarec.commands import running
from metarec.experiment import checking, local, runner
from metarec.experiment.job import task_of
from tests.experiment.conftest import small_file
from tests.experiment.launched import alive

DEMO = Path("experiments/movielens-100k-user-cold.yaml")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("trainer.max_epoch=2", "did you mean trainer.max_epochs"),
        ("seed_everything=-1", "seed_everything: -1 is no seed"),
        ("model.ndcg_at=3", "metrics: no metric 'ndcg_exp@5'; did you mean ndcg_exp@3"),
    ],
)
def test_a_wrong_command_is_refused(
    option: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(DEMO), "--results", str(tmp_path), "--option", option, "--dry-run"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    [line] = err.strip().splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_dry_run_prints_plain_commands_and_how_long(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call = ["run", str(DEMO), "--dry-run", "--results", str(tmp_path), "--methods", "maml", "item-mean"]
    cli.main(call)
    first, second, last = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("metarec test -c ")
    assert second.startswith("metarec fit -c ")
    assert first.endswith("  # unknown")
    assert last == "# 2 of 2 to run: unknown, 1 at once"
    assert not list(tmp_path.iterdir())
    folder = tmp_path / "maml" / "seed-5"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"fit_seconds": 50.0, "test_seconds": 4.0}))
    cli.main([*call, "--jobs", "2", "--threads", "3"])
    first, second, last = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("OMP_NUM_THREADS=3 metarec test -c ")
    assert second.endswith("  # about 54 s")
    assert last == "# 2 of 2 to run, 1 of them by the mean of other methods: about 54 s, 2 at once"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs 0: give a number >= 1"),
        (["--threads", "0"], "--threads 0: give a number >= 1"),
        (["--memory", "0"], "--memory 0: give GiB > 0"),
        (["--memory", "nan"], "--memory nan: give GiB > 0"),
        (["--resource", "mem_gb=8"], "--resource is for --launcher slurm or ray"),
        (["--launcher", "ray", "--memory", "8"], "--memory is of this machine; of ray"),
        (["--launcher", "slrum"], "invalid choice: 'slrum'"),
        (["--launcher", "slurm", "--resource", "mem_gb"], "--resource mem_gb: give KEY=VALUE"),
        (["--scenarios", "cold"], "no scenario 'cold'"),
    ],
)
def test_faulty_options(options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(small_file(tmp_path)), *options])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("options", "own", "threads"),
    [
        ([], None, None),
        (["--jobs", "1"], None, None),
        (["--jobs", "2"], None, 4),
        (["--jobs", "3"], None, 2),
        (["--jobs", "20"], None, 1),
        (["--jobs", "2", "--threads", "7"], None, 7),
        (["--jobs", "2"], "1", None),
        (["--jobs", "4"], "6", 2),
    ],
)
def test_cores_are_shared_out(
    options: list[str], own: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    given = cli._parser().parse_args(["run", "x.yaml", *options])
    assert running._threads(given) == threads


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The command with a stub in place of runs, no check, and a warm process that imports nothing; what was kept."""
    seen: dict[str, Any] = {"checked": 0}

    def checked(*_: Any) -> list[dict[str, Any]]:
        seen["checked"] += 1
        return []

    monkeypatch.setattr(local, "Local", functools.partial(local.Local, modules=()))
    monkeypatch.setattr(checking, "checked", checked)
    monkeypatch.setattr(runner, "task_of", functools.partial(task_of, module="tests.experiment.stub"))
    return seen


def test_runs_then_skips_then_says_what_failed(
    stubbed: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(small_file(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    cli.main(["run", file, "--jobs", "2"])
    out = capsys.readouterr().out
    assert "[6/6] tuned, seed 1: done in" in out
    assert f"6 of 6 runs done; results lie in {tmp_path}/results/small" in out
    cli.main(["run", file])
    assert capsys.readouterr().out.count("done before") == 6
    assert stubbed["checked"] == 1
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", file, "--seeds", "0", "--option", "stub=plain:fail"])
    assert stopped.value.code == 1
    out, err = capsys.readouterr()
    assert "1 of 3 runs done" in out
    assert err.splitlines() == [
        "failed: plain, seed 0: exit code 2: metarec: error: as asked",
        "failed: tuned, seed 0: not run, since it needs the weights of plain, seed 0, which failed",
    ]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_what_runs_and_the_next_call_goes_on(
    sent: signal.Signals, code: int, stubbed: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own, which has the same stubs."""
    file = small_file(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "import functools, sys\n"
        "from metarec import cli\n"
        "from metarec.experiment import checking, local, runner\n"
        "from metarec.experiment.job import task_of\n"
        "if __name__ == '__main__':\n"
        "    local.Local = functools.partial(local.Local, modules=())\n"
        "    checking.checked = lambda *_: []\n"
        "    runner.task_of = functools.partial(task_of, module='tests.experiment.stub')\n"
        "    cli.main(sys.argv[1:])\n"
    )
    call = ["run", str(file), "--seeds", "0"]
    command = [sys.executable, str(script), *call, "--option", "stub=mean:wait"]
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    begun = tmp_path / "results" / "small" / "mean" / "seed-0" / "begun"
    until = time.monotonic() + 60
    while not begun.exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert (said == "metarec: stopped; the next call goes on with what is not done\n") == (sent == signal.SIGINT)
    pid = int(begun.read_text())
    while alive(pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    cli.main([*call, "--option", "stub=mean:go"])
    assert "3 of 3 runs done" in capsys.readouterr().out


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment on a tiny file: means, and a short training that reports to W&B; two scenarios."""
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    lines = [f"u{user},i{item},{random.integers(1, 6)}" for user in range(60) for item in random.permutation(30)[:14]]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,rating", *lines, ""]))
    file = tmp_path / "tiny.yaml"
    file.write_text(
        f"""
        shows: A tiny table.
        layers: [configs/base.yaml, configs/logger/wandb.yaml, configs/data/csv.yaml, configs/scenario/user_cold.yaml]
        options:
          data.ratings.init_args.path: {tmp_path}/own.csv
          data.scenario.init_args.min_ratings: 8
          data.eval_support: 5
          trainer.accelerator: cpu
          trainer.max_epochs: 2
        metrics: [mae]
        reference: mean
        methods:
          mean: {{layers: [configs/baseline/item_mean.yaml], train: false}}
          maml:
            layers: [configs/net/neumf.yaml, configs/algorithm/fomaml.yaml]
            options: {{model.net.init_args.user_features: "[]", model.net.init_args.item_features: "[]"}}
        scenarios:
          one: {{}}
          other: {{options: {{data.scenario.init_args.seed: 1}}}}
        """
    )
    return file


VARIES = ("fit_seconds", "test_seconds", "select_seconds", "peak_memory_mb")


def left(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """What must be the same of two runs."""
    summary = json.loads((folder / "metrics.json").read_text())
    table = pd.read_parquet(folder / "per_task.parquet").drop(columns="seconds")
    return {name: value for name, value in summary.items() if name not in VARIES}, table


@pytest.mark.slow
def test_jobs_do_what_the_plain_commands_do(tiny: Path, tmp_path: Path) -> None:
    """To the bit, although they are children of one process, two at once, on data that it has read for them."""
    together, alone = tmp_path / "together", tmp_path / "alone"
    call = [
        sys.executable,
        "-m",
        "metarec",
        "run",
        str(tiny),
        "--results",
        str(together),
        "--jobs",
        "2",
        "--threads",
        "1",
    ]
    done = subprocess.run([*call, "--jobs", "2", "--threads", "1"], capture_output=True, text=True, check=True)
    assert "4 of 4 runs done" in done.stdout
    jobs = experiment.expand(experiment.load(tiny), together)
    splits = {}
    for job in jobs:
        folder = alone / job.folder.relative_to(together)
        command = [part.replace(str(together), str(alone)) for part in job.command]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-m", "metarec", *command], check=True, env=environment, capture_output=True)
        (mine, my_table), (plain, plain_table) = left(job.folder), left(folder)
        assert mine == plain
        pd.testing.assert_frame_equal(my_table, plain_table, check_exact=True)
        config = (job.folder / "config.yaml").read_text()
        assert config == (folder / "config.yaml").read_text().replace(str(alone), str(together))
        splits[job.scenario] = mine["split"]["digest"]
        [offline] = (job.folder / "wandb").glob("offline-run-*/run-*.wandb")
        [theirs] = (folder / "wandb").glob("offline-run-*/run-*.wandb")
        assert offline.stat().st_size == pytest.approx(theirs.stat().st_size, rel=0.3)
        assert job.done
    assert splits["one"] != splits["other"]


@pytest.mark.slow
def test_a_wrong_command_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "metarec", "run", str(DEMO), "--results", str(tmp_path)]
    done = subprocess.run([*call, "--option", "trainer.max_epoch=2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.strip().splitlines()
    assert "did you mean trainer.max_epochs" in line
    assert not list(tmp_path.iterdir())
