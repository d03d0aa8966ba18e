"""What the commands on experiment files share."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarec.experiment import Experiment


def add_experiment(command: argparse.ArgumentParser) -> None:
    """Give a command an experiment file, its seeds, and the folder of its runs."""
    command.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    command.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="only these model seeds")
    command.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")


def add_scenarios(command: argparse.ArgumentParser) -> None:
    """Give a command some of an experiment's scenarios."""
    command.add_argument("--scenarios", nargs="+", default=[], metavar="NAME", help="only these of its scenarios")


def results_of(options: argparse.Namespace) -> Path:
    """Folder of an experiment's runs."""
    beside: Path = options.experiment.parent / "results" / options.experiment.stem
    return options.results or beside


def warn_of(odd: Sequence[str], file: Path) -> None:
    """Tell which methods ran otherwise than their experiment file says now."""
    if odd:
        print(f"metarec: {', '.join(odd)}: not as {file} says now; run it again", file=sys.stderr)


def blocks(options: argparse.Namespace, plan: "Experiment", table: Callable[[str, "Experiment", Path], str]) -> str:
    """The table of an experiment; where it has scenarios, a block for each.

    Args:
        options: those of the command, with `format`, `md`, `latex`, `html`, `csv` or `json`.
        plan: the experiment.
        table: the text of one block, from a scenario's name, the experiment in it and the folder of its runs.
    """
    from metarec.experiment import only, parts

    chosen = parts(only(plan, (), options.scenarios), results_of(options))
    texts = {name: table(name, part, results) for name, (part, results) in chosen.items()}
    return joined(texts, options.format) if plan.scenarios else texts[""]


def joined(texts: Mapping[str, str], form: str) -> str:
    """Tables of scenarios as one text: those for reading under their names, CSV with a first column, JSON by name."""
    if form == "json":
        return json.dumps({name: json.loads(text) for name, text in texts.items()}, indent=2)
    if form == "md":
        return "\n\n".join(f"**{name}**\n\n{text}" for name, text in texts.items())
    if form in ("latex", "html"):
        mark = "% {}" if form == "latex" else "<h3>{}</h3>"
        return "\n\n".join(f"{mark.format(name)}\n{text}" for name, text in texts.items())
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    for number, (name, block) in enumerate(texts.items()):
        head, *rows = csv.reader(io.StringIO(block))
        lines.writerows([["scenario", *head]] if number == 0 else [])
        lines.writerows([name, *row] for row in rows)
    return text.getvalue().rstrip("\n")


def show(text: str, into: Path | None, block: str) -> None:
    """Print a table, or put it into a file, in the place of the block of that name."""
    from metarec.files import replace_block

    if into:
        replace_block(into, block, text)
    else:
        print(text)
