"""The two kinds of failure that a user meets, and the exit status that each one gets."""

from __future__ import annotations


class InputError(ValueError):
    """The user's input is at fault: the message names the value, what was expected and how to mend it.

    The command line prints it as one line on stderr and exits with status 2.
    """


class RunError(RuntimeError):
    """Something failed while running (a camera unplugged, a full disk): one line, exit status 1."""
