"""``metarec methods``: list the methods."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Give the command and its options."""
    methods = commands.add_parser("methods", help="list the methods that configurations offer")
    methods.add_argument("--json", action="store_true", help="print them as JSON")
    methods.add_argument(
        "--configs",
        type=Path,
        default=Path("configs"),
        metavar="FOLDER",
        help="folder of configurations (default: configs)",
    )
    methods.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec import methods

    cards = methods.methods(options.configs)
    print(methods.as_json(cards) if options.json else methods.as_table(cards))
