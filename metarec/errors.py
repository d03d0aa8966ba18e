"""The one exception that a user, not a programmer, is meant to read, and the checks of numbers that raise it."""


class InputError(Exception):
    """Bad input from outside: a file, an option, a configuration.

    The message is one line that says what was found, where, and what to do about it. The command line
    prints it without a traceback and exits with status 2. What cannot be printed, such as a line break out of a file or
    a name, is written as Python writes it.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message))


class DivergedError(InputError):
    """Training left the finite numbers: the settings are at fault, not the files."""


class LostProcessError(Exception):
    """One of several processes that train together has ended; the command line exits with status 1."""


class LeakError(InputError):
    """Something that only a validation or test task may know could reach training."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"leakage audit: {what}; the scenario, the data set or the algorithm is at fault, nothing was trained"
        )


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


def below_one(**values: float) -> None:
    """Refuse shares that are not >= 0 and < 1.

    Args:
        values: shares by the name that their giver knows them by.

    Raises:
        InputError: names the first that is out of range, or is not a number.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise InputError(f"{name} {value}: give a share >= 0 and < 1")
