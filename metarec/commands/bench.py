"""``metarec bench``: measure speed."""

import argparse
from pathlib import Path
from typing import Any

BENCH_DATA = ("movielens-100k", "movielens-1m")
BENCH_PARTS = (
    "grid",
    "peers",
    "update-rules",
    "end-to-end",
    "inference",
    "growth",
    "data",
    "memory",
    "ranking",
    "catalogue",
)


def add(commands: Any) -> None:
    """Give the command and its options."""
    bench = commands.add_parser("bench", help="measure speed against learn2learn's loop and other libraries")
    bench.add_argument("--json", action="store_true", help="print the records as JSON")
    bench.add_argument(
        "--profile", action="store_true", help="print where the time of a step goes, and measure nothing"
    )
    bench.add_argument(
        "--only", nargs="+", choices=BENCH_PARTS, default=[], metavar="PART", help=", ".join(BENCH_PARTS)
    )
    bench.add_argument(
        "--threads", nargs="+", type=int, default=[], metavar="N", help="threads of torch (default: 1 2)"
    )
    bench.add_argument("--rounds", type=int, metavar="N", help="rounds of each measurement (default: 5)")
    bench.add_argument("--quick", action="store_true", help="a smoke run on small batches, in under a minute")
    bench.add_argument(
        "--data", choices=BENCH_DATA, help="default: MovieLens 1M where METAREC_DATA has it, else MovieLens 100K"
    )
    bench.add_argument("--device", help="such as cpu or cuda (default: a GPU where there is one)")
    bench.add_argument("--save", type=Path, metavar="FILE", help="write the records as JSON")
    bench.add_argument("--read", type=Path, metavar="FILE", help="show records of an earlier run, and measure nothing")
    bench.add_argument("--figures", type=Path, metavar="FOLDER", help="draw a figure for each part")
    bench.add_argument("--into", type=Path, metavar="FILE", help="replace the block `bench` in this file by the tables")
    bench.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.benchmark import command

    command.run(options)
