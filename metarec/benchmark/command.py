"""What ``metarec bench`` does: measure the parts, then print, draw and write what was found."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from metarec.benchmark.records import Record, as_json, read, rounded
from metarec.benchmark.report import as_markdown
from metarec.errors import InputError, at_least
from metarec.files import replace_block, write_text

BLOCK = "bench"
"""Name of the block that ``--into`` replaces."""


def run(options: argparse.Namespace) -> None:
    """Carry the command out.

    Args:
        options: the parsed command line, see `metarec.cli`.

    Raises:
        InputError: a number is too small, data cannot be had, or a contender computes something else.
    """
    at_least(1, rounds=options.rounds, threads=min(options.threads, default=1))
    cores = os.cpu_count() or 1
    if max(options.threads, default=1) > cores:
        raise InputError(f"threads {max(options.threads)}: this machine has {cores} cores; give no more")
    _make_room(options)
    if options.profile:
        print(_profile(options))
        return
    records = read(options.read) if options.read else measure(options)
    if options.save and options.read:
        write_text(options.save, as_json(records) + "\n")
    if options.figures:
        from metarec.benchmark.figures import draw

        draw(records, options.figures)
    if options.into:
        links = options.figures and Path(os.path.relpath(options.figures, options.into.parent)).as_posix()
        replace_block(options.into, BLOCK, as_markdown(records, links))
    if options.json:
        print(as_json(records))
    elif not options.into:
        print(as_markdown(records))


def _make_room(options: argparse.Namespace) -> None:
    """Make the folders that will be written to, before anything is measured.

    Raises:
        InputError: one cannot be made.
    """
    for folder in (options.figures, options.save and options.save.parent, options.into and options.into.parent):
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror}); give another folder") from error


def measure(options: argparse.Namespace) -> list[Record]:
    """Measure the chosen parts with each number of threads; records are saved after each part."""
    import torch

    from metarec.benchmark.setting import prepared

    found = _kept(options)
    before = torch.get_num_threads()
    try:
        counts = options.threads or ([1] if options.quick else [1, 2])
        for threads in counts:
            torch.set_num_threads(threads)
            rounds = options.rounds or (2 if options.quick else 5)
            setting = prepared(options.data, options.device, threads, rounds, options.quick)
            for name, part in _parts().items():
                again = name == "memory" and threads != counts[0]  # threads do not change it
                if (not options.only or name in options.only) and not again:
                    print(f"metarec bench: {name}, {threads} thread(s)", file=sys.stderr, flush=True)
                    found += map(rounded, part(setting))
                    if options.save:  # whatever comes later, these are measured
                        write_text(options.save, as_json(_sorted(found)) + "\n")
    finally:
        torch.set_num_threads(before)
    return _sorted(found)


def _sorted(records: list[Record]) -> list[Record]:
    """The records by part, in the order in which the parts are measured."""
    order = list(_parts())
    return sorted(records, key=lambda record: order.index(record.part))


def _kept(options: argparse.Namespace) -> list[Record]:
    """Saved records of the parts that are not measured now.

    Raises:
        InputError: some parts alone would replace all tables.
    """
    if options.only and options.into and not options.save:
        raise InputError("bench: --only with --into: give --save FILE too, whose records of the other parts are kept")
    if not (options.only and options.save and options.save.exists()):
        return []
    return [record for record in read(options.save) if record.part not in options.only]


def _parts() -> "dict[str, Callable[..., list[Record]]]":
    """The parts by name, in the order in which they are measured."""
    from metarec.benchmark.end_to_end import end_to_end
    from metarec.benchmark.growth import growth
    from metarec.benchmark.inference import inference
    from metarec.benchmark.ranking import catalogue, ranking
    from metarec.benchmark.resources import data, memory
    from metarec.benchmark.training import grid, peers, update_rules

    return {
        "grid": grid,
        "peers": peers,
        "update-rules": update_rules,
        "end-to-end": end_to_end,
        "inference": inference,
        "growth": growth,
        "data": data,
        "memory": memory,
        "ranking": ranking,
        "catalogue": catalogue,
    }


def _profile(options: argparse.Namespace) -> str:
    """Where the time of an outer step goes, by engine."""
    import torch

    from metarec.benchmark.resources import hot_spots
    from metarec.benchmark.setting import prepared

    threads = (options.threads or [1])[0]
    torch.set_num_threads(threads)
    return hot_spots(prepared(options.data, options.device, threads, 1, options.quick))
