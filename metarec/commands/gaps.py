"""``metarec gaps``: compare groups of test users."""

import argparse
from pathlib import Path
from typing import Any

SIZES = ("support_size", "query_size", "activity")
EXAMPLES = """
examples:
  metarec gaps runs/latest --by gender
      adapted MAE by gender, and worst minus best
  metarec gaps runs/items --by genre
      of a run with --data.tasks=items: adapted MAE of films by genre, a film in each of its genres
  metarec gaps runs/latest --by activity --bins 3 --metric ndcg_exp@5 precision@5
      thirds of the test users by their number of ratings
"""


def add(commands: Any) -> None:
    """Give the command and its options."""
    gaps = commands.add_parser(
        "gaps",
        help="compare groups of test users of a run: which are served worst",
        description="Means of groups of test users (or of items, where these are tasks), and the worst minus the best.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    gaps.add_argument("folder", type=Path, help="run folder that a test has left, such as runs/latest")
    gaps.add_argument(
        "--by",
        required=True,
        metavar="WHAT",
        help=f"attribute of the users in the data set, or of items where tasks are items; or one of {', '.join(SIZES)}",
    )
    gaps.add_argument(
        "--metric", nargs="+", default=["mae"], metavar="NAME", help="of the adapted model, or zero_shot/NAME (mae)"
    )
    gaps.add_argument("--bins", type=int, default=4, metavar="N", help="groups by a size (default: 4)")
    gaps.add_argument(
        "--least", type=int, default=10, metavar="N", help="users that a group needs to be compared (default: 10)"
    )
    gaps.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    import pandas as pd

    from metarec import gaps
    from metarec.errors import InputError, at_least
    from metarec.metrics import higher_is_better

    at_least(1, bins=options.bins, least=options.least)
    path = options.folder / "per_task.parquet"
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder of a run that was tested")
    users = gaps.users_of(pd.read_parquet(path))
    columns = {metric: gaps.column_of(users, metric) for metric in options.metric}
    if options.by in SIZES:
        groups: list[Any] = gaps.binned(users[options.by], options.bins)
    else:
        groups = _attribute(options.folder / "config.yaml", options.by, list(users["user"]))
    kind = _kind(options.folder / "config.yaml")
    for metric, values in columns.items():
        gap = gaps.gap_of(values, groups, higher_is_better(metric.split("/")[-1]), options.least)
        print(gaps.as_markdown(gap, metric, options.by, options.least, kind))
        print()


def _kind(config: Path) -> str:
    """Whose tasks the run has tested, `users` or `items`."""
    from metarec.files import read_yaml

    content = read_yaml(config, "data") if config.is_file() else {}
    return str(content.get("data", {}).get("tasks", "users"))


def _attribute(config: Path, name: str, users: list[str]) -> list[tuple[str, ...]]:
    """The values of an attribute of each user, or item, in the data set that the run was configured with."""
    from metarec import configured
    from metarec.errors import InputError
    from metarec.gaps import groups_of
    from metarec.messages import did_you_mean

    ratings = configured.ratings_of(config)
    table = ratings.user_features
    if name not in table.values:
        known = [*SIZES, *table.values]
        whose = _kind(config)[:-1]
        raise InputError(f"--by {name}: no such {whose} attribute{did_you_mean(name, known) or f'; known are {known}'}")
    people = ratings.user_ids if ratings.person is None else [ratings.people[row] for row in ratings.person]
    row = {original: number for number, original in enumerate(people)}
    return groups_of(table, name, [row[user] for user in users])
