"""``metarec doctor``: what works on this machine, and the cure of what does not."""

import argparse
import sys
from typing import Any

EPILOG = """
Looks at versions, learn2learn, devices, folders, Weights & Biases and METAREC_DATA, and says of each: ok, warning or
problem, with the cure. Needs none of the packages that it looks at, sends nothing, leaves no file, and shows no key.
Exit status 0: no problem; 1: at least one.
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    doctor = commands.add_parser(
        "doctor",
        help="say what works on this machine, and the cure of what does not",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.add_argument("--json", action="store_true", help="print the checks as JSON")
    doctor.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.doctor.check import as_json, as_text, problems
    from metarec.doctor.checkup import checkup

    checks = checkup()
    print(as_json(checks) if options.json else as_text(checks))
    if problems(checks):
        sys.exit(1)
