"""The two kinds of failure that a user meets, with the exit status of each, and a check that many settings need."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is at fault: the message names the value, what was expected and how to mend it.

    The command line prints it as one line on stderr and exits with status 2.
    """


class RunError(RuntimeError):
    """Something failed while running (a camera unplugged, a full disk): one line, exit status 1."""


def require_positive(settings: object, names: Iterable[str], label: str = "") -> None:
    """Raises InputError at the first of these attributes that is not above 0; label: what their names begin with."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise InputError(f"{label}{name}: expected a positive number, got {getattr(settings, name)}")
