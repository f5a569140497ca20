"""Standard streams that cost no run its result: closed ones, a full disk behind them, a terminal that is gone."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

_NAMES = ("stdin", "stdout", "stderr")
"""In the order of their descriptors."""


class _Forgiving(io.FileIO):
    """Loses what cannot be written."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def secure_standard_streams() -> None:
    """Call it first of all.

    In the place of a closed stream comes one that goes nowhere: the next file to be opened would take its number, and
    libraries would print into it. What cannot be written to standard error is lost: it is progress and messages.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    if sys.stderr is sys.__stderr__:
        raw: Any = _Forgiving(2, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(raw, errors="backslashreplace", line_buffering=True, write_through=True)


def tell(line: str, err: bool = False) -> None:
    """Prints how a run went, which has its files whether anybody reads that or not. err: to standard error."""
    try:
        click.echo(line, err=err)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # where what is still in the buffer goes when Python ends
        os.close(nowhere)
