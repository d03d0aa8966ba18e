"""A small fit from the command line, on made-up ratings in a file, for tests of what is read and refused."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from metarec import cli
from tests.conftest import synthetic_ratings


def layers(folder: Path) -> list[str]:
    """Layers and options of a fit of two epochs on ratings that lie in a folder, without a folder for its files."""
    path = folder / "ratings.csv"
    if not path.exists():
        made = synthetic_ratings()
        rows = zip(made.user, made.item, made.rating, strict=True)
        path.write_text("user,item,rating\n" + "".join(f"u{user},i{item},{rating}\n" for user, item, rating in rows))
    names = ["base", "data/csv", "scenario/user_cold", "net/neumf", "algorithm/maml"]
    options = {
        "data.ratings.init_args.path": path,
        "data.ratings.init_args.scale": "[1,5]",
        "data.scenario.init_args.fractions": "[0.6,0.2,0.2]",
        "data.scenario.init_args.min_ratings": 11,
        "data.eval_support": 4,
        "data.batch_size": 8,
        "model.net.init_args.user_features": "[]",
        "model.net.init_args.item_features": "[]",
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 2,
        "trainer.enable_progress_bar": "false",
    }
    return [f"-c=configs/{name}.yaml" for name in names] + [f"--{name}={value}" for name, value in options.items()]


def run_of(trained: Path, folder: Path) -> Path:
    """A copy of the run that tests share, to do harm to."""
    return Path(shutil.copytree(trained, folder))


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    """The one line that a command prints that is refused, which ends with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("metarec: error: ")
    assert stopped.value.code == 2
    return lines[0]
