"""Slow: real training on MovieLens 100K, several processes, and the README's commands as they stand there."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metarec import cli, experiment, report
from metarec.algorithms.base import Algorithm
from metarec.baselines.means import ItemMean
from metarec.metrics.functional import mae
from metarec.module import MetaModule
from metarec.nets.base import NoNet
from metarec.tables.made import made
from tests.conftest import demo_data
from tests.test_training import LAYERS

DEMO = Path("experiments/movielens-100k-user-cold.yaml")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("movielens")]


def metarec(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "metarec", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "pretrain"])
def test_two_processes_equal_one(tmp_path: Path, algorithm: str) -> None:
    """Same global batch, half of it in each process: same weights after 48 steps, same metrics for 94 users.

    In float64, as each process pads to the largest of its own tasks: another order of summation, whose rounding
    48 steps of float32 may blow up a thousandfold.
    """
    layers = [*LAYERS[:-1], f"-c=configs/algorithm/{algorithm}.yaml"]
    options = ["--trainer.max_epochs=2", "--model.net.init_args.dropout=0", "--then_test=true"]
    options += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.precision=64-true"]
    states, metrics = [], []
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        more = ["--trainer.devices=2", "--trainer.strategy=ddp"] if ranks == 2 else []
        metarec("fit", *layers, *options, *more, f"--trainer.default_root_dir={folder}")
        states.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
        summary = json.loads((folder / "metrics.json").read_text())
        assert summary["tasks"] == 94
        metrics.append(summary["metrics"])
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-6, atol=1e-6, msg=name)
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-6)


@pytest.mark.parametrize(("adapts", "steps"), [("decision", 1), ("all", 2)])
def test_training_ends_at_the_same_metrics_with_every_engine(tmp_path: Path, adapts: str, steps: int) -> None:
    """In float64, where 48 steps do not blow up the rounding."""
    layers = [*LAYERS[:-2], "-c=configs/net/melu.yaml", "-c=configs/algorithm/maml.yaml", "--trainer.max_epochs=2"]
    options = [f"--model.algorithm.adapts=[{adapts}]", f"--model.algorithm.adaptation_steps={steps}"]
    options += ["--model.algorithm.inner_lr=0.01", "--trainer.precision=64-true", "--then_test=true"]
    metrics = {}
    for engine in ("loop", "batched", "fused"):
        folder = tmp_path / engine
        metarec("fit", *layers, *options, f"--model.algorithm.engine={engine}", f"--trainer.default_root_dir={folder}")
        summary = json.loads((folder / "metrics.json").read_text())
        assert summary["engine"] == engine
        metrics[engine] = summary["metrics"]
    assert metrics["batched"] == pytest.approx(metrics["loop"], abs=1e-7)
    assert metrics["fused"] == pytest.approx(metrics["loop"], abs=1e-7)


def test_an_experiment_becomes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two seeds of real training: MAML gains by adapting, and the ranking of the demo's table holds."""
    methods = ["random", "item-mean", "item-user-bias", "pretrain-zero-shot", "pretrain-finetune-all", "maml"]
    metarec("run", str(DEMO), "--results", str(tmp_path), "--seeds", "0", "1", "--methods", *methods)
    again = metarec("run", str(DEMO), "--results", str(tmp_path), "--seeds", "0", "1", "--methods", *methods)
    assert again.stdout.count("done before") == 2 * len(methods)
    plan = experiment.load(DEMO)
    rows = {row.method: row for row in made(plan, report.finished(plan, tmp_path, [0, 1]), {}, "demo").rows}
    score = {method: row.cells["mae"].mean for method, row in rows.items()}
    assert list(rows)[:3] == ["random", "item-mean", "item-user-bias"]
    assert {row.cells["mae"].seeds for row in rows.values()} == {2}
    assert rows["maml"].cells["gain in mae"].low > 0
    assert score["maml"] < score["pretrain-zero-shot"]
    assert score["maml"] < score["item-mean"] < score["random"]
    assert score["maml"] < 0.80
    assert rows["pretrain-zero-shot"].cells["gain in mae"].mean is None
    for kind in ("md", "latex", "html", "csv", "json"):
        cli.main(["table", str(DEMO), "--results", str(tmp_path), "--seeds", "0", "1", "--format", kind])
        assert "maml" in capsys.readouterr().out


def test_what_adaptation_gains_comes_from_the_users_own_labels(tmp_path: Path) -> None:
    """Adapted to another user's labels, the model is no better than item means, which know nothing of the user."""
    cli.main(["fit", *LAYERS, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=20"])
    data = demo_data()
    batch = next(iter(data.test_dataloader()))
    maml = MetaModule.load_from_checkpoint(tmp_path / "checkpoints" / "best.ckpt").algorithm.eval().cpu()
    means = ItemMean(NoNet(data.schema))
    means.prepare(data.ratings, data.train_tasks)

    def error(algorithm: Algorithm, rating: torch.Tensor) -> float:
        fast = algorithm.adapt(batch.task, batch.support._replace(rating=rating))
        with torch.no_grad():
            prediction = algorithm.predict(fast, batch.task, batch.query.item)
        return float(mae(prediction, batch.query.rating, batch.query.mask).mean())

    own, others = batch.support.rating, batch.support.rating.roll(1, dims=0)
    assert error(maml, own) < error(means, own) - 0.02
    assert error(maml, others) > error(means, own) - 0.005


def commands_of(page: Path) -> list[str]:
    """The metarec commands in the code blocks of a page, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split("#")[0].split()) for line in lines if line.strip().startswith("metarec ")]


def test_readme_commands_run(tmp_path: Path) -> None:
    """In the order of the README, in a folder of their own."""
    for name in ("configs", "experiments"):
        (tmp_path / name).symlink_to(Path(name).resolve()) if name == "configs" else _copied(
            Path(name), tmp_path / name
        )
    commands = commands_of(Path("README.md"))
    assert len(commands) >= 6
    for command in commands:
        metarec(*shlex.split(command)[1:], folder=tmp_path)


def _copied(source: Path, target: Path) -> None:
    """The experiment files without the results beside them."""
    target.mkdir()
    for path in source.glob("*.yaml"):
        (target / path.name).write_bytes(path.read_bytes())
