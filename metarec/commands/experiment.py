"""What the commands on experiment files share."""

import argparse
from pathlib import Path


def add_experiment(command: argparse.ArgumentParser) -> None:
    """Give a command an experiment file, its seeds, and the folder of its runs."""
    command.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    command.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="only these model seeds")
    command.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")


def results_of(options: argparse.Namespace) -> Path:
    """Folder of an experiment's runs."""
    beside: Path = options.experiment.parent / "results" / options.experiment.stem
    return options.results or beside
