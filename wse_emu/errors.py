"""The one exception that a user is meant to read."""


class WseError(Exception):
    """Bad input, in one line: what is wrong, where, and what would work. The CLI prints it and exits with 2."""
