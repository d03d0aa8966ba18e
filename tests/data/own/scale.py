"""Time and memory that a large file of one's own takes: ``python -m tests.data.own.scale --rows 25000000``.

The ratings are synthetic: ids are made up, and how often each comes falls with its rank, as in real catalogues. The
file is read twice by `metarec data csv`, each time by a new process, into and then from a cache beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import csv, parquet

USERS, ITEMS = 160_000, 60_000
"""As many as MovieLens 25M has, roughly."""

BLOCK = 10**6


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Write synthetic ratings with string ids, half stars, and times in seconds; a pair rarely comes again."""
    users = pyarrow.array([f"user-{number:x}" for number in range(USERS)])
    items = pyarrow.array([f"item/{number * 7}" for number in range(ITEMS)])
    random = np.random.default_rng(seed)
    schema = pyarrow.schema(
        {"user": pyarrow.string(), "item": pyarrow.string(), "rating": pyarrow.float64(), "time": pyarrow.int64()}
    )
    make = parquet.ParquetWriter if path.suffix == ".parquet" else csv.CSVWriter
    with make(str(path), schema) as writer:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            ratings = {
                "user": users.take(pyarrow.array((USERS * random.random(count) ** 2).astype(np.int64))),
                "item": items.take(pyarrow.array((ITEMS * random.random(count) ** 3).astype(np.int64))),
                "rating": random.integers(1, 11, count) / 2,
                "time": random.integers(8 * 10**8, 16 * 10**8, count),
            }
            writer.write_table(pyarrow.table(ratings, schema=schema))


def measured(path: Path, cache: Path) -> dict[str, object]:
    """What the command prints for a file, with its seconds and the peak of its resident memory in MB (10^6 bytes)."""
    command = [sys.executable, "-m", "metarec", "data", "csv", str(path), "--time", "time", "--json"]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*command, "--cache", str(cache)], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        out.seek(0)
        counts = json.loads(out.read()) if status == 0 else {"failed": status}
    cpu = round(usage.ru_utime + usage.ru_stime, 1)
    return {
        **counts,
        "seconds": round(seconds, 1),
        "processor_seconds": cpu,
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6),
    }


def main() -> None:
    """Write a file, read it twice, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=25_000_000)
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the files go for the while (default: the system's)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / ("synthetic.parquet" if options.parquet else "synthetic.csv")
        write(path, options.rows)
        print(f"{options.rows} synthetic rows, {path.stat().st_size / 1e6:.0f} MB")
        for which in ("first", "second"):
            found = measured(path, Path(name) / "cache")
            print(which, "read:", json.dumps(found))
        size = sum(file.stat().st_size for file in Path(name, "cache", "csv").glob("*"))
        print(f"cache: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
