"""The two kinds of failure that a user meets, with the exit status of each, and the checks that many settings need."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from types import NoneType


class InputError(ValueError):
    """The user's input is at fault: the message names the value, what was expected and how to mend it.

    The command line prints it as one line on stderr and exits with status 2.
    """


class RunError(RuntimeError):
    """Something failed while running (a camera unplugged, a full disk): one line, exit status 1."""


def require_kind(name: str, value: object, *kinds: type) -> None:
    """Raises InputError where an argument is of none of these kinds, as happens in Python, where nothing checks."""
    if not isinstance(value, kinds):
        expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
        article = "an" if expected[0] in "AEIOU" else "a"
        raise InputError(f"{name}: expected {article} {expected}, got {value!r:.80} of {type(value).__name__}")


def require_number(name: str, value: object) -> None:
    """Raises InputError where a setting is no number at all."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"{name}: expected a number, got {value!r:.80}")


def require_positive(settings: object, names: Iterable[str], label: str = "") -> None:
    """Raises InputError at the first of these attributes that is not above 0; label: what their names begin with."""
    for name in names:
        value = getattr(settings, name)
        require_number(f"{label}{name}", value)
        if not value > 0:
            raise InputError(f"{label}{name}: expected a positive number, got {value}")


def require_between(settings: object, names: Iterable[str], low: float, high: float, label: str = "") -> None:
    """Raises InputError at the first of these attributes, numbers or tuples of such, that is outside low..high: the
    arithmetic behind it overflows there, or never ends."""
    for name in names:
        values = getattr(settings, name)
        for value in values if isinstance(values, tuple) else (values,):
            require_number(f"{label}{name}", value)
            if not low <= value <= high:
                expected = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
                raise InputError(f"{label}{name}: expected {expected}, got {value}")
