"""The front door: ``metarec COMMAND``. Heavy libraries are imported by the command that needs them."""

import argparse
import importlib
import inspect
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from metarec import __version__
from metarec.errors import InputError
from metarec.messages import explained

TRAINING = {
    "fit": "train a model; --then_test=true also tests the best checkpoint, in the same run",
    "validate": "judge a model on validation users",
    "test": "judge a model on test users, write metrics.json and per_task.parquet",
    "predict": "write the adapted predictions for test users",
}
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
BENCH_DATA = ("movielens-100k", "movielens-1m")
BENCH_PARTS = ("grid", "peers", "update-rules", "end-to-end", "inference", "growth", "data", "memory")
EXAMPLES = """
examples:
  metarec data movielens-100k
      fetch MovieLens 100K and print its counts
  metarec fit -c configs/base.yaml -c configs/data/movielens-100k.yaml -c configs/scenario/user_cold.yaml \\
              -c configs/net/neumf.yaml -c configs/algorithm/maml.yaml --trainer.max_epochs=5
      train one model; each -c layer sets one component, options override single values
  metarec fit --help
      every option of training; a class's own: metarec fit --model.net.help metarec.nets.ncf.NeuMF
  metarec run experiments/movielens-100k-user-cold.yaml
      run all methods of a table, skipping what is done
  metarec tune experiments/movielens-1m-tuned-paper.yaml --methods maml --minutes 6
      choose settings on validation users, within six minutes of processor time; `metarec run` then uses them
  metarec table experiments/movielens-100k-user-cold.yaml --format md
      print the table
  metarec methods
      list the methods: kind, order, what adapts, source, settings
  metarec bench --quick
      measure the speed of the engines; without --quick in a quarter of an hour
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        print(f"metarec: error: {explained(message, self)}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and status 2.

    Args:
        arguments: command and options; null: those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in TRAINING:
            from metarec import training

            training.run(given)
            return
        options = _parser().parse_args(given)
        options.command(options)
    except InputError as error:
        print(f"metarec: error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> Parser:
    parser = Parser(
        prog="metarec",
        description="Meta-learning for cold-start recommendation.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"metarec {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in TRAINING.items():
        commands.add_parser(name, help=text)
    _add_data(commands)
    _add_run(commands)
    _add_tune(commands)
    _add_table(commands)
    _add_methods(commands)
    _add_bench(commands)
    return parser


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="read or fetch a data set and print its counts")
    data.add_argument("name", choices=DATA_SETS, metavar="NAME", help=", ".join(DATA_SETS))
    data.add_argument("--path", help="folder or archive to read it from; only MovieLens 100K and 1M come without")
    data.add_argument("--cache", help="folder for fetched files (default: METAREC_CACHE, or the system's)")
    data.add_argument("--json", action="store_true", help="print the counts as JSON")
    data.set_defaults(command=_data)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="run the methods of an experiment file, skipping what is done")
    _add_experiment(run)
    run.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    run.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="further option of every run")
    run.add_argument("--dry-run", action="store_true", help="print the plain commands, run nothing")
    run.set_defaults(command=_run)


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser("tune", help="choose the settings of an experiment's methods on validation users")
    tune.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    tune.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    tune.add_argument(
        "--minutes",
        type=float,
        default=6.0,
        metavar="M",
        help="processor time of each method, over all threads and all calls so far (default: 6)",
    )
    tune.add_argument("--trials", type=int, default=60, metavar="N", help="most trials of each method (default: 60)")
    tune.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")
    tune.add_argument("--into", type=Path, metavar="FOLDER", help="where the layers go (default: the file's `tuned`)")
    tune.set_defaults(command=_tune)


def _add_table(commands: Any) -> None:
    table = commands.add_parser("table", help="print the table of an experiment file")
    _add_experiment(table)
    table.add_argument("--format", choices=("md", "csv", "json"), default="md", help="default: md")
    table.add_argument("--into", type=Path, metavar="FILE", help="replace the table's block in this file")
    table.set_defaults(command=_table)


def _add_methods(commands: Any) -> None:
    methods = commands.add_parser("methods", help="list the methods that configurations offer")
    methods.add_argument("--json", action="store_true", help="print them as JSON")
    methods.add_argument(
        "--configs",
        type=Path,
        default=Path("configs"),
        metavar="FOLDER",
        help="folder of configurations (default: configs)",
    )
    methods.set_defaults(command=_methods)


def _add_bench(commands: Any) -> None:
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
    bench.set_defaults(command=_bench)


def _add_experiment(command: argparse.ArgumentParser) -> None:
    command.add_argument("experiment", type=Path, help="experiment file, such as experiments/NAME.yaml")
    command.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="only these model seeds")
    command.add_argument("--results", type=Path, help="folder of the runs (default: results/NAME beside the file)")


def _results(options: argparse.Namespace) -> Path:
    """Folder of an experiment's runs."""
    beside: Path = options.experiment.parent / "results" / options.experiment.stem
    return options.results or beside


def _data(options: argparse.Namespace) -> None:
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


def _run(options: argparse.Namespace) -> None:
    from metarec import experiment

    plan = experiment.load(options.experiment)
    jobs = experiment.expand(plan, _results(options), options.seeds, options.methods, options.option)
    experiment.check(plan, jobs)
    if options.dry_run:
        print("\n".join(map(str, jobs)))
        return
    failed = experiment.run(jobs)
    print(f"{len(jobs) - len(failed)} of {len(jobs)} runs done; results lie in {_results(options)}")
    if any(_results(options).glob("*/*/wandb/offline-run-*")):
        print(f"dashboards: wandb sync {_results(options)}/*/*/wandb/offline-run-*")
    if failed:
        print("failed: " + ", ".join(f"{job.method} seed {job.seed}" for job in failed), file=sys.stderr)
        sys.exit(1)


def _tune(options: argparse.Namespace) -> None:
    from metarec import experiment, tuning

    plan = experiment.load(options.experiment)
    tuning.tune(plan, _results(options), options.methods, options.minutes, options.trials, options.into)


def _table(options: argparse.Namespace) -> None:
    from metarec import experiment, report

    plan = experiment.load(options.experiment)
    rows = report.records(plan, _results(options), options.seeds)
    odd = experiment.ran_otherwise(experiment.expand(plan, _results(options), options.seeds))
    if odd:
        print(f"metarec: {', '.join(odd)}: not as {options.experiment} says now; run it again", file=sys.stderr)
    text = {
        "md": lambda: report.as_markdown(rows, plan, odd),
        "csv": lambda: report.as_csv(rows),
        "json": lambda: report.as_json(rows),
    }[options.format]()
    if options.into:
        report.replace_block(options.into, options.experiment.stem, text)
    else:
        print(text)


def _methods(options: argparse.Namespace) -> None:
    from metarec import methods

    cards = methods.methods(options.configs)
    print(methods.as_json(cards) if options.json else methods.as_table(cards))


def _bench(options: argparse.Namespace) -> None:
    from metarec.benchmark import command

    command.run(options)
