"""``metarec tasks``: print what training, validation and test consist of."""

import argparse
import json
from typing import Any

HELP = "print tasks, sizes, known and new users and items of each stage of a configuration"

EXAMPLE = """
example:
  metarec tasks -c configs/base.yaml -c configs/data/movielens-100k.yaml -c configs/scenario/item_cold.yaml \\
                --data.tasks=items --data.scenario.init_args.by=time
      new items by a cut in time, a task an item; any option of `metarec fit` that begins with --data
"""


def add(commands: Any) -> None:
    """Name the command; `run` reads its options."""
    commands.add_parser("tasks", help=HELP)


def run(arguments: list[str]) -> None:
    """Print the stages of a configuration.

    Args:
        arguments: layers and options of a configuration, and ``--json``.
    """
    parser = argparse.ArgumentParser(
        prog="metarec tasks", description=HELP, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("-c", metavar="FILE", help="layer of configuration; several, as of `metarec fit`")
    parser.add_argument("--data.KEY", metavar="VALUE", help="single values, as of `metarec fit`")
    if {"-h", "--help"} & set(arguments):
        parser.print_help()
        return
    from metarec import configured, stages

    numbers = stages.describe(configured.data_of([word for word in arguments if word != "--json"]))
    print(json.dumps(numbers, indent=2) if "--json" in arguments else stages.as_table(numbers))
