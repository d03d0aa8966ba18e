"""What the commands on experiment files share."""

import argparse
import sys
from collections.abc import Sequence
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


def warn_of(odd: Sequence[str], file: Path) -> None:
    """Tell which methods ran otherwise than their experiment file says now."""
    if odd:
        print(f"metarec: {', '.join(odd)}: not as {file} says now; run it again", file=sys.stderr)


def show(text: str, into: Path | None, block: str) -> None:
    """Print a table, or put it into a file, in the place of the block of that name."""
    from metarec.files import replace_block

    if into:
        replace_block(into, block, text)
    else:
        print(text)
