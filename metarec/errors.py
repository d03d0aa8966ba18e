"""The one exception that a user, not a programmer, is meant to read."""


class InputError(Exception):
    """Bad input from outside: a file, an option, a configuration.

    The message is one line that says what was found, where, and what to do about it. The command line
    prints it without a traceback and exits with status 2.
    """
