"""``metarec data``: read a data set and print its counts."""

import argparse
import importlib
import json
import sys
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
    "csv": "metarec.data.sets.csv_file.csv_ratings",
}

EXAMPLES = """
examples:
  metarec data movielens-100k
      fetch MovieLens 100K and print its counts
  metarec data movielens-25m --path ml-25m.zip --tags 100
      a data set that is had by hand; metarec data movielens-25m --help names all its options
  metarec data csv ratings.csv --user userId --item movieId --time timestamp
      your own ratings; metarec data csv --help shows how to read other files
"""
OWN_EXAMPLES = """
examples:
  metarec data csv ratings.csv --user userId --item movieId --time timestamp --scale '[0.5, 5]'
      a file that begins with the line userId,movieId,rating,timestamp
  metarec data csv u.data --separator '\\t' --columns '[user, item, rating, time]' --time time
      a file without a header
  metarec data csv clicks.parquet --rating null --time clicked_at --time_unit ms
      events, each a click of rating 1 on the scale (0, 1), from Parquet
  metarec data csv sales.csv --separator ';' --encoding latin-1 --repeats mean --time bought --time_unit iso
      bought as 2024-05-01 or 2024-05-01T12:30:00; of pairs that come again, the mean rating
  metarec data csv ratings.csv --users.path users.csv --users.id user --users.categorical '[gender, postcode]' \\
          --users.numeric '{age: [18, 25, 35, 50]}' --items.path films.csv --items.multi_valued '[genres]' \\
          --items.title title
      with attributes of users and of items

Nets use attributes by their names. To train on the file, give the same options to `metarec fit`:
  metarec fit -c configs/base.yaml -c configs/data/csv.yaml -c configs/scenario/user_cold.yaml \\
          -c configs/net/neumf.yaml -c configs/algorithm/maml.yaml \\
          --data.ratings.init_args.path ratings.csv --data.ratings.init_args.user userId \\
          --model.net.init_args.user_features '[gender, age]' --model.net.init_args.item_features '[genres]'
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    data = commands.add_parser(
        "data",
        help="read or fetch a data set, or your own ratings, and print counts",
        description="Read or fetch a data set, or your own ratings, and print counts.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data.add_argument("name", choices=DATA_SETS, metavar="NAME", help=", ".join(DATA_SETS))
    data.add_argument(
        "options",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="options of it, see metarec data NAME --help",
    )
    data.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    from metarec.commands.arguments import parsed
    from metarec.data import sources

    module, function = DATA_SETS[options.name].rsplit(".", 1)
    read = getattr(importlib.import_module(module), function)
    epilog = OWN_EXAMPLES if options.name == "csv" else None
    given = parsed(f"metarec data {options.name}", read, options.options, epilog)
    as_json = given.pop("json")
    ratings = read(**given)
    counts = sources.describe(ratings)
    if ratings.odd_times:
        print(f"warning: {ratings.odd_times}", file=sys.stderr)
    if as_json:
        print(json.dumps(counts, indent=2))
        return
    width = max(map(len, counts))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in counts.items()))
