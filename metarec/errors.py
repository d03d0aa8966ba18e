"""The one exception that a user, not a programmer, is meant to read, and the check of numbers that raises it."""


class InputError(Exception):
    """Bad input from outside: a file, an option, a configuration.

    The message is one line that says what was found, where, and what to do about it. The command line
    prints it without a traceback and exits with status 2.
    """


def at_least(lowest: float, **values: float | None) -> None:
    """Refuse numbers that are too small; None is never too small.

    Args:
        lowest: the smallest that will do.
        values: numbers by the name that their giver knows them by; a double underscore stands for a dot.

    Raises:
        InputError: names the first that is smaller, or is not a number.
    """
    for name, value in values.items():
        if value is not None and not value >= lowest:
            raise InputError(f"{name.replace('__', '.')} {value}: give a number >= {lowest}")
