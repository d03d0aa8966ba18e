"""``metarec export`` and ``metarec import``: weights as safetensors, and back."""

import argparse
from pathlib import Path
from typing import Any

EXPORT = """
example:
  metarec export runs/latest/checkpoints/best.ckpt --into weights.safetensors
The file holds the weights, what they have seen and the arguments of the module, and nothing that could run.
"""
IMPORT = """
example:
  metarec import weights.safetensors --into weights.ckpt
  metarec test -c runs/latest/config.yaml --ckpt_path=weights.ckpt
The checkpoint holds weights alone: it can be judged, predict, or be what training starts from, not be resumed.
"""


def add(commands: Any) -> None:
    """Give the commands and their options."""
    _add(commands, "export", "write the weights of a checkpoint as safetensors", EXPORT, "checkpoint (.ckpt)", _export)
    _add(commands, "import", "make a checkpoint of such a file", IMPORT, "file of `metarec export`", _import)


def _add(commands: Any, name: str, text: str, epilog: str, source: str, run: Any) -> None:
    """One of the two."""
    made = commands.add_parser(name, help=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("source", metavar="FILE", help=source)
    made.add_argument("--into", required=True, type=Path, metavar="FILE", help="file to make")
    made.add_argument("--force", action="store_true", help="replace the file, if it is there")
    made.set_defaults(command=run)


def _export(options: argparse.Namespace) -> None:
    from metarec.exchange import export_weights

    export_weights(options.source, options.into, options.force)
    print(f"weights: {options.into}")


def _import(options: argparse.Namespace) -> None:
    from metarec.exchange import import_weights

    import_weights(options.source, options.into, options.force)
    print(f"checkpoint: {options.into}")
