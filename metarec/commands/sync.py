"""``metarec sync``: upload offline runs to Weights & Biases."""

import argparse
import sys
from pathlib import Path
from typing import Any

from metarec.commands.experiment import results_of

EPILOG = """
Runs are logged offline, with no account and no network. This uploads what lies below a run folder, a folder of runs or
the results of an experiment file; what was uploaded before is skipped, and so is what may still be running. Examples:
  metarec sync experiments/movielens-100k-user-cold.yaml --dry-run
  metarec sync runs/latest
An account is what `wandb login` or WANDB_API_KEY gives.
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    sync = commands.add_parser(
        "sync",
        help="upload offline runs to Weights & Biases",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sync.add_argument("paths", nargs="+", type=Path, metavar="FOLDER|EXPERIMENT", help="run folders, or an .yaml file")
    sync.add_argument("--results", type=Path, help="folder of an experiment's runs (default: results/NAME beside it)")
    sync.add_argument("--dry-run", action="store_true", help="print what would be uploaded, upload nothing")
    sync.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.tracking import account, sync

    found = sync.find(_folder(path, options.results) for path in options.paths)
    for why, runs in (("uploaded before", found.uploaded), ("perhaps still running", found.running)):
        if runs:
            print(f"{len(runs)} skipped, {why}")
    if options.dry_run or not found.new:
        print(f"{len(found.new)} to upload")
        print("".join(f"  {path.parent}\n" for path in found.new), end="")
        return
    account.require_account(f"uploading {len(found.new)} run{'s' if len(found.new) > 1 else ''}")
    failed = sync.upload(found.new)
    print(f"{len(found.new) - len(failed)} of {len(found.new)} uploaded")
    if failed:
        print(f"not uploaded: {', '.join(str(path.parent) for path in failed)}", file=sys.stderr)
        sys.exit(1)


def _folder(path: Path, results: Path | None) -> Path:
    """The folder that a path stands for."""
    if path.suffix not in (".yaml", ".yml") or path.is_dir():
        return path
    return results_of(argparse.Namespace(experiment=path, results=results))
