"""The front door: ``metarec COMMAND``. Heavy libraries are imported by the command that needs them."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from metarec import __version__
from metarec.commands import (
    bench,
    curves,
    dashboard,
    data,
    doctor,
    gaps,
    methods,
    periods,
    plot,
    report,
    run,
    sync,
    table,
    tasks,
    tune,
    weights,
)
from metarec.errors import InputError, LostProcessError
from metarec.messages import explained
from metarec.signals import Stopped

TRAINING = {
    "fit": "train a model; --then_test=true also tests the best checkpoint, in the same run",
    "validate": "judge a model on validation users",
    "test": "judge a model on test users, write metrics.json and per_task.parquet",
    "predict": "write the adapted predictions for test users",
    "stream": "replay ratings in time order: score each, then learn from it; write stream.parquet, .json and .png",
}
EXAMPLES = """
examples:
  metarec data movielens-100k
      fetch MovieLens 100K and print its counts
  metarec tasks -c configs/base.yaml -c configs/data/movielens-100k.yaml -c configs/scenario/user_cold.yaml
      print how many tasks train, validate and test, how large they are, and who is new in them
  metarec fit -c configs/base.yaml -c configs/data/movielens-100k.yaml -c configs/scenario/user_cold.yaml \\
              -c configs/net/neumf.yaml -c configs/algorithm/maml.yaml --trainer.max_epochs=5
      train one model; each -c layer sets one component, options override single values
  metarec fit --help
      every option of training; a class's own: metarec fit --model.net.help metarec.nets.ncf.NeuMF
  metarec run experiments/movielens-100k-user-cold.yaml
      run all methods of a table, skipping what is done
  metarec tune experiments/movielens-1m-tuned-paper.yaml --methods maml --minutes 6
      choose settings on validation users, within six minutes of processor time; `metarec run` then uses them
  metarec stream -c runs/latest/config.yaml --ckpt_path runs/latest/checkpoints/best.ckpt
      follow test users through time: stream.json says how the error falls, and which way of adapting keeps up
  metarec table experiments/movielens-100k-user-cold.yaml --format md
      print the table
  metarec plot experiments/movielens-100k-user-cold.yaml --into figures
      draw its figures: means with intervals, learning curves, gains, differences of users, time
  metarec report experiments/movielens-100k-user-cold.yaml --into user-cold.html
      write one page with table, figures, cost and configuration, which opens anywhere
  metarec periods experiments/movielens-100k-periods.yaml --figure periods.png
      train to a period, test on the next: frozen, fine-tuned and retrained models
  metarec gaps runs/latest --by gender
      compare groups of test users of a run
  metarec dashboard experiments/movielens-100k-user-cold.yaml
      build the experiment's Weights & Biases workspace and report, as JSON
  metarec sync experiments/movielens-100k-user-cold.yaml
      upload its offline runs, where there is an account
  metarec export runs/latest/checkpoints/best.ckpt --into weights.safetensors
      write weights in a format that others read too; `metarec import` makes a checkpoint of it again
  metarec methods
      list the methods: kind, order, what adapts, source, settings
  metarec doctor
      say what works on this machine, and the cure of what does not
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
        arguments: command and options; null: those of the process, which `metarec.entry` then guards.
    """
    if arguments is None:
        from metarec import entry

        entry.main()
    given = list(arguments or ())
    try:
        if given and given[0] in TRAINING:
            if given[0] == "stream":
                from metarec.streaming import command

                command.run(given)
            else:
                from metarec import training

                training.run(given)
            return
        if given and given[0] == "tasks":  # its options are those of a configuration, which argparse does not know
            tasks.run(given[1:])
            return
        options = _parser().parse_args(given)
        options.command(options)
    except InputError as error:
        print(f"metarec: error: {error}", file=sys.stderr)
        sys.exit(2)
    except LostProcessError as error:
        print(f"metarec: error: {error}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print(f"metarec: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except BrokenPipeError:  # who reads has seen enough; a run that it has ended is not done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if given[0] in TRAINING:
            sys.exit(128 + signal.SIGPIPE)


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
    for module in (
        data,
        tasks,
        run,
        tune,
        table,
        plot,
        report,
        curves,
        periods,
        gaps,
        dashboard,
        sync,
        weights,
        methods,
        bench,
        doctor,
    ):
        module.add(commands)
    return parser
