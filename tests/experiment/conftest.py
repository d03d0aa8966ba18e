"""A small experiment of stub commands, and jobs of it."""

from pathlib import Path

import pytest

from metarec import experiment
from metarec.experiment import Job


def small_file(folder: Path) -> Path:
    """An experiment with a trained method, one that borrows its weights, and one that is only tested."""
    (folder / "a.yaml").write_text("trainer: {}\n")
    (folder / "small.yaml").write_text(
        f"""
        shows: A small table.
        layers: [{folder}/a.yaml]
        options: {{trainer.logger.init_args.name: "{{method}}-{{seed}}", trainer.max_epochs: 3}}
        metrics: [mae]
        reference: mean
        seeds: [0, 1]
        methods:
          tuned: {{weights_from: plain, options: {{data.batch_size: 4}}}}
          plain: {{layers: [{folder}/a.yaml]}}
          mean: {{train: false}}
        """
    )
    return folder / "small.yaml"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return small_file(tmp_path)


@pytest.fixture
def jobs(small: Path, tmp_path: Path) -> list[Job]:
    """Those of one seed: plain, mean, tuned."""
    return experiment.expand(experiment.load(small), tmp_path / "results", seeds=[0])
