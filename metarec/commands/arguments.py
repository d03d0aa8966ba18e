"""The arguments of a function as options of a command, its docstring as their help; imported when a command runs."""

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jsonargparse

from metarec.allowed import enforce
from metarec.messages import explained


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line and exit with status 2."""
        print(f"metarec: error: {explained(message, self)}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


class Help(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of descriptions as they are."""


def parsed(command: str, function: Callable[..., Any], options: Sequence[str], epilog: str | None) -> dict[str, Any]:
    """The arguments of a function out of options, and `json`, a flag.

    Args:
        command: what stands before the options.
        function: whose arguments they are; one without a default value is given by its place.
        options: what was given.
        epilog: what to say at the end of the help.
    """
    description = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    enforce()
    parser = Parser(prog=command, description=description, epilog=epilog, formatter_class=Help)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.add_function_arguments(function, as_positional=True)
    arguments: dict[str, Any] = parser.instantiate(parser.parse_args(list(options))).as_dict()
    return arguments
