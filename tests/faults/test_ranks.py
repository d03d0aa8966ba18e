"""Several processes, and several machines, in place of one: the same step, the same metrics, and one end for all."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.faults.run import (
    FIT,
    PATIENCE,
    command,
    epochs_done,
    finished,
    killed,
    lines,
    outcome,
    started,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("movielens")]
STEP = [
    "--trainer.max_steps=1",
    "--trainer.limit_val_batches=0",
    "--trainer.callbacks=[]",
    "--trainer.gradient_clip_val=0",
    "--model.net.init_args.dropout=0",
    "--model.optimizer=torch.optim.SGD",
    "--model.optimizer.init_args.lr=1",
]
"""One step of size one: what the weights lose is the meta-gradient."""
BEGINS = [*STEP[1:-1], "--trainer.max_steps=1", "--model.optimizer.init_args.lr=1e-30"]
LONG = ["--trainer.max_epochs=500", "--trainer.callbacks=[]", "--save_minutes=0"]


def ranks(number: int) -> list[str]:
    return [] if number == 1 else [f"--trainer.devices={number}", "--trainer.strategy=ddp"]


def weights(folder: Path, *options: str) -> dict[str, torch.Tensor]:
    """The weights of a fit."""
    assert finished(command(folder, *options), folder.parent / "log") == 0, (folder.parent / "log").read_text()
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if value.is_floating_point()}


@pytest.mark.fault("ranks")
@pytest.mark.parametrize(("precision", "within"), [("32-true", 1e-6), ("bf16-mixed", 1e-2)])
def test_the_meta_gradient_is_that_of_one_process(precision: str, within: float, tmp_path: Path) -> None:
    """Two and four processes, each with its share of the same 32 tasks; the norm of the difference to that of one."""
    options = [*STEP, f"--trainer.precision={precision}"]
    before = weights(tmp_path / "before", *BEGINS)
    one = weights(tmp_path / "1", *options)
    size = torch.cat([(one[name] - before[name]).ravel() for name in one]).norm()
    assert size > 0.01
    for number in (2, 4):
        several = weights(tmp_path / str(number), *options, *ranks(number))
        difference = torch.cat([(several[name] - one[name]).ravel() for name in one]).norm()
        assert difference <= within * size, number


@pytest.mark.fault("ranks")
def test_no_user_is_judged_twice_nor_left_out(tmp_path: Path) -> None:
    """94 test users among one, two and four processes: 47 each, and 24, 24, 23, 23."""
    weights(tmp_path / "1", "--trainer.max_epochs=1")
    config, ckpt = tmp_path / "1" / "config.yaml", tmp_path / "1" / "checkpoints" / "best.ckpt"
    tables = []
    for number in (1, 2, 4):
        folder = tmp_path / f"test-{number}"
        given = [sys.executable, "-m", "metarec", "test", f"-c={config}", f"--ckpt_path={ckpt}", *ranks(number)]
        assert finished([*given, f"--trainer.default_root_dir={folder}"], tmp_path / "log") == 0
        table = pd.read_parquet(folder / "per_task.parquet").sort_values("user", ignore_index=True)
        tables.append(table.drop(columns="seconds"))
    assert len(tables[0]) == tables[0]["user"].nunique() == 94
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, rtol=1e-5, atol=1e-5)


def ranks_of(leader: int) -> dict[int, int]:
    """By number of the process among those that train together, its pid; of the group that `leader` began."""
    found = {0: leader}
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            pid = int(environment.parent.name)
            number = dict(pair.split(b"=", 1) for pair in environment.read_bytes().split(b"\0") if b"=" in pair)
            if os.getpgid(pid) == leader and pid != leader and b"LOCAL_RANK" in number:
                found[int(number[b"LOCAL_RANK"])] = pid
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.fault("killed-rank")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_within_a_minute(victim: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = started(command(tmp_path, *LONG, *ranks(2)), log)
    try:
        wait_until(lambda: epochs_done(tmp_path) >= 1, process)
        pids = ranks_of(process.pid)
        assert set(pids) == {0, 1}
        os.kill(pids[victim], signal.SIGKILL)
        until = time.monotonic() + 60
        assert process.wait(60) != 0
        while not all(map(gone, pids.values())):
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    said = [line for line in lines(log) if "engine" not in line]
    assert said == ["metarec: error: a process that trains with this one has ended, so this one ends too"]


@pytest.mark.long
@pytest.mark.fault("killed")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_two_processes_resume_to_the_same_end(number: int, tmp_path: Path) -> None:
    short = ["--trainer.max_epochs=4", "--trainer.limit_train_batches=12", "--save_minutes=0", *ranks(2)]
    folders = [tmp_path / "whole", tmp_path / "killed"]
    given = [command(folder, *short, "--resume=true") for folder in folders]
    for folder in folders:
        folder.mkdir()
    assert finished(given[0], folders[0] / "log") == 0
    code = killed(given[1], folders[1] / "log", lambda: epochs_done(folders[1]) >= 2, number)
    assert code == (143 if number == signal.SIGTERM else -number)
    time.sleep(3)  # the other process finds out
    assert finished(given[1], folders[1] / "log") == 0
    assert outcome(folders[0]) == outcome(folders[1])


@pytest.fixture
def two_hosts() -> Iterator[list[list[str]]]:
    """Beginnings of commands that run on two hosts: network namespaces, joined by a cable."""
    names = [f"metarec{os.getpid()}{side}" for side in "ab"]
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and ip")
    cable = [
        "ip",
        "link",
        "add",
        "name",
        "veth0",
        "netns",
        names[0],
        "type",
        "veth",
        "peer",
        "veth0",
        "netns",
        names[1],
    ]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        subprocess.run(cable, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        pytest.skip(f"no network namespaces here: {error.stderr.decode()}")
    for number, name in enumerate(names, 1):
        inside = ["ip", "-n", name]
        subprocess.run([*inside, "addr", "add", f"10.77.0.{number}/24", "dev", "veth0"], check=True)
        for device in ("veth0", "lo"):
            subprocess.run([*inside, "link", "set", device, "up"], check=True)
    yield [["ip", "netns", "exec", name] for name in names]
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.fault("nodes")
def test_two_machines_train_as_two_processes_do(two_hosts: list[list[str]], tmp_path: Path) -> None:
    options = [*STEP, "--trainer.strategy=ddp"]
    together = weights(tmp_path / "one", *options, "--trainer.devices=2")
    torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--master-addr=10.77.0.1"]
    processes = []
    for number, host in enumerate(two_hosts):
        folder = f"--trainer.default_root_dir={tmp_path / f'node-{number}'}"
        fit = ["-m", "metarec", *FIT, *options, "--trainer.num_nodes=2", "--trainer.devices=1", folder]
        given = [*host, sys.executable, *torchrun, "--master-port=29777", f"--node-rank={number}", *fit]
        log = tmp_path / f"log-{number}"
        processes.append(started(given, log, GLOO_SOCKET_IFNAME="veth0", TP_SOCKET_IFNAME="veth0"))
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    state = torch.load(tmp_path / "node-0" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(state[name], value) for name, value in together.items())
    assert not list((tmp_path / "node-1").rglob("*.ckpt"))
