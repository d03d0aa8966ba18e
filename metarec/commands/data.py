"""``metarec data``: read a data set and print its counts."""

import argparse
import importlib
import inspect
import json
from typing import Any

DATA_SETS = {
    "movielens-100k": "metarec.data.sources.movielens_100k",
    "movielens-1m": "metarec.data.sources.movielens_1m",
    "filmtrust": "metarec.data.sets.filmtrust.filmtrust",
    "coat": "metarec.data.sets.coat.coat",
    "movielens-latest-small": "metarec.data.sets.movielens_half_stars.movielens_latest_small",
    "movielens-10m": "metarec.data.sets.movielens_half_stars.movielens_10m",
    "movielens-20m": "metarec.data.sets.movielens_half_stars.movielens_20m",
    "movielens-25m": "metarec.data.sets.movielens_half_stars.movielens_25m",
    "movielens-32m": "metarec.data.sets.movielens_half_stars.movielens_32m",
    "book-crossing": "metarec.data.sets.book_crossing.book_crossing",
    "book-crossing-history": "metarec.data.sets.book_crossing.book_crossing_history",
    "douban-book": "metarec.data.sets.douban_book.douban_book",
    "lastfm-2k": "metarec.data.sets.lastfm_2k.lastfm_2k",
    "gowalla": "metarec.data.sets.gowalla.gowalla",
    "recbole-atomic": "metarec.data.sets.recbole.recbole_atomic",
}


def add(commands: Any) -> None:
    """Give the command and its options."""
    data = commands.add_parser("data", help="read or fetch a data set and print its counts")
    data.add_argument("name", choices=DATA_SETS, metavar="NAME", help=", ".join(DATA_SETS))
    data.add_argument("--path", help="folder or archive to read it from; only MovieLens 100K and 1M come without")
    data.add_argument("--cache", help="folder for fetched files (default: METAREC_CACHE, or the system's)")
    data.add_argument("--json", action="store_true", help="print the counts as JSON")
    data.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.data import sources

    module, function = DATA_SETS[options.name].rsplit(".", 1)
    read = getattr(importlib.import_module(module), function)
    given = {"path": options.path, "cache": options.cache}
    ratings = read(**{name: given[name] for name in given if name in inspect.signature(read).parameters})
    counts = sources.describe(ratings)
    if options.json:
        print(json.dumps(counts, indent=2))
        return
    width = max(map(len, counts))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in counts.items()))
